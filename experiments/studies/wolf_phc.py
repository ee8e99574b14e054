"""Learning fast only when losing: WoLF-PHC settles where PHC keeps circling.

Matching pennies and rock-paper-scissors in self-play: how far is the policy from the equilibrium in
the end? 100,000 plays, where the paper and the replication played a million; the steps fall with
time, so that most of the way is made early. Then grid soccer, discounted by 0.9: how much does a
best response win against the policy learnt in self-play? It is computed exactly where the paper
trained challengers, and is 0 at an equilibrium. The paper's claim, of Littman's field and a million
steps, is that WoLF's worst case is better than PHC's, whether PHC steps as far as WoLF does when it
loses, or when it wins. Here it is put to Greenwald & Hall's field of 112 states, where 40,000 steps
from random places visit every state hundreds of times.

Bowling & Veloso, 2002, Artificial Intelligence 136, sections 5.1 to 5.3.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.tabular.wolf_phc import Config, phc, wolf_phc
from jaxmarl_core.envs import matrix_game, soccer_4x2
from jaxmarl_core.experiments.study import Claim, Findings, Study, over_seeds, spread
from jaxmarl_core.report import svg
from jaxmarl_core.solvers.markov_games import MarkovGame, backup, markov_game

NUM_PLAYS, NUM_STEPS = 100_000, 40_000
LEARNERS = {"wolf_phc": wolf_phc, "phc": phc}
GAMES: dict[str, Any] = {  # the rates replicated; in pennies also the paper's
    "matching_pennies": {"lose_ratio": 2.0},
    "rock_paper_scissors": {"learning_rate": 0.1, "rate_period": 1e5, "lose_ratio": 4.0},
}
# mean final distance after a million plays in 64 and 24 runs of an independent replication, whose
# rock-paper-scissors began at (1/2, 1/4, 1/4) and ours at the equilibrium, from where PHC leaves
REPLICATED = {
    ("matching_pennies", "wolf_phc"): 0.011,
    ("matching_pennies", "phc"): 0.495,
    ("rock_paper_scissors", "wolf_phc"): 0.020,
}
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


def distance(learner: str, game: str, num_seeds: int) -> jax.Array:
    """Returns [num_seeds] f32: how far a policy's probabilities are from 1 / A at most."""
    env = matrix_game(game, num_rounds=None)
    algorithm = LEARNERS[learner](env, Config(1000))

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


def measure(num_seeds: int) -> Findings:
    """Returns distances from equilibrium in two matrix games, and worst cases in soccer."""
    claims, found = [], {}
    for game in GAMES:
        for learner in LEARNERS:
            far = found[game, learner] = distance(learner, game, num_seeds)
            published = REPLICATED.get((game, learner))
            if learner == "wolf_phc":
                met = bool((far < NEAR).all())
                published = f"{published:.3f}, all below {NEAR}"
            elif published is not None:
                met = abs(float(far.mean()) - published) <= FAR
                published = f"{published:.3f}"
            else:
                met, published = None, ""
            what = f"{game.replace('_', ' ')}, `{learner}`: distance"
            claims.append(Claim(what, published, "replicated", spread(far), met))
        nearer = bool(found[game, "wolf_phc"].mean() < found[game, "phc"].mean() / 2)
        shown = f"{float(found[game, 'phc'].mean() / found[game, 'wolf_phc'].mean()):.1f} times"
        what = f"{game.replace('_', ' ')}: PHC is further away"
        claims.append(Claim(what, "converges against circles", "claim", shown, nearer))
    worst = {}
    for name, (learner, step, ratio) in PLAYERS.items():
        worst[name] = exploitability(learner, step, ratio, num_seeds)
    wolf = next(iter(worst))
    for name in worst:
        error = float(jnp.std(worst[name] - worst[wolf])) / num_seeds**0.5
        better = float(worst[name].mean() - worst[wolf].mean()) > 3 * error
        met = None if name == wolf else better
        published = "" if name == wolf else "more than WoLF-PHC"
        what = f"soccer, {name}: what a best response wins"
        claims.append(Claim(what, published, "claim", spread(worst[name]), met))
    return Findings(claims, picture(found, worst))


def picture(found, worst) -> Figure:
    """Returns the runs of each learner, in the order of their distance or worst case."""
    axes = svg.grid(3, 3, 1080, 340)
    share = lambda x: (np.arange(len(x)) + 0.5) / len(x)
    for panel, game in zip(axes, GAMES):
        for colour, learner in zip(svg.PALETTE, LEARNERS):
            runs = np.sort(np.asarray(found[game, learner]))
            panel.plot(runs, share(runs), color=colour, label=learner)
        panel.set_title(f"{game.replace('_', ' ')}: runs within a distance")
        panel.set_xlim(0)
        panel.legend(frameon=False)
    for colour, (name, values) in zip(svg.PALETTE, worst.items()):
        runs = np.sort(np.asarray(values))
        axes[2].plot(runs, share(runs), color=colour, label=name.replace("`", ""))
    axes[2].set_title("soccer: runs that lose at most so much")
    axes[2].legend(frameon=False, fontsize=10)
    for panel in axes:
        panel.set_ylim(0, 1.02)
    return svg.figure_of(axes[0])


STUDY = Study(
    "WoLF-PHC settles where PHC circles",
    "Bowling & Veloso, 2002, Artificial Intelligence 136",
    measure,
)
