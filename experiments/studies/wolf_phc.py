"""Learning fast only when losing: WoLF-PHC settles where PHC keeps circling.

Matching pennies and rock-paper-scissors in self-play, from anywhere on the simplex and discounted
by 0, as nothing follows a play: how far is the policy from the equilibrium in the end? 300,000
plays, where the paper and the replication played a million; the steps fall with time, so that most
of the way is made early. From anywhere, in rock-paper-scissors, most policies once lose an action
for good, for who does not play it never learns what it has become worth; from (1/2, 1/4, 1/4) none
did.

Then grid soccer, discounted by 0.9: how much does a best response win against the policy learnt in
self-play? It is computed exactly where the paper trained challengers, and is 0 at an equilibrium.
The paper's claim, of Littman's field and a million steps, is that WoLF's worst case is better than
PHC's, whether PHC steps as far as WoLF does when it loses, or when it wins. Here it is put to
Greenwald & Hall's field of 112 states, where 40,000 steps from random places visit every state
hundreds of times.

Bowling & Veloso, 2002, Artificial Intelligence 136, sections 5.1 to 5.3.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.tabular.engine import tabular
from jaxmarl_core.algos.tabular.wolf_phc import HPARAMS, Config, phc, rule, wolf_phc
from jaxmarl_core.envs import matrix_game, soccer_4x2
from jaxmarl_core.experiments.study import Claim, Findings, Study, mean_std, over_seeds, percentage
from jaxmarl_core.report import svg
from jaxmarl_core.solvers.markov_games import MarkovGame, backup, markov_game

NUM_PLAYS, NUM_STEPS = 300_000, 40_000
LEARNERS = {"wolf_phc": wolf_phc, "phc": phc}
GAMES: dict[str, Any] = {  # the rates replicated; in pennies also the paper's
    "matching_pennies": {"gamma": 0.0, "lose_ratio": 2.0},
    "rock_paper_scissors": {
        **{"gamma": 0.0, "learning_rate": 0.1, "rate_period": 1e5, "lose_ratio": 4.0}
    },
}
# An independent replication of a million plays: mean final distances in 64 and 24 runs, the second
# begun at (1/2, 1/4, 1/4); and the share of runs from anywhere that ended within NEAR.
PENNIES = {"wolf_phc": 0.011, "phc": 0.495}
ROSHAMBO, FROM_ANYWHERE = 0.020, (0.33, 0.46)
ASIDE = (0.5, 0.25, 0.25)
NEAR = 0.1  # every one of the replication's runs of WoLF-PHC ended nearer than this
FAR = 0.1  # how much a distance of PHC may differ from the replicated one
GAMMA, RATIO = 0.9, 4.0
SOCCER: dict[str, Any] = {  # our choice of rates, for so few steps
    **{"learning_rate": 0.2, "rate_period": 2e4, "gamma": GAMMA, "step_period": 1e4},
    **{"epsilon": 0.1, "final_epsilon": 0.1},
}
STEP = 0.1  # of a winner
PLAYERS = {  # name in the table -> learner, winning step and ratio
    "`wolf_phc`": (wolf_phc, STEP, RATIO),
    "`phc`, WoLF's losing step": (phc, STEP, RATIO),
    "`phc`, WoLF's winning step": (phc, STEP, 1.0),
}


def starting(rule, pi: tuple[float, ...]):
    """Returns the rule of policies that begin at pi."""

    def build(info):
        built, first = rule(info), jnp.array(pi)
        init = lambda key, hp: built.init(key, hp).replace(pi=first, average=first)
        return built._replace(init=init)

    return build


def distance(
    learner: str, game: str, num_seeds: int, start: tuple[float, ...] | None = None
) -> jax.Array:
    """Returns [num_seeds] f32: how far a policy's probabilities are from 1 / A at most.

    Policies begin at `start`, or anywhere if it is None.
    """
    env = matrix_game(game, num_rounds=None)
    algorithm = LEARNERS[learner](env, Config(1000, start="random"))
    if start is not None:
        algorithm = tabular(env, Config(1000), starting(rule, start), HPARAMS)

    def keep(state, metrics):
        return jnp.stack([table.pi[0, 0] for table in state.params.tables.values()])

    pi = over_seeds(algorithm, env, NUM_PLAYS, num_seeds, keep, **GAMES[game])  # [R, 2, A]
    return jnp.abs(pi - 1 / pi.shape[-1]).max(axis=(1, 2))


def best_response(game: MarkovGame, policy: jax.Array, player: int) -> jax.Array:
    """Returns [] f32: what a best response to `policy` [S, A] of the player wins from the start."""
    other = 1 - player

    def sweep(value, _):
        q = backup(game, jnp.stack([value, value]), GAMMA)[other]
        worth = jnp.einsum("sab,sa->sb" if player == 0 else "sab,sb->sa", q, policy)
        return jnp.where(game.terminal, 0.0, worth.max(axis=-1)), None

    value, _ = jax.lax.scan(sweep, jnp.zeros(game.num_states), None, 80)  # 0.9^80 is 0.0002
    return game.start @ value


def exploitability(learner, win_step: float, ratio: float, num_seeds: int) -> jax.Array:
    """Returns [num_seeds] f32, the mean over both players' policies after self-play."""
    env = soccer_4x2(goal_reward=1.0)
    game = markov_game(env)
    algorithm = learner(env, Config(1000))

    def keep(state, metrics):
        policies = [table.pi[0] for table in state.params.tables.values()]
        return jnp.stack(policies)[:, : game.num_states]

    policies = over_seeds(
        algorithm, env, NUM_STEPS, num_seeds, keep, win_step=win_step, lose_ratio=ratio, **SOCCER
    )
    of = lambda player: jax.lax.map(
        partial(best_response, game, player=player), policies[:, player]
    )
    return jax.jit(lambda: (of(0) + of(1)) / 2)()


def game_claims(found: dict[tuple[str, str], jax.Array]) -> list[Claim]:
    """Returns the lines of both games from anywhere, given final distances [R]."""
    claims = []
    for learner, published in PENNIES.items():
        far = found["matching_pennies", learner]
        if learner == "wolf_phc":
            met, said = bool((far < NEAR).all()), f"{published:.3f}, all below {NEAR}"
        else:
            met, said = abs(float(far.mean()) - published) <= FAR, f"{published:.3f}"
        what = f"matching pennies, `{learner}`: distance"
        claims.append(Claim(what, said, "replicated", mean_std(far), met))
    near = found["rock_paper_scissors", "wolf_phc"] < NEAR
    low, high = FROM_ANYWHERE
    error = 3 * 0.5 / len(near) ** 0.5
    met = low - error <= float(near.mean()) <= high + error
    what = f"rock paper scissors, `wolf_phc`: runs that end within {NEAR}"
    published = f"{100 * low:.0f} to {100 * high:.0f} %"
    claims.append(Claim(what, published, "replicated", percentage(near), met))
    far = found["rock_paper_scissors", "phc"]
    what = "rock paper scissors, `phc`: distance"
    met = float(far.mean()) > NEAR
    claims.append(Claim(what, "does not converge", "claim", mean_std(far), met))
    for game in GAMES:
        wolf, phc_ = found[game, "wolf_phc"], found[game, "phc"]
        behind = phc_ - wolf
        met = float(behind.mean()) > 3 * float(behind.std()) / len(behind) ** 0.5
        what = f"{game.replace('_', ' ')}: PHC is further away"
        shown = f"{float(phc_.mean() / wolf.mean()):.1f} times"
        claims.append(Claim(what, "converges against circles", "claim", shown, met))
    return claims


def measure(num_seeds: int) -> Findings:
    """Returns distances from equilibrium in two matrix games, and worst cases in soccer."""
    claims, found = [], {}
    for game in GAMES:
        for learner in LEARNERS:
            found[game, learner] = distance(learner, game, num_seeds)
    claims += game_claims(found)
    aside = distance("wolf_phc", "rock_paper_scissors", num_seeds, ASIDE)
    what = "rock paper scissors, `wolf_phc` from (1/2, 1/4, 1/4): distance"
    published = f"{ROSHAMBO:.3f}, all below {NEAR}"
    met = bool((aside < NEAR).all())
    claims.append(Claim(what, published, "replicated", mean_std(aside), met))
    worst = {}
    for name, (learner, step, ratio) in PLAYERS.items():
        worst[name] = exploitability(learner, step, ratio, num_seeds)
    wolf = next(iter(worst))
    for name in worst:
        error = float(jnp.std(worst[name] - worst[wolf])) / num_seeds**0.5
        better = float(worst[name].mean() - worst[wolf].mean()) > 3 * error
        least = all(worst[name].mean() <= other.mean() for other in worst.values())
        met = least if name == wolf else better
        published = "least" if name == wolf else "more than WoLF-PHC"
        what = f"soccer, {name}: what a best response wins"
        claims.append(Claim(what, published, "claim", mean_std(worst[name]), met))
    return Findings(claims, picture(found, worst))


def picture(found, worst) -> Figure:
    """Returns the runs of each learner, in the order of their distance or worst case."""
    axes = svg.grid(3, 3, 1080, 340)
    fraction = lambda x: (np.arange(len(x)) + 0.5) / len(x)
    for panel, game in zip(axes, GAMES):
        for colour, learner in zip(svg.PALETTE, LEARNERS):
            runs = np.sort(np.asarray(found[game, learner]))
            panel.plot(runs, fraction(runs), color=colour, label=learner)
        panel.set_title(f"{game.replace('_', ' ')}: runs within a distance")
        panel.set_xlim(0)
        panel.legend(frameon=False)
    for colour, (name, values) in zip(svg.PALETTE, worst.items()):
        runs = np.sort(np.asarray(values))
        axes[2].plot(runs, fraction(runs), color=colour, label=name.replace("`", ""))
    axes[2].set_title("soccer: runs that lose at most so much")
    axes[2].legend(frameon=False, fontsize=10)
    for panel in axes:
        panel.set_ylim(0, 1.02)
    return svg.figure_of(axes[0])


STUDY = Study(
    "WoLF-PHC settles where PHC circles",
    "Bowling & Veloso, 2002, Artificial Intelligence 136",
    measure,
    published="a million plays in single runs, which settle; figures are of an independent "
    "replication of as many. In soccer a million steps on a larger field, challengers trained. "
    "Here 300,000 plays, 40,000 steps, and exact best responses.",
    rule=f"every run of WoLF-PHC ends within {NEAR}, the mean of PHC within {FAR} of its figure, a "
    "share of runs within three standard errors of its range; worse is by three standard errors.",
)
