"""QMIX and VDN in the skirmish: three marines against three that a script leads.

SMAX's map 3m. Half a million steps of 16 environments, eight gradient steps every 512, then 256
battles of greedy play. Published win rates of this map are of longer runs and read by eye, so that
none is held against ours; what is claimed is that both learners win nearly always where play at
random never does.
"""

from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos import qmix, vdn
from jaxmarl_core.algos.value_factorisation.options import Config
from jaxmarl_core.envs import smax
from jaxmarl_core.experiments.study import Claim, Findings, Study, learning_curve, mean_std
from jaxmarl_core.play.evaluate import evaluate, summary
from jaxmarl_core.play.policies import opponent
from jaxmarl_core.report import svg

NUM_STEPS, NUM_POINTS, EPISODES = 500_000, 10, (256, 100)
SHAPE: dict[str, Any] = {
    "num_envs": 16,
    "rollout_length": 32,
    "num_gradient_steps": 8,
    "capacity": 2048,
}
LEARNERS = {"qmix": (qmix, Config(**SHAPE)), "vdn": (vdn, Config(**SHAPE))}
NUMBERS: dict[str, Any] = {
    "learning_rate": 1e-3,
    "target_period": 25.0,
    "explore_steps": 30_000.0,
    "td_lambda": 0.8,  # half of what a battle pays, it pays when it is won
}
WON = 0.9

Curve = tuple[np.ndarray, np.ndarray]


def wins(learner: str, num_seeds: int) -> Curve:
    """Returns (environment steps [NUM_POINTS], share of battles won [num_seeds, NUM_POINTS])."""
    env = smax("3m")
    build, config = LEARNERS[learner]
    algorithm = build(env, config)
    return learning_curve(
        algorithm,
        env,
        NUM_STEPS,
        NUM_POINTS,
        num_seeds,
        EPISODES,
        "eval_win",
        anneal_updates=NUM_STEPS // algorithm.env_steps,
        **NUMBERS,
    )


def at_random() -> float:
    """Returns the share of battles that play at random wins."""
    env = smax("3m")
    play = jax.jit(lambda key: evaluate(key, env, opponent("random", env), *EPISODES, greedy=False))
    return float(summary(env, play(jax.random.key(1)))["win"])


def measure(num_seeds: int) -> Findings:
    """Returns how many battles each learner wins in the end."""
    curves = {learner: wins(learner, num_seeds) for learner in LEARNERS}
    claims = []
    chance = at_random()
    for learner, (_, found) in curves.items():
        last = found[:, -1]
        measured = f"{mean_std(last)} (least {last.min():.3f}); at random {chance:.3f}"
        met = bool(last.mean() >= WON)
        claims.append(Claim(f"`{learner}` wins", f"at least {WON}", "claim", measured, met))
    return Findings(claims, picture(curves))


def picture(curves: dict[str, Curve]) -> Figure:
    """Returns learning curves: the mean, and a band from the least to the best seed."""
    axes = svg.grid(1, 1, 1080, 420)[0]
    for colour, (learner, (steps, found)) in zip(svg.PALETTE, curves.items()):
        svg.band(axes, steps / 1e3, found, colour, learner)
    axes.set(xlabel="thousand steps", title="Share of battles won, greedy", ylim=(-0.02, 1.02))
    axes.legend(frameon=False, loc="lower right")
    return svg.figure_of(axes)


STUDY = Study(
    "Value factorisation in the skirmish",
    "Rutherford et al., 2023, arXiv:2311.10090 (SMAX), after Rashid et al., 2018, ICML (QMIX)",
    measure,
    published="that both learn the map, in curves of longer runs. Here half a million steps.",
    rule=f"the mean over seeds wins at least {100 * WON:.0f} % of greedy battles.",
    seeds=4,
)
