"""MAAC and MADDPG on the two tasks that MAAC was shown on: treasure collection, rover and tower.

Eight agents each. The paper's claim is an order: critics that attend to the others learn more than
critics that see all of them side by side. It plays 50,000 episodes, 1.25 to 5 million steps; here
both have a small part of that, the same networks' widths, batches, rates and number of gradient
steps, and both learn from observations and rewards in units of their deviation. Returns are means
over agents, of greedy play, where the paper shows those of exploring play.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos import maac, maddpg
from jaxmarl_core.algos.off_policy.options import Config
from jaxmarl_core.envs import collect_treasure, rover_tower
from jaxmarl_core.experiments import unfinished
from jaxmarl_core.experiments.study import Claim, Findings, Study, learning_curve, mean_std
from jaxmarl_core.play.evaluate import evaluate, summary
from jaxmarl_core.play.policies import opponent
from jaxmarl_core.report import svg
from jaxmarl_core.types import Environment

NUM_POINTS, NUM_EPISODES = 10, 128
CONFIG = Config(
    num_envs=10,
    rollout_length=25,
    num_gradient_steps=10,  # the programs' 4 to 100 env steps
    batch_size=256,
    buffer_length=20_000,
    normalise_observation=True,
    normalise_reward=True,
)
HPARAMS: dict[str, Any] = {"tau": 0.005, "learning_starts": 2500.0}
LEARNERS = {"maac": maac, "maddpg": maddpg}


class Task(NamedTuple):
    """A world, how long its episodes are, and how long to learn in it."""

    title: str
    build: Callable[..., Environment]
    length: int
    num_steps: int


TASKS = (
    Task("treasure collection", collect_treasure, 100, 100_000),
    Task("rover and tower", rover_tower, 25, 200_000),
)

Curve = tuple[np.ndarray, np.ndarray]


def curve(task: Task, learner: str, num_seeds: int) -> Curve:
    """Returns `learnt`, which an earlier start of the study may have found."""

    def compute() -> unfinished.Arrays:
        steps, returns = learnt(task, learner, num_seeds)
        return {"steps": steps, "returns": returns}

    found = unfinished.part(__name__, f"{task.title}, {learner}, {num_seeds} seeds", compute)
    return found["steps"], found["returns"]


def learnt(task: Task, learner: str, num_seeds: int) -> Curve:
    """Returns (environment steps [NUM_POINTS], greedy returns [num_seeds, NUM_POINTS])."""
    env = task.build(max_steps=task.length)
    return learning_curve(
        LEARNERS[learner](env, CONFIG),
        env,
        task.num_steps,
        NUM_POINTS,
        num_seeds,
        (NUM_EPISODES, task.length),
        "eval_return_mean",
        **HPARAMS,
    )


def at_random(task: Task) -> float:
    """Returns an agent's mean return where everybody acts at random."""
    env = task.build(max_steps=task.length)
    play = jax.jit(
        lambda key: evaluate(key, env, opponent("random", env), 512, task.length, greedy=False)
    )
    return float(summary(env, play(jax.random.key(1)))["return_mean"])


def claim_of(task: Task, curves: dict[str, Curve]) -> Claim:
    """Returns whether MAAC ends above MADDPG, by more than the difference's standard error."""
    ours, theirs = (curves[learner][1][:, -1] for learner in LEARNERS)
    error = np.sqrt(sum(x.var(ddof=1) / len(x) for x in (ours, theirs)))
    measured = f"{mean_std(ours, 2)} and {mean_std(theirs, 2)}; at random {at_random(task):.2f}"
    met = bool(ours.mean() - theirs.mean() > error)
    return Claim(f"{task.title}: MAAC earns more than MADDPG", "ahead", "claim", measured, met)


def measure(num_seeds: int) -> Findings:
    """Returns who is ahead in each task at the end, and the curves."""
    found = {
        task: {learner: curve(task, learner, num_seeds) for learner in LEARNERS} for task in TASKS
    }
    return Findings([claim_of(task, curves) for task, curves in found.items()], picture(found))


def picture(found: dict[Task, dict[str, Curve]]) -> Figure:
    """Returns learning curves: the mean, and a band from the least to the best seed."""
    all_axes = svg.grid(len(found), len(found), 1080, 360)
    for axes, (task, curves) in zip(all_axes, found.items()):
        for colour, (learner, (steps, returns)) in zip(svg.PALETTE, curves.items()):
            svg.band(axes, steps / 1e3, returns, colour, learner)
        axes.set(title=task.title, xlabel="thousand steps")
    all_axes[0].legend(frameon=False, loc="lower right")
    return svg.figure_of(all_axes[0])


STUDY = Study(
    "Attention to the others",
    "Iqbal & Sha, 2019, ICML, arXiv:1810.02912, section 4",
    measure,
    published="curves of 50,000 episodes in which MAAC ends above MADDPG in both tasks. Here 1,000 "
    "(treasure) and 8,000 (rover and tower).",
    rule="MAAC's mean over seeds is ahead at the end by more than the standard error of the "
    "difference.",
    seeds=4,
)
