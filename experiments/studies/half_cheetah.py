"""HAPPO, HATRPO and MAPPO walk the half-cheetah, six agents with a joint each.

Brax's spring physics, where HARL's curves are of MuJoCo's: returns do not compare. What the papers
claim is an order, learners who update in turn above those who update at once, and that is looked at
after a tenth of their steps, about an hour on two CPU cores. All three have a policy for each
agent, so that they differ in the update alone. `halfcheetah_happo.toml` is the full budget, for an
accelerator.
"""

from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos import happo, hatrpo, mappo
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.envs import multi_agent_brax
from jaxmarl_core.experiments import unfinished
from jaxmarl_core.experiments.study import Claim, Findings, Study, learning_curve, mean_std
from jaxmarl_core.play.evaluate import evaluate
from jaxmarl_core.play.policies import opponent
from jaxmarl_core.report import svg

NUM_STEPS, NUM_POINTS = 1_000_000, 10
EPISODES = (8, 1000)
SURE = 5.0  # standard deviations of play at random that every seed must be above it
SHAPE = {
    "num_envs": 16,
    "rollout_length": 128,
    "num_epochs": 5,
    "hidden": (128, 128),
    "share": "none",
    "squash": False,
    "normalise_value": "running",
}
STEPS: dict[str, Any] = {"huber": 1e6, "max_grad_norm": 0.5}  # what the figures were measured with
NO_BONUS = STEPS | {"entropy": 0.0, "final_entropy": 0.0}
LEARNERS = {
    "happo": (happo, Config(**SHAPE), NO_BONUS),
    "hatrpo": (hatrpo, Config(**SHAPE), STEPS),
    "mappo": (mappo, Config(**SHAPE), NO_BONUS),
}

Curve = tuple[np.ndarray, np.ndarray]


def world():
    """Returns the environment."""
    return multi_agent_brax("halfcheetah_6x1")


def returns(learner: str, num_seeds: int) -> Curve:
    """Returns (environment steps [NUM_POINTS], greedy returns [num_seeds, NUM_POINTS])."""
    env = world()
    build, config, hparams = LEARNERS[learner]
    algorithm = build(env, config)

    def compute() -> unfinished.Arrays:
        steps, found = learning_curve(
            algorithm, env, NUM_STEPS, NUM_POINTS, num_seeds, EPISODES, **hparams
        )
        return {"steps": np.asarray(steps), "returns": np.asarray(found)}

    kept = unfinished.part(__name__, f"{learner}, {num_seeds} seeds", compute)
    return kept["steps"], kept["returns"]


def at_random() -> np.ndarray:
    """Returns the returns [8] of play at random."""
    env = world()
    play = jax.jit(lambda key: evaluate(key, env, opponent("random", env), *EPISODES, greedy=False))
    return np.asarray(play(jax.random.key(1)).returns[..., 0])


def measure(num_seeds: int) -> Findings:
    """Returns each learner's last return, and whether those in turn are ahead."""
    chance = at_random()
    claims = []
    curves = {learner: returns(learner, num_seeds) for learner in LEARNERS}
    last = {learner: found[:, -1] for learner, (_, found) in curves.items()}
    for learner, found in last.items():
        measured = (
            f"{mean_std(found, 0)} (least {found.min():.0f}); at random {mean_std(chance, 0)}"
        )
        met = bool(found.min() > chance.mean() + SURE * chance.std())
        claims.append(Claim(f"`{learner}` learns to walk", "yes", "claim", measured, met))
    for learner in ("happo", "hatrpo"):
        ahead = last[learner].mean() - last["mappo"].mean()
        error = ((last[learner].var() + last["mappo"].var()) / num_seeds) ** 0.5
        what = f"`{learner}` ends above `mappo`"
        measured = f"by {ahead:.0f}, standard error {error:.0f}"
        claims.append(Claim(what, "ahead", "claim", measured, bool(ahead > error)))
    return Findings(claims, picture(curves, chance.mean()))


def picture(curves: dict[str, Curve], chance: float) -> Figure:
    """Returns learning curves: the mean, and a band from the least to the best seed."""
    axes = svg.grid(1, 1, 1080, 420)[0]
    for colour, (learner, (steps, found)) in zip(svg.PALETTE, curves.items()):
        svg.band(axes, steps / 1e6, found, colour, learner)
    axes.axhline(chance, color=svg.MUTED, lw=1)
    axes.text(0.02, chance, "at random", color=svg.MUTED, va="bottom")
    axes.set(xlabel="million steps", title="Return of 1,000 steps, greedy")
    axes.legend(frameon=False, loc="upper left")
    return svg.figure_of(axes)


STUDY = Study(
    "Six agents walk a half-cheetah",
    "Zhong et al., 2024, JMLR 25(32); the robot is Brax's, as in JaxMARL's MABrax",
    measure,
    published="after 10,000,000 steps in MuJoCo, by two agents of three joints each, HAPPO about "
    "7,000, HATRPO 5,450, MAPPO 6,800, by eye. Here a tenth of the steps, in Brax: returns do not "
    "compare, and the order that is claimed is the papers'.",
    rule="every seed is five standard deviations above play at random; means are ahead by more "
    "than their standard error.",
    seeds=4,
)
