"""IPPO and MAPPO on cooperative navigation, beside JaxMARL's baselines.

A million steps of `simple_spread` in episodes of 26 steps, as JaxMARL's programs play them; then
the team's return in 256 greedy episodes. JaxMARL's figures are of its own programs with their
default options, two seeds, measured on another machine; ours are not tuned beyond what stands here.
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos import ippo, mappo
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.envs import simple_spread
from jaxmarl_core.experiments.study import Claim, Findings, Study, learning_curve, spread
from jaxmarl_core.report import svg

NUM_STEPS, EPISODE, NUM_POINTS = 1_000_000, 26, 10
SHAPE: dict[str, Any] = {
    "num_envs": 64,
    "rollout_length": EPISODE,
    "num_epochs": 8,
    "share": "none",
    "normalise_value": "running",
}
LEARNERS = {
    "ippo": (ippo, Config(**SHAPE)),
    "mappo": (mappo, Config(**SHAPE)),
}
HPARAMS: dict[str, Any] = {"entropy": 0.02, "final_entropy": 0.02}
JAXMARL = {"ippo": (-79.1, -89.7), "mappo": (-49.1, -49.3)}  # greedy, by seed; MAPPO with a GRU
RANDOM, STILL = -83.1, -75.9  # play at random, and standing still


def returns(learner: str, num_seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (environment steps [NUM_POINTS], greedy returns [num_seeds, NUM_POINTS])."""
    env = simple_spread(max_steps=EPISODE)
    build, config = LEARNERS[learner]
    algorithm = build(env, config)
    num_updates = NUM_STEPS // algorithm.env_steps
    return learning_curve(
        algorithm,
        env,
        NUM_STEPS,
        NUM_POINTS,
        num_seeds,
        (256, EPISODE),
        "eval_return_sum",
        anneal_updates=num_updates,
        **HPARAMS,
    )


def measure(num_seeds: int) -> Findings:
    """Returns each learner's final return beside JaxMARL's."""
    claims, curves = [], {}
    for learner, theirs in JAXMARL.items():
        curves[learner] = returns(learner, num_seeds)
        last = curves[learner][1][:, -1]
        each = ", ".join(f"{x:.1f}" for x in theirs)
        measured = f"{spread(last, 1)} (least {last.min():.1f})"
        claims.append(Claim(f"`{learner}`", each, "replicated", measured, last.min() > max(theirs)))
    claims.append(
        Claim("random play; standing still", f"{RANDOM}; {STILL}", "replicated", "", None)
    )
    return Findings(claims, picture(curves))


def picture(curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Returns learning curves: every seed thin, the mean thick; JaxMARL's last figures dotted."""
    axes = svg.grid(1, 1, 1080, 420)[0]
    for colour, (learner, (steps, found)) in zip(svg.PALETTE, curves.items()):
        axes.plot(steps / 1e6, found.T, color=colour, lw=0.8, alpha=0.5)
        axes.plot(steps / 1e6, found.mean(0), color=colour, lw=2.5, label=learner)
        theirs = float(np.mean(JAXMARL[learner]))
        axes.axhline(theirs, color=colour, ls=":", lw=1.5)
        axes.text(0.02, theirs + 0.5, f"JaxMARL's {learner}", color=colour)
    axes.axhline(STILL, color=svg.MUTED, lw=1)
    axes.text(0.02, STILL + 0.5, "standing still", color=svg.MUTED)
    axes.set(xlabel="million steps", title="Return of the team in an episode of 26 steps, greedy")
    axes.legend(frameon=False, loc="center right")
    return svg.figure_of(axes)


STUDY = Study(
    "IPPO and MAPPO on cooperative navigation",
    "JaxMARL 0.2.0's baselines (Rutherford et al., 2024), as measured elsewhere",
    measure,
    seeds=4,
)
