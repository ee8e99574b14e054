"""IPPO and MAPPO on cooperative navigation, beside JaxMARL's baselines.

A million steps of `simple_spread` in episodes of 26 steps, as JaxMARL's programs play them; then
the team's return in 256 greedy episodes. JaxMARL's figures are of its own programs with their
default options, two seeds, measured on another machine; ours are not tuned beyond what stands here.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos import ippo, mappo
from jaxmarl_core.algos.on_policy.options import Config
from jaxmarl_core.envs import simple_spread
from jaxmarl_core.experiments.study import Claim, Findings, Study, learning_curve, mean_std
from jaxmarl_core.play.evaluate import evaluate
from jaxmarl_core.play.policies import Player, opponent
from jaxmarl_core.report import svg
from jaxmarl_core.types import Policy

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
HPARAMS |= {"huber": 1e6, "max_grad_norm": 0.5}  # what the figures were measured with
JAXMARL = {"ippo": (-79.1, -89.7), "mappo": (-49.1, -49.3)}  # greedy, by seed; MAPPO with a GRU
RANDOM, STILL = -83.1, -75.9  # play at random, and standing still
SAME = 0.02  # of either figure, beyond three standard errors: theirs have one, too


def world():
    """Returns the environment."""
    return simple_spread(max_steps=EPISODE)


def standing_still(env) -> Policy:
    """Returns the policy that does the first action, which moves nobody."""
    act = lambda params, key, timestep, memory: (
        {name: jnp.zeros(group.size, jnp.int32) for name, group in env.groups.items()},
        memory,
    )
    return Policy(memory=lambda: (), act=act, greedy=act)


def played(player: Player) -> np.ndarray:
    """Returns the team's returns [1024], summed over agents, of those who do not learn."""
    env = world()
    play = jax.jit(lambda key: evaluate(key, env, player, 1024, EPISODE, greedy=False))
    episode = play(jax.random.key(1))
    agents = sum(group.size for group in env.groups.values())
    return agents * np.asarray(episode.returns[..., 0])


def returns(learner: str, num_seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (environment steps [NUM_POINTS], greedy returns [num_seeds, NUM_POINTS])."""
    env = world()
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
        measured = f"{mean_std(last, 1)} (least {last.min():.1f})"
        claims.append(Claim(f"`{learner}`", each, "replicated", measured, last.min() > max(theirs)))
    for what, published, found in (
        ("play at random", RANDOM, played(opponent("random", world()))),
        ("standing still", STILL, played(Player(standing_still(world()), ()))),
    ):
        error = float(found.std()) / len(found) ** 0.5
        met = abs(float(found.mean()) - published) <= 3 * error + SAME * abs(published)
        measured = f"{found.mean():.1f} ± {error:.1f}"
        claims.append(Claim(what, f"{published}", "replicated", measured, met))
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
    published="two seeds of about 1,000,000 steps, measured by running JaxMARL's programs.",
    rule="our least seed is above their better one; who does not learn is as good to 2 % and three "
    "standard errors.",
    seeds=4,
)
