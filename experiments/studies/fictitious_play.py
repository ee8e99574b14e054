"""Fictitious play finds equilibria in zero-sum and 2 x 2 games, and cycles in Shapley's.

How far are its frequencies from the only equilibrium, as rounds go by? Beside it, players without
regret: how much is it in the end, over the square root of the rounds? What they have played is then
as near to a coarse correlated equilibrium. And the replicator, who circles while its average
settles.

Fictitious players begin with the belief of 30 imagined plays, in random shares. With far fewer,
some runs of Shapley's game change actions every round for ever, and frequencies even out: actions
are whole, and so small a disturbance does not grow. The table says how many.

Robinson, 1951, Annals of Mathematics 54; Miyasawa, 1961; Shapley, 1964; Hart & Mas-Colell, 2000,
Econometrica 68; Freund & Schapire, 1999, Games and Economic Behavior 29.
"""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.repeated.engine import Config, entries
from jaxmarl_core.algos.repeated.fictitious_play import fictitious_play
from jaxmarl_core.algos.repeated.no_regret import multiplicative_weights, regret_matching
from jaxmarl_core.algos.repeated.replicator import replicator
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.experiments.study import Claim, Findings, Study, over_seeds, over_time, percentage
from jaxmarl_core.report import svg

NUM_ROUNDS, SAMPLE = 20_000, 100
CONVERGING = ("matching_pennies", "rock_paper_scissors", "tricky")  # each at uniform play only
NEAR, FAR = 0.03, 0.03  # the theorems say 0 in the limit, and never
NO_REGRET = {"regret matching": regret_matching, "multiplicative weights": multiplicative_weights}
ALTERNATE = "runs that change actions every round are no case of Shapley's"
HORIZONS = (2_000, 8_000, 32_000)


def uneven(strategies) -> jax.Array:
    """Returns the largest distance [] of any probability from uniform play."""
    return jnp.stack([jnp.abs(x - 1 / len(x)).max() for x in strategies]).max()


def frequencies(name: str, num_seeds: int, prior: float = 10.0) -> jax.Array:
    """Returns the distance [seeds, points] of what was played from the equilibrium."""
    env = matrix_game(name, num_rounds=None)

    def keep(state):
        counts = [row.counts[i] for i, row in enumerate(entries(state))]
        return uneven([count / count.sum() for count in counts])

    algorithm = fictitious_play(env, Config(SAMPLE))
    return over_time(algorithm, NUM_ROUNDS, num_seeds, keep, prior=prior, prior_spread=1.0)


def regret(name: str, learner: str, num_rounds: int, num_seeds: int) -> jax.Array:
    """Returns the larger of both players' regrets [seeds], against the best fixed action."""
    env = matrix_game(name, num_rounds=None)
    algorithm = NO_REGRET[learner](env, Config(SAMPLE))

    def keep(state, metrics):
        scores = [row.score.max() for row in entries(state)]
        if learner == "multiplicative weights":  # keeps what actions would have paid
            got = [metrics[f"reward_player_{i}"].sum() * SAMPLE for i in range(2)]
            scores = [score - each for score, each in zip(scores, got)]
        return jnp.stack(scores).max()

    return over_seeds(algorithm, env, num_rounds, num_seeds, keep)


def replicated(num_seeds: int) -> tuple[jax.Array, jax.Array]:
    """Returns distances [seeds, points] of strategies and of averages, in matching pennies."""
    env = matrix_game("matching_pennies", num_rounds=None)

    def keep(state):
        players = entries(state)
        return uneven([p.x for p in players]), uneven([p.average for p in players])

    algorithm = replicator(env, Config(SAMPLE))
    return over_time(algorithm, NUM_ROUNDS, num_seeds, keep, step_size=0.01)


def shown(distance: jax.Array) -> str:
    """Returns the mean of distances [seeds], with the least and the most."""
    return (
        f"{float(distance.mean()):.4f}, {float(distance.min()):.4f} to {float(distance.max()):.4f}"
    )


def measure(num_seeds: int) -> Findings:
    """Returns distances and regrets, game by game."""
    claims, drawn, grown = [], {}, {}
    for name in (*CONVERGING, "shapley"):
        distance = frequencies(name, num_seeds)
        title = name.replace("_", " ")
        drawn[title] = np.asarray(distance)
        # Runs in Shapley's game lengthen by a factor: the last cycles fill three quarters
        last = (
            distance[:, -1] if name != "shapley" else distance[:, distance.shape[1] // 4 :].min(1)
        )
        met = bool((last < NEAR).all()) if name != "shapley" else bool((last > FAR).all())
        published = "to 0" if name != "shapley" else "stays away"
        origin = "claim"
        claims.append(
            Claim(f"fictitious play's distance, {title}", published, origin, shown(last), met)
        )
    distance = frequencies("shapley", num_seeds, prior=0.01)
    away = distance[:, distance.shape[1] // 4 :].min(1) > FAR
    what = "fictitious play, shapley, from hardly any belief: stays away"
    claims.append(Claim(what, "", "claim", percentage(away), ALTERNATE))
    for name in ("rock_paper_scissors", "shapley"):
        env = matrix_game(name)
        span = float(env.payoffs.max() - env.payoffs.min())
        bound = span * env.num_actions[0] ** 0.5
        for learner in NO_REGRET:
            found = [regret(name, learner, t, num_seeds) / t**0.5 for t in HORIZONS]
            title = f"{learner}, {name.replace('_', ' ')}"
            grown[title] = [float(each.mean()) for each in found]
            measured = ", ".join(f"{each:.2f}" for each in grown[title])
            met = max(grown[title]) <= bound
            what = f"regret over the root of {HORIZONS[0]:,} to {HORIZONS[-1]:,} rounds, {title}"
            claims.append(Claim(what, f"at most {bound:.2f}", "memory", measured, met))
    x, average = replicated(num_seeds)
    met = bool((average[:, -1] < NEAR).all())
    claims.append(
        Claim("replicator's average, pennies", "to 0", "claim", shown(average[:, -1]), met)
    )
    met = bool((x[:, -1] > average[:, -1]).all())
    claims.append(Claim("replicator's strategy, pennies", "circles", "claim", shown(x[:, -1]), met))
    return Findings(claims, picture(drawn, grown, np.asarray(x), np.asarray(average)))


def picture(drawn, grown, x, average) -> Figure:
    """Returns distances over time, regrets by horizon, and the replicator's two distances."""
    panels = svg.grid(3, 3, 1080, 340)
    rounds = SAMPLE * (1 + np.arange(x.shape[1]))
    for colour, (name, distance) in zip(svg.PALETTE, drawn.items()):
        panels[0].loglog(rounds, distance.mean(0), color=colour, lw=1.5, label=name)
    panels[0].set(title="Fictitious play", ylabel="distance", xlabel="rounds")
    for colour, (name, values) in zip(svg.PALETTE, grown.items()):
        panels[1].semilogx(HORIZONS, values, "o-", color=colour, label=name)
    panels[1].set_xticks(HORIZONS, [f"{t:,}" for t in HORIZONS])
    panels[1].minorticks_off()
    panels[1].set(title="Regret over the root of rounds", xlabel="rounds", ylim=(0, None))
    for colour, (name, distance) in zip(svg.PALETTE, {"strategy": x, "average": average}.items()):
        panels[2].loglog(rounds, distance.mean(0), color=colour, lw=1.5, label=name)
    panels[2].set(title="The replicator in pennies", xlabel="rounds")
    for axes in panels:
        axes.legend(frameon=False, fontsize=9)
    return svg.figure_of(panels[0])


STUDY = Study(
    "Fictitious play, no regret, and the replicator",
    "Robinson, 1951; Shapley, 1964; Hart & Mas-Colell, 2000; Freund & Schapire, 1999",
    measure,
    published="theorems about the limit, and bounds for every number of rounds.",
    rule=f"after {NUM_ROUNDS:,} rounds every run is within {NEAR} of the equilibrium, or further "
    f"than {FAR} where it stays away; mean regret is within its bound.",
)
