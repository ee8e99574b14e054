"""MADDPG and independent DDPG play each other: communication, deception, pursuit.

Each learns by itself, all agents of a world alike; then the good side of one meets the bad side of
the other, seed by seed. What the paper claims is an order: agents with critics of everybody's
actions are better partners and better opponents than those without. Worlds are in the older
physics, discrete, in episodes of 25 steps; 400,000 env steps, where the paper plays 25,000 to
100,000 episodes, 0.6 to 2.5 million steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from jaxmarl_core.algos import iddpg, maddpg
from jaxmarl_core.algos.off_policy.options import Config
from jaxmarl_core.envs import simple_adversary, simple_speaker_listener, simple_tag
from jaxmarl_core.experiments import unfinished
from jaxmarl_core.experiments.study import Claim, Findings, Study, mean_std, over_seeds
from jaxmarl_core.play.evaluate import evaluate
from jaxmarl_core.play.policies import Player, joint, random_policy
from jaxmarl_core.report import svg
from jaxmarl_core.types import Environment

NUM_STEPS, EPISODE, NUM_EPISODES = 400_000, 25, 500
CONFIG = Config(
    num_envs=16,
    rollout_length=EPISODE,
    num_gradient_steps=8,
    batch_size=512,
    buffer_length=20_000,
)
HPARAMS: dict[str, Any] = {
    "learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
    "gamma": 0.95,
    "tau": 0.01,
    "max_grad_norm": 0.5,
    "learning_starts": 20_000,
}
LEARNERS = {"MADDPG": maddpg, "DDPG": iddpg}
GOOD, BAD = 0, 1


class World(NamedTuple):
    """An environment, and the team whose return tells who is ahead."""

    title: str
    build: Callable[..., Environment]
    team: int


SETTINGS: dict[str, Any] = {"max_steps": EPISODE, "integration": "legacy"}
WORLDS = (
    World("communication", simple_speaker_listener, GOOD),
    World("deception", simple_adversary, GOOD),
    World("pursuit", simple_tag, BAD),
)

Table = dict[tuple[str, str], np.ndarray]  # (good side, bad side) -> [num_seeds]


def cross_play(world: World, num_seeds: int) -> Table:
    """Returns what the world's team earns in an episode, for every pair of sides.

    Where there is one team, only of a learner with itself.
    """
    env = world.build(**SETTINGS)
    algorithms = {name: build(env, CONFIG) for name, build in LEARNERS.items()}
    params = {
        name: over_seeds(
            algorithm, env, NUM_STEPS, num_seeds, lambda state, _: state.params, **HPARAMS
        )
        for name, algorithm in algorithms.items()
    }
    sides = sorted({group.team for group in env.groups.values()})

    def earned(good: str, bad: str) -> np.ndarray:
        def one(key, good_params, bad_params):
            own = {
                GOOD: Player(algorithms[good].policy, good_params),
                BAD: Player(algorithms[bad].policy, bad_params),
            }
            player = joint(env, {name: own[group.team] for name, group in env.groups.items()})
            episode = evaluate(key, env, player, NUM_EPISODES, EPISODE, False)
            return episode.returns[:, world.team].mean()

        keys = jax.random.split(jax.random.key(1), num_seeds)
        return np.asarray(jax.jit(jax.vmap(one))(keys, params[good], params[bad]))

    pairs = [(good, bad) for good in LEARNERS for bad in LEARNERS if len(sides) > 1 or good == bad]
    return {pair: earned(*pair) for pair in pairs}


def kept(world: World, num_seeds: int) -> Table:
    """Returns `cross_play`, which an earlier start of the study may have found."""
    compute = lambda: {" v ".join(pair): x for pair, x in cross_play(world, num_seeds).items()}
    found = unfinished.part(__name__, f"{world.title}, {num_seeds} seeds", compute)
    return {(good, bad): x for pair, x in found.items() for good, bad in [pair.split(" v ")]}


def at_random(world: World) -> float:
    """Returns what the world's team earns in an episode in which everybody acts at random."""
    env = world.build(**SETTINGS)
    player = Player(random_policy(env), ())
    play = jax.jit(lambda key: evaluate(key, env, player, NUM_EPISODES, EPISODE, False))
    return float(play(jax.random.key(2)).returns[:, world.team].mean())


def measure(num_seeds: int) -> Findings:
    """Returns who is ahead in each world, and by how much."""
    claims, tables = [], {}
    for world in WORLDS:
        table = tables[world.title] = kept(world, num_seeds)
        if len(table) == len(LEARNERS):
            ours, theirs = table["MADDPG", "MADDPG"], table["DDPG", "DDPG"]
            what = f"{world.title}: MADDPG's pair earns more than DDPG's"
        else:
            ours, theirs = table["MADDPG", "DDPG"], table["DDPG", "MADDPG"]
            if world.team == BAD:
                ours, theirs = theirs, ours
            what = f"{world.title}: MADDPG's side against DDPG's earns more than the reverse"
        measured = (
            f"{mean_std(ours, 2)} and {mean_std(theirs, 2)}; at random {at_random(world):.2f}"
        )
        error = float(jnp.sqrt((ours.var() + theirs.var()) / num_seeds))
        met = bool(ours.mean() - theirs.mean() > error)
        claims.append(Claim(what, "ahead", "claim", measured, met))
    return Findings(claims, picture(tables))


def picture(tables: dict[str, Table]) -> Figure:
    """Returns what every pair of sides earned in each world: seeds, and their mean."""
    all_axes = svg.grid(len(tables), len(tables), 1080, 320)
    for axes, (title, table) in zip(all_axes, tables.items()):
        for at, (colour, found) in enumerate(zip(svg.PALETTE, table.values())):
            axes.plot(np.full(len(found), at), found, "o", color=colour, alpha=0.6)
            axes.plot([at - 0.3, at + 0.3], [found.mean()] * 2, color=colour)
        axes.set(title=title, xticks=range(len(table)))
        axes.set_xticklabels([" v ".join(dict.fromkeys(pair)) for pair in table], rotation=20)
    return svg.figure_of(all_axes[0])


STUDY = Study(
    "MADDPG against DDPG",
    "Lowe et al., 2017, NeurIPS, arXiv:1706.02275, section 5",
    measure,
    published="MADDPG's agents reach the landmark that they are told of far more often than DDPG's "
    "(communication), deceive DDPG's adversary better than the reverse, and touch DDPG's prey more "
    "often than the reverse; figures are in the appendix's tables.",
    rule="MADDPG's side is ahead by more than the standard error of the difference.",
    seeds=4,
)
