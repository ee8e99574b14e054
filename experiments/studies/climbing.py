"""Who finds the optimum of a team's matrix game: independent learners, JAL, FMQ, Distributed-Q.

Claus & Boutilier's games punish a player for its mate's mistakes. A thousand rounds each with alpha
0.9 and temperature 500 e^(-0.006 t) + 1, then the greedy joint action: is it an optimal one?

Claus & Boutilier, 1998, AAAI; Kapetanakis & Kudenko, 2002, AAAI; Lauer & Riedmiller, 2000, ICML.
"""

from functools import partial

import jax
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.repeated import fmq, jal
from jaxmarl_core.algos.repeated.engine import Config
from jaxmarl_core.algos.tabular.distributed_q import distributed_q
from jaxmarl_core.algos.tabular.engine import Config as TabularConfig
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.experiments.study import Claim, Findings, Study, over_seeds, percentage
from jaxmarl_core.report import svg

NUM_ROUNDS = 1000
LEARNERS = {
    "il": partial(fmq.fmq, config=Config(100)),  # weight 0: plain Boltzmann Q-learning
    "jal": partial(jal.jal, config=Config(100)),
    "fmq": partial(fmq.fmq, config=Config(100)),
    "distributed_q": partial(distributed_q, config=TabularConfig(100)),
}
HPARAMS = {
    "il": {"weight": 0.0},
    "jal": {},
    "fmq": {},
    # explores for half of the rounds
    "distributed_q": {"epsilon": 1.0, "final_epsilon": 0.0, "anneal_steps": 500.0, "gamma": 0.0},
}
# game, penalty: the share of runs that end on an optimum, per learner. All by an independent
# replication of 1,000 runs but FMQ on the partially stochastic game, also published as 988 of 1,000
EXPECTED = {
    ("climbing", 0.0): {"il": 0.178, "jal": 0.0, "fmq": 0.998, "distributed_q": 1.0},
    ("partially_stochastic_climbing", 0.0): {
        **{"il": 0.197, "jal": 0.0, "fmq": 0.990, "distributed_q": 0.0},
    },
    ("fully_stochastic_climbing", 0.0): {
        **{"il": 0.157, "jal": 0.0, "fmq": 0.167, "distributed_q": 0.0},
    },
    ("penalty", 0.0): {"il": 0.930, "jal": 0.725, "fmq": 1.0, "distributed_q": 1.0},
    ("penalty", -10.0): {"il": 0.694, "jal": 0.023, "fmq": 1.0, "distributed_q": 1.0},
    ("penalty", -50.0): {"il": 0.462, "jal": 0.0, "fmq": 1.0, "distributed_q": 1.0},
    ("penalty", -100.0): {"il": 0.402, "jal": 0.0, "fmq": 0.945, "distributed_q": 1.0},
}
TOLERANCE = 0.05  # of a share, beyond three standard errors


def optimal(learner: str, game: str, penalty: float, num_seeds: int) -> jax.Array:
    """Returns [num_seeds] bool: whether the greedy joint action is an optimum of the mean game."""
    env = matrix_game(game, num_rounds=None, penalty=penalty)
    algorithm = LEARNERS[learner](env)
    hparams = HPARAMS[learner]
    if learner == "distributed_q":  # what any action is worth at least
        hparams = hparams | {"first_value": float(env.payoffs.min())}

    def joint(state, metrics):
        greedy = algorithm.policy.greedy
        return greedy(state.params, jax.random.key(0), state.play.timestep, ())[0]["agents"]

    played = over_seeds(algorithm, env, NUM_ROUNDS, num_seeds, joint, **hparams)
    team = env.payoffs[0]
    return team[played[:, 0], played[:, 1]] == team.max()


def measure(num_seeds: int) -> Findings:
    """Returns every learner's share of runs that end on an optimum, game by game."""
    claims, found = [], {}
    for (game, penalty), expected in EXPECTED.items():
        name = f"penalty {penalty:.0f}" if game == "penalty" else game.replace("_", " ")
        for learner, wanted in expected.items():
            hits = optimal(learner, game, penalty, num_seeds)
            found[name, learner] = float(hits.mean())
            allowed = TOLERANCE + 3 * (wanted * (1 - wanted) / num_seeds) ** 0.5
            met = abs(found[name, learner] - wanted) <= allowed
            published = f"{100 * wanted:.1f} %"
            claims.append(
                Claim(f"{name}, `{learner}`", published, "replicated", percentage(hits), met)
            )
    return Findings(claims, picture(found))


def picture(found: dict[tuple[str, str], float]) -> Figure:
    """Returns bars of what was found, a dot where it was expected."""
    axes = svg.grid(1, 1, 1080, 380)[0]
    games = list(dict.fromkeys(game for game, _ in found))
    expected = [share for shares in EXPECTED.values() for share in shares.values()]
    x = np.arange(len(games))
    for i, learner in enumerate(LEARNERS):
        place = x + 0.2 * (i - 1.5)
        shares = [found[game, learner] for game in games]
        axes.bar(place, shares, 0.18, color=svg.PALETTE[i], label=learner)
        axes.plot(place, expected[i :: len(LEARNERS)], "o", ms=5, mfc="white", mec=svg.INK)
    axes.plot([], [], "o", ms=5, mfc="white", mec=svg.INK, label="replicated elsewhere")
    axes.set_xticks(x, [game.replace(" climbing", "\nclimbing") for game in games])
    axes.set_title("Share of runs that end on an optimal joint action", pad=28)
    axes.legend(ncols=5, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    axes.set_ylim(0, 1.02)
    return svg.figure_of(axes)


STUDY = Study(
    "Who finds the optimum of a team's matrix game",
    "Claus & Boutilier, 1998; Kapetanakis & Kudenko, 2002; Lauer & Riedmiller, 2000",
    measure,
    published="1,000 moves; the figures are of an independent replication of 1,000 runs.",
    rule="within 5 points and three standard errors of it.",
    seeds=1000,
)
