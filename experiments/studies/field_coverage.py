"""Drones learn to share out a field: episodes grow short, if their features tell of each other.

Two drones in a box of 7 x 7 x 4 and a field of 10 cells, as a published re-implementation has them:
alpha 0.1, gamma 0.9, epsilon from 0.95 to 0.05 as e^(-t / 10000), at most 2,000 steps an episode,
0.1 for the task done. It plays 500 episodes; here all runs play 60,000 steps. Two representations:
the paper's fixed sparse one, each coordinate of each drone one-hot, and eight radial basis
functions of a drone's own place. Joint actions are those with the largest product of values, as in
the published code. Episodes are said to grow short and the sparse representation to do better;
curves of the paper were not at hand. The shortest episode possible is computed by planning.

Pham, La, Feil-Seifer & Nefian, 2018, arXiv:1803.07250.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from matplotlib.figure import Figure

from jaxmarl_core.algos.tabular.linear_q import Config, linear_q
from jaxmarl_core.envs import field_coverage
from jaxmarl_core.envs.gridworlds.field_coverage import FieldCoverage
from jaxmarl_core.experiments.study import Claim, Findings, Study, mean_std
from jaxmarl_core.report import svg
from jaxmarl_core.spaces import Box
from jaxmarl_core.sweeps.batch import run_mesh, sharded
from jaxmarl_core.types import Actions, EnvState, Key, StateEnvironment, TimeStep

BLOCK, NUM_BLOCKS, LATE = 1000, 60, 10  # steps, blocks, and of them the last that count as the end
SURE = 0.95  # of runs in which episodes grow shorter
NEAR = 2.0  # times the shortest episode: exploring never stops, one step in twenty is random


@struct.dataclass
class RadialBasis(StateEnvironment):
    """The drones' task, of which each sees its own radial basis functions, [N, 8] in [0, 1]."""

    env: FieldCoverage

    @property
    def groups(self):
        (drones,) = self.env.groups.values()
        return {"drones": drones._replace(observation=Box((8,), 0.0, 1.0))}

    def initial(self, key: Key) -> EnvState:
        return self.env.initial(key)

    def advance(self, key: Key, state: EnvState, actions: Actions) -> EnvState:
        return self.env.advance(key, state, actions)

    def observe(self, state: EnvState) -> TimeStep:
        observation = {"drones": self.env.radial_basis(state)}
        return dataclasses.replace(self.env.observe(state), observation=observation)


WORLDS = {
    "sparse": lambda: field_coverage(observation="features"),
    "radial": lambda: RadialBasis(field_coverage()),
}


def shortest() -> int:
    """Returns the fewest steps in which the task can be done, by breadth-first search."""
    env = field_coverage(max_steps=None)
    joint = jnp.asarray(np.indices((6, 6)).reshape(2, -1).T, jnp.int32)
    start = int(env.encode(env.initial(jax.random.key(0))))

    def successors(index):
        state = env.decode(index)
        after = jax.vmap(lambda a: env.encode(env.move(state, a, jnp.int32(0))))(joint)
        return after, env.terminal(state)

    states = jnp.arange(env.num_states)
    after, done = jax.jit(lambda s: jax.lax.map(successors, s, batch_size=2048))(states)
    after, reached = np.asarray(after), np.asarray(done)
    for steps in range(1000):
        if reached[start]:
            return steps
        reached = reached | reached[after].any(axis=1)
    raise ValueError("field: expected one that can be covered, got none of its states reached")


def lengths(world: str, num_seeds: int) -> tuple[jax.Array, jax.Array]:
    """Returns episodes ended and their mean length (NaN: none), [num_seeds, NUM_BLOCKS] each."""
    algorithm = linear_q(WORLDS[world](), Config(BLOCK, "product"))
    hp = algorithm.hparams
    mesh = run_mesh()
    keys = jax.vmap(jax.random.key)(jnp.arange(-(-num_seeds // mesh.size) * mesh.size))

    def run(key):
        def block(state, update_index):
            key_update = jax.random.fold_in(key, update_index)
            state, metrics = algorithm.update(key_update, state, hp, update_index)
            return state, (metrics["episode_count"], metrics["episode_length"])

        return jax.lax.scan(block, algorithm.init(key, hp), jnp.arange(NUM_BLOCKS))[1]

    return jax.tree.map(lambda x: x[:num_seeds], sharded(run, mesh, (0,))(keys))


def mean_length(count: jax.Array, length: jax.Array) -> jax.Array:
    """Returns the mean length of the episodes of some blocks, NaN if none; [R]."""
    total = jnp.where(count > 0, count * jnp.where(count > 0, length, 0.0), 0.0)
    return total.sum(axis=1) / count.sum(axis=1)


def measure(num_seeds: int) -> Findings:
    """Returns how long episodes are at first and in the end, with both representations."""
    claims, found, late = [], {}, {}
    least = shortest()
    for world in WORLDS:
        found[world] = count, length = lengths(world, num_seeds)
        early = mean_length(count[:, :LATE], length[:, :LATE])
        late[world] = mean_length(count[:, -LATE:], length[:, -LATE:])
        shorter = bool((late[world] < early).mean() > SURE)
        what = f"{world}: episode length in the last {LATE * BLOCK} steps"
        published = "shorter than in the first"
        measured = f"{mean_std(late[world], 1)}; in the first {mean_std(early, 1)}"
        claims.append(Claim(what, published, "second-hand", measured, shorter))
    better = float((late["sparse"] < late["radial"]).mean())
    measured = f"in {100 * better:.0f} % of runs"
    claims.append(Claim("sparse beats radial", "yes", "second-hand", measured, better > 0.5))
    met = bool(late["sparse"].mean() <= NEAR * least)
    measured = f"{float(late['sparse'].mean() / least):.2f} times"
    claims.append(
        Claim("sparse, over the shortest possible", f"{least} steps", "exact", measured, met)
    )
    return Findings(claims, picture(found, least))


def picture(found, least: int) -> Figure:
    """Returns the median run's episode length over steps, and the middle half of runs."""
    axes = svg.grid(1, 1, 1080, 360)[0]
    steps = BLOCK * (1 + np.arange(NUM_BLOCKS))
    for colour, (world, (count, length)) in zip(svg.PALETTE, found.items()):
        shown = np.where(np.asarray(count) > 0, np.asarray(length), np.nan)
        low, middle, high = np.nanquantile(shown, (0.25, 0.5, 0.75), axis=0)
        axes.plot(steps, middle, color=colour, label=world, lw=2)
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, lw=0)
    axes.axhline(least, color=svg.MUTED, ls="--", lw=1.5, label="shortest possible")
    axes.set_yscale("log")
    axes.set_title("Steps until the field is covered")
    axes.set_xlabel("steps played")
    axes.legend(frameon=False)
    return svg.figure_of(axes)


STUDY = Study(
    "Drones that share out a field",
    "Pham, La, Feil-Seifer & Nefian, 2018, arXiv:1803.07250",
    measure,
    published="second-hand, that episodes grow short over 500 of them, sparse features doing "
    "better.",
    rule="episodes grow shorter in 95 % of the runs, sparse ones to at most twice the shortest.",
)
