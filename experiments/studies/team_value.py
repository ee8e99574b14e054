"""IQL, VDN and QMIX on cooperative navigation, and on two more teams' tasks.

A million steps of `simple_spread` in episodes of 26 steps, as JaxMARL's programs play them; then
the team's return in 256 greedy episodes. JaxMARL's figures are of its own programs with their
default options, which are ours too (8 environments, a GRU, a gradient step every 208 steps): two
seeds, measured on another machine; its second QMIX seed collapsed. Met is a mean no worse than its
better seed's figure to the last digit but one, and no seed of ours ten below it.

A speaker and a listener are two groups with different spaces: half a million steps. Tan's hunters
see two cells far and catch prey only in pairs, on a board with walls: half a million steps, and
what counts is the time that a hunt takes. No one published figures of these, so that learners are
held against play at random: every seed must halve what it costs.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos import iql, qmix, vdn
from jaxmarl_core.envs import predator_prey, simple_speaker_listener, simple_spread
from jaxmarl_core.experiments.study import Claim, Findings, Study, learning_curve, mean_std
from jaxmarl_core.play.evaluate import evaluate, summary
from jaxmarl_core.play.policies import opponent
from jaxmarl_core.report import svg

NUM_POINTS, NUM_EPISODES = 10, 256
LEARNERS = {"iql": iql, "vdn": vdn, "qmix": qmix}


class Task(NamedTuple):
    """A world, and how long to learn in it."""

    title: str
    env: Callable
    length: int  # of an episode at most
    num_steps: int
    figure: str  # what is looked at


NUMBERS = {  # JaxMARL's, where the learners' defaults differ
    "learning_rate": 5e-3,
    "gamma": 0.9,
    "target_period": 200.0,
    "max_grad_norm": 25.0,
}
SPREAD = Task(
    "simple_spread", lambda: simple_spread(max_steps=26), 26, 1_000_000, "eval_return_sum"
)
SPEAKER = Task(
    "speaker and listener",
    lambda: simple_speaker_listener(max_steps=26),
    26,
    500_000,
    "eval_return",
)
HUNT = Task(
    "a hunt in pairs, steps it takes",
    lambda: predator_prey(joint=True, observation="features", max_steps=100),
    100,
    500_000,
    "eval_length",
)
RANDOM, SAME = -83.1, 0.02  # JaxMARL's play at random, and how near ours must be to it
JAXMARL = {"iql": (-54.1, -55.4), "vdn": (-45.3, -46.4), "qmix": (-57.3, -88.5)}

Curve = tuple[np.ndarray, np.ndarray]


def curve(task: Task, learner: str, num_seeds: int) -> Curve:
    """Returns (environment steps [NUM_POINTS], greedy figures [num_seeds, NUM_POINTS])."""
    env = task.env()
    algorithm = LEARNERS[learner](env)
    return learning_curve(
        algorithm,
        env,
        task.num_steps,
        NUM_POINTS,
        num_seeds,
        (NUM_EPISODES, task.length),
        task.figure,
        anneal_updates=task.num_steps / algorithm.env_steps,
        explore_steps=0.1 * task.num_steps,
        **NUMBERS,
    )


def at_random(task: Task) -> float:
    """Returns the figure of play at random."""
    env = task.env()
    play = jax.jit(
        lambda key: evaluate(key, env, opponent("random", env), 1024, task.length, greedy=False)
    )
    episode = play(jax.random.key(1))
    return float(summary(env, episode)[task.figure.removeprefix("eval_")])


def measure(num_seeds: int) -> Findings:
    """Returns each learner's last figure in every task."""
    claims, curves = [], {}
    for task in (SPREAD, SPEAKER, HUNT):
        chance = at_random(task)
        if task is SPREAD:
            met = abs(chance - RANDOM) <= SAME * abs(RANDOM)
            named = f"{task.title}: at random"
            claims.append(Claim(named, f"{RANDOM}", "replicated", f"{chance:.1f}", met))
        for learner in LEARNERS:
            curves[task, learner] = curve(task, learner, num_seeds)
            last = curves[task, learner][1][:, -1]
            measured = f"{mean_std(last, 1)} (from {last.min():.1f} to {last.max():.1f})"
            if task is not SPREAD:
                measured = f"{measured}; at random {chance:.1f}"
                published = "half of what random play costs"
                met = bool((abs(last) <= abs(chance) / 2).all())
            else:
                published = ", ".join(f"{x:.1f}" for x in JAXMARL[learner])
                wanted = np.floor(max(JAXMARL[learner]))
                met = bool(last.mean() >= wanted and last.min() >= wanted - 10)
            named = f"{task.title}: `{learner}`"
            origin = "replicated" if task is SPREAD else "claim"
            claims.append(Claim(named, published, origin, measured, met))
    return Findings(claims, picture(curves))


def picture(curves: dict[tuple[Task, str], Curve]) -> Figure:
    """Returns learning curves: the mean, and a band from the least to the best seed."""
    tasks = list(dict.fromkeys(task for task, _ in curves))
    all_axes = svg.grid(len(tasks), len(tasks), 1080, 360)
    for axes, task in zip(all_axes, tasks):
        for colour, learner in zip(svg.PALETTE, LEARNERS):
            steps, found = curves[task, learner]
            svg.band(axes, steps / 1e6, found, colour, learner)
            if task is SPREAD:
                axes.axhline(max(JAXMARL[learner]), color=colour, ls=":", lw=1.5)
        axes.set(title=task.title, xlabel="million steps")
    all_axes[0].legend(frameon=False, loc="lower right", title="dotted: JaxMARL's")
    return svg.figure_of(all_axes[0])


STUDY = Study(
    "Value factorisation on teams' tasks",
    "JaxMARL 0.2.0's baselines (Rutherford et al., 2024), as measured elsewhere; Tan, 1993, ICML",
    measure,
    published="two seeds of about 1,000,000 steps of simple_spread, measured by running JaxMARL's "
    "programs; nothing of the other tasks at these budgets.",
    rule="the mean is no worse than their better seed to the last digit but one, and no seed ten "
    "below "
    "it; in the other tasks every seed costs at most half of what random play does.",
    seeds=4,
)
