"""Nine agents on a torus agree on a direction: the table of one of them, visit by visit.

The toy of the mean-field paper's figure 2, learnt by tabular MF-Q at rate 0.1: every time all four
neighbours of an agent chose down as it did, Q(down, no neighbour up) moves a tenth of the way
towards the reward of 2. Agents who choose at random earn 0 on average, and all nine agree in one
step of 256.

Yang, Luo, Li, Zhou, Zhang & Wang, 2018, ICML, arXiv:1802.05438, figure 2.
"""

import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos.mean_field.tabular_mfq import Config, tabular_mfq
from jaxmarl_core.envs import torus_coordination
from jaxmarl_core.experiments.study import Claim, Findings, Study, mean_std, over_time, percentage
from jaxmarl_core.report import svg

NUM_STEPS = 2000
DOWN, NO_NEIGHBOUR_UP = 1, 4  # an action; a level of the mean action: all four chose it
PUBLISHED = {5: 0.82, 6: 0.93}  # visits -> value; the second is 0.82 + 0.1 (2 - 0.82), cut short
TOLERANCE = 0.01


def learnt(num_seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the tables [seeds, steps, 9, level, action], and mean rewards [seeds, steps]."""
    algorithm = tabular_mfq(torus_coordination(), Config(rollout_length=1))

    def keep(state):
        return state.params.q["agents"][:, 0], state.play.timestep.reward["agents"].mean()

    q, reward = over_time(
        algorithm,
        NUM_STEPS,
        num_seeds,
        keep,
        temperature=1.0,
        final_temperature=0.1,
        anneal_steps=NUM_STEPS / 2,
    )
    return np.asarray(q), np.asarray(reward)


def after_visits(path: np.ndarray) -> np.ndarray:
    """Returns a value after each of its visits, in order, from what it was after each step [T]."""
    return path[np.flatnonzero(np.diff(path, prepend=0.0))]


def measure(num_seeds: int) -> Findings:
    """Returns the paper's step, where values end, and whether agents agree."""
    q, reward = learnt(num_seeds)
    paths = q[..., NO_NEIGHBOUR_UP, DOWN].transpose(0, 2, 1).reshape(-1, NUM_STEPS)
    visits = [after_visits(path) for path in paths]
    claims = []
    for count, wanted in PUBLISHED.items():
        values = np.array([path[count - 1] for path in visits if len(path) >= count])
        measured = f"{values.min():.4f} to {values.max():.4f}, of {len(values)} agents"
        met = bool((np.abs(values - wanted) <= TOLERANCE).all())
        what = f"Q(down, no neighbour up) after {count} visits"
        claims.append(Claim(what, f"{wanted}", "second-hand", measured, met))
    # the direction they agreed on: at its level all neighbours chose it
    agreed = np.stack([q[:, -1, :, 0, 0], q[:, -1, :, NO_NEIGHBOUR_UP, DOWN]]).min(2).max(0)
    claims.append(
        Claim(
            "the same in the end, of the direction agreed on, the lowest of nine agents",
            "2.0",
            "second-hand",
            mean_std(agreed),
            bool((np.abs(agreed - 2.0) <= TOLERANCE).all()),
        )
    )
    last = reward[:, -100:].mean(1)
    claims.append(
        Claim(
            "runs that earn 1.9 of 2 in the last hundred steps (random play: 0)",
            "all",
            "claim",
            percentage(last >= 1.9),
            bool((last >= 1.9).all()),
        )
    )
    return Findings(claims, picture(q[0], reward))


def picture(q: np.ndarray, reward: np.ndarray) -> Figure:
    """Returns the bottom left agent's values of one run, and all runs' rewards."""
    left, right = svg.grid(2, 2, 1080, 320)
    for action, name in enumerate(("up", "down")):
        for level in (0, NO_NEIGHBOUR_UP):
            label = f"{name}, {'no' if level else 'every'} neighbour up"
            colour = svg.PALETTE[2 * action + (level > 0)]
            left.plot(q[:, 6, level, action], color=colour, label=label)
    left.set_title("Values of the agent at the bottom left, one run")
    left.legend(frameon=False)
    smooth = reward.reshape(len(reward), -1, 50).mean(-1)
    steps = 50 * np.arange(smooth.shape[1]) + 25
    right.fill_between(steps, *np.quantile(smooth, [0.1, 0.9], 0), color=svg.BLUE, alpha=0.2)
    right.plot(steps, np.median(smooth, 0), color=svg.BLUE)
    right.axhline(2, color=svg.INK, lw=1)
    right.set_title("Mean reward, all runs (median, 80 %)")
    for axes in (left, right):
        axes.set_xlabel("steps")
    return svg.figure_of(left)


STUDY = Study(
    "Mean-field Q-learning, step by step",
    "Yang, Luo, Li, Zhou, Zhang & Wang, 2018, ICML, arXiv:1802.05438, figure 2",
    measure,
    published="three tables of one agent at rate 0.1: before a step, after it, and converged.",
    rule=f"values within {TOLERANCE} in every run; every run earns 1.9 of 2.",
)
