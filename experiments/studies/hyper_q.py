"""Hyper-Q takes from IGA and PHC in roshambo, by what it knows of their strategies.

Rock, paper, scissors with gamma 0.9 and alpha 0.01; everybody begins anew anywhere every 1,000
rounds. The paper plays 1,600,000 rounds on a grid of 325 strategies; we play 30,000 on one of 45,
whose table has a fiftieth of the entries, and so visit each as often. Step sizes of IGA and PHC are
not in the paper; they are ours.

Tesauro, 2003, NIPS, figures 1 to 3.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.repeated import gradient, hyper_q
from jaxmarl_core.algos.repeated.cross_play import by_player, restarting, with_hparams
from jaxmarl_core.algos.repeated.engine import Config, repeated
from jaxmarl_core.algos.tabular import wolf_phc
from jaxmarl_core.envs import matrix_game
from jaxmarl_core.experiments.study import Claim, Findings, Study, mean_std, over_seeds
from jaxmarl_core.report import svg

NUM_ROUNDS, UPDATE, GRID = 30_000, 1_000, 9
LAST = 10  # updates that count as the end
ESTIMATORS = {"omniscient": "omniscient", "average": "moving average", "bayes": "Bayes"}
IGA = restarting(with_hparams(gradient.rule, gradient.Hparams(step_size=0.002)), UPDATE)
PHC = restarting(
    with_hparams(
        partial(wolf_phc.rule, rate="constant", policy_rate="constant", start="random", wolf=False),
        dataclasses.replace(
            wolf_phc.HPARAMS, learning_rate=0.1, gamma=0.0, win_step=0.01, lose_ratio=1.0
        ),
    ),
    UPDATE,
    lambda row, fresh: row.replace(pi=fresh.pi),
)
OPPONENTS = {"IGA": IGA, "PHC": PHC}
# Read off the paper's axes: rewards end clearly above 0 against IGA, on an axis that ends at .04,
# and well above that against PHC, on one that ends at .2. To tell either from luck we ask the mean
# over runs to be three standard errors above 0, and against PHC above .04.
FLOOR = {"IGA": 0.0, "PHC": 0.04}
# Bayes beside one who is told: "close" by the end of the curves against IGA, better against PHC
BAYES_OVER, CLOSE = {"IGA": "close", "PHC": "more"}, 0.01
READ = {"IGA": "above 0, of an axis to 0.04", "PHC": "well above that, of an axis to 0.2"}


def rewards(estimator: str, opponent, num_seeds: int) -> jax.Array:
    """Returns the first player's average reward in every update, [seeds, updates]."""
    env = matrix_game("rock_paper_scissors", num_rounds=None)
    mine = partial(hyper_q.rule, grid=GRID, estimator=estimator)
    rules = by_player(mine, mine if opponent is None else opponent)
    algorithm = repeated(env, Config(UPDATE), rules, hyper_q.Hparams())
    keep = lambda state, metrics: metrics["reward_player_0"]
    return over_seeds(algorithm, env, NUM_ROUNDS, num_seeds, keep)


def measure(num_seeds: int) -> Findings:
    """Returns what is won in the last third, by opponent and estimator."""
    claims, drawn, ends = [], {}, {}
    for name, opponent in OPPONENTS.items():
        for estimator, label in ESTIMATORS.items():
            found = rewards(estimator, opponent, num_seeds)
            drawn[name, estimator] = np.asarray(found).mean(0)
            end = found[:, -LAST:].mean(1)
            ends[name, estimator] = end
            error = float(jnp.std(end)) / num_seeds**0.5
            met = float(end.mean()) - 3 * error > FLOOR[name]
            what = f"reward against {name}, {label}"
            claims.append(Claim(what, READ[name], "paper", mean_std(end), met))
        for other, published in (("average", "more"), ("omniscient", BAYES_OVER[name])):
            gain = ends[name, "bayes"] - ends[name, other]
            mean, error = float(gain.mean()), float(gain.std()) / num_seeds**0.5
            met = mean > 2 * error if published == "more" else abs(mean) <= CLOSE + 2 * error
            what = f"Bayes over {ESTIMATORS[other]}, against {name}"
            measured = f"{mean:+.3f}, standard error {error:.3f}"
            claims.append(Claim(what, published, "paper", measured, met))
    found = rewards("bayes", None, num_seeds)
    drawn["itself", "bayes"] = np.asarray(found).mean(0)
    end = found[:, -LAST:].mean(1)
    error = float(jnp.std(end)) / num_seeds**0.5
    # both are alike: 0 but for chance, and for ties, which go to the same action of both
    met = abs(float(end.mean())) <= 3 * error + 0.01
    claims.append(Claim("reward in self-play, Bayes", "about 0", "paper", mean_std(end), met))
    return Findings(claims, picture(drawn))


def picture(drawn: dict[tuple[str, str], np.ndarray]) -> Figure:
    """Returns rewards over time, the mean over runs, one panel an opponent."""
    names = ["IGA", "PHC", "itself"]
    panels = svg.grid(len(names), len(names), 1080, 320)
    for axes, name in zip(panels, names):
        for colour, (estimator, label) in zip(svg.PALETTE, ESTIMATORS.items()):
            if (name, estimator) in drawn:
                reward = drawn[name, estimator]
                rounds = UPDATE * (1 + np.arange(len(reward))) / 1000
                axes.plot(rounds, reward, color=colour, lw=2, label=label)
        axes.axhline(0, color=svg.MUTED, lw=1)
        axes.set(title=f"against {name}", xlabel="thousand rounds")
    panels[0].set_ylabel("reward")
    panels[0].legend(frameon=False)
    return svg.figure_of(panels[0])


STUDY = Study(
    "Hyper-Q against IGA, PHC and itself",
    "Tesauro, 2003",
    measure,
    published="curves of 1,600,000 rounds on a grid of 325 strategies, read off their axes; the "
    "step "
    "sizes of IGA and PHC are not told, on which the height of the rewards hangs.",
    rule="means over runs are above the floor by three standard errors, above each other by two, "
    "or "
    f"within {CLOSE} and two of each other.",
)
