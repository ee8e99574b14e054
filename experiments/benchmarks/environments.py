"""Throughput of every environment under random play, beside JaxMARL's where it has the same world.

One harness for both sides: a compiled loop of steps over vmapped copies with automatic reset,
sharded over as many CPU devices as there are cores, as the command line does it. Actions are drawn
in the loop, one draw for each kind of action; what agents see (observations, masks, rewards, ends)
is carried, so that all of it is computed and written in every step. The critic's `state`, which
JaxMARL does not always give, is left out on both sides. The two sides are measured in turn, so that
a busy machine slows both; figures are medians.

    python -m jaxmarl_core.experiments.benchmarks.environments [NAME ...]
"""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.play.wrappers import AutoReset
from jaxmarl_core.spaces import Box, Composite, Discrete, Space
from jaxmarl_core.types import Environment

COPIES = (1, 64, 1024, 16384)
THEIR_COPIES = (1024, 16384)  # where JaxMARL is measured too: most of the time is its compilation
REPEATS = 3
SECONDS = 0.1  # aimed at, for one measurement
LONGEST_STEP = 0.5  # seconds: larger batches of a world that takes longer are left out
MOST_BYTES = 2**31  # that the states and what is seen of them may fill
WORKER = "JAXMARL_BENCH_ENVIRONMENTS"  # set in the process that measures
OPTIONS: dict[str, dict[str, Any]] = {}  # of environments that are best measured with others
THEIRS: dict[str, tuple[str, dict[str, Any]]] = {  # name here -> (id, options) in JaxMARL
    "simple": ("MPE_simple_v3", {}),
    "simple_adversary": ("MPE_simple_adversary_v3", {}),
    "simple_crypto": ("MPE_simple_crypto_v3", {}),
    "simple_push": ("MPE_simple_push_v3", {}),
    "simple_reference": ("MPE_simple_reference_v3", {"action_type": "Discrete"}),
    "simple_speaker_listener": ("MPE_simple_speaker_listener_v4", {"action_type": "Discrete"}),
    "simple_spread": ("MPE_simple_spread_v3", {}),
    "simple_tag": ("MPE_simple_tag_v3", {}),
    "simple_world_comm": ("MPE_simple_world_comm_v3", {"action_type": "Discrete"}),
}


class Side(NamedTuple):
    """A world to measure: batched functions of (key, number of copies, ...)."""

    reset: Callable  # (key, copies) -> (state, seen)
    step: Callable  # (key, copies, state, seen) -> (state, seen)


def draw(key: jax.Array, space: Space, shape: tuple[int, ...]) -> Any:
    """Returns actions of a space, drawn in one flat call: the cheapest way on a CPU."""
    if isinstance(space, Composite):
        keys = jax.random.split(key, len(space.items))
        return {name: draw(k, part, shape) for k, (name, part) in zip(keys, space.items)}
    if isinstance(space, Discrete):
        flat = jax.random.randint(key, (math.prod(shape),), 0, space.num_values)
        return flat.reshape(shape)
    assert isinstance(space, Box)
    low, high = max(space.low, -1.0), min(space.high, 1.0)
    shape = (*shape, *space.shape)
    flat = jax.random.uniform(key, (math.prod(shape),), jnp.float32, low, high)
    return flat.reshape(shape).astype(space.dtype)


def ours(env: Environment) -> Side:
    """Returns one of our environments, playing on after its ends."""
    world = AutoReset(env)

    def seen(timestep):
        return (timestep.observation, timestep.action_mask, timestep.alive, timestep.reward,
                timestep.discount, timestep.last)  # fmt: skip

    def reset(key, copies):
        state, timestep = jax.vmap(world.reset)(jax.random.split(key, copies))
        return state, seen(timestep)

    def step(key, copies, state, seen_before):
        key_step, *keys = jax.random.split(key, 1 + len(world.groups))
        masks = seen_before[1]
        actions = {}
        for k, (name, group) in zip(keys, world.groups.items()):
            if name in masks:  # the largest of random numbers among the legal actions
                flat = jax.random.uniform(k, (masks[name].size,)).reshape(masks[name].shape)
                actions[name] = jnp.where(masks[name], flat, -1.0).argmax(-1).astype(jnp.int32)
            else:
                actions[name] = draw(k, group.action, (copies, group.size))
        keys = jax.random.split(key_step, copies)
        state, timestep = jax.vmap(world.step)(keys, state, actions)
        return state, seen(timestep)

    return Side(reset, step)


def theirs(name: str, options: dict[str, Any]) -> Side:
    """Returns an environment of JaxMARL with discrete actions; its `step` resets by itself."""
    import jaxmarl

    env = jaxmarl.make(name, **options)
    kinds: dict[int, list[str]] = {}
    for agent in env.agents:
        space: Any = env.action_space(agent)
        kinds.setdefault(int(space.n), []).append(agent)

    def step(key, copies, state, seen_before):
        key_step, *keys = jax.random.split(key, 1 + len(kinds))
        actions = {}
        for k, (num_actions, agents) in zip(keys, kinds.items()):
            drawn = draw(k, Discrete(num_actions), (len(agents), copies))
            actions.update(zip(agents, drawn))
        keys = jax.random.split(key_step, copies)
        observation, state, reward, done, _ = jax.vmap(env.step)(keys, state, actions)
        return state, (observation, reward, done)

    def reset(key, copies):
        _, state = jax.vmap(env.reset)(jax.random.split(key, copies))
        later = jax.eval_shape(lambda state: step(key, copies, state, None), state)
        state = jax.tree.map(lambda x, y: x.astype(y.dtype), state, later[0])
        return state, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), later[1])

    return Side(reset, step)


def program(side: Side, copies: int, num_devices: int) -> Callable[[int], float]:
    """Returns a function that plays so many more steps in every copy, and its seconds."""
    share = copies // num_devices
    mesh = Mesh(np.array(jax.devices()[:num_devices]), ("run",))
    shard = PartitionSpec("run")

    def sharded(function, **options):
        both = jax.shard_map(function, mesh=mesh, out_specs=shard, check_vma=False, **options)
        return jax.jit(both, donate_argnums=1 if len(options["in_specs"]) > 1 else ())

    def play(key, carry, num_steps):
        turn = lambda i, carry: side.step(jax.random.fold_in(key[0], i), share, *carry)
        return jax.lax.fori_loop(0, num_steps, turn, carry)

    begin = sharded(lambda key: side.reset(key[0], share), in_specs=(shard,))
    more = sharded(play, in_specs=(shard, shard, PartitionSpec()))
    carry = begin(jax.random.split(jax.random.key(0), num_devices))
    calls = 0

    def run(num_steps: int) -> float:
        nonlocal carry, calls
        calls += 1
        keys = jax.random.split(jax.random.key(calls), num_devices)
        jax.block_until_ready((carry, keys))
        start = time.perf_counter()
        carry = more(keys, carry, jnp.int32(num_steps))
        jax.block_until_ready(carry)
        return time.perf_counter() - start

    run(1)  # compiles
    return run


def num_bytes(side: Side, copies: int) -> int:
    """Returns the size of the states of so many copies, and of what is seen of them."""
    one = jax.eval_shape(lambda key: side.reset(key, 1), jax.random.key(0))
    return copies * sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(one))


def throughput(sides: list[Side], copies: int, num_devices: int) -> list[float]:
    """Returns each side's median env-steps/s, all measured in turn."""
    runs, steps = [program(side, copies, num_devices) for side in sides], []
    for run in runs:
        probe, spent = 1, run(1)
        while spent < SECONDS / 8 and probe < 2**16:
            probe *= 4
            spent = run(probe)
        steps.append(max(1, int(probe * SECONDS / spent)))
    seconds = [[run(n) for run, n in zip(runs, steps)] for _ in range(REPEATS)]
    return [copies * n / float(np.median(column)) for n, column in zip(steps, zip(*seconds))]


def measure(names: Iterable[str]) -> Iterator[str]:
    """Yields one line for every environment and number of copies."""
    for name in names:
        try:
            sides = [ours(ENVIRONMENTS[name](**OPTIONS.get(name, {})))]
            if name in THEIRS:
                sides.append(theirs(*THEIRS[name]))
        except (ImportError, ValueError, TypeError) as error:  # it needs an extra, or a name
            yield f"{name:24} left out: {str(error).splitlines()[0]}"
            continue
        yield from _lines(name, sides)


def _lines(name: str, sides: list[Side]) -> Iterator[str]:
    for copies in COPIES:
        num_devices = math.gcd(copies, jax.device_count())
        size = num_bytes(sides[0], copies)
        if size > MOST_BYTES:
            yield f"{name:24} {copies:6} left out: {size / 2**30:.0f} GiB of states and views"
            return
        compared = sides if copies in THEIR_COPIES else sides[:1]
        speeds = throughput(compared, copies, num_devices)
        line = f"{name:24} {copies:6} {num_devices:7} {speeds[0]:14,.0f}"
        if len(speeds) > 1:
            line += f" {speeds[1]:14,.0f} {speeds[0] / speeds[1]:8.1f}"
        yield line
        if copies / speeds[0] > LONGEST_STEP / 16 and copies < COPIES[-1]:
            yield f"{name:24} more copies left out: a step takes {copies / speeds[0]:.2g} s"
            return


def _worker(names: list[str]) -> None:
    header = ("copies", "devices", "env-steps/s", "JaxMARL", "ratio")
    print("{:24} {:>6} {:>7} {:>14} {:>14} {:>8}".format("", *header), flush=True)
    for line in measure(names):
        print(line, flush=True)


def main(names: Iterable[str] = ()) -> None:
    """Prints the table, for all environments by default."""
    cores = len(os.sched_getaffinity(0))
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={cores}"
    subprocess.run(
        [sys.executable, "-m", "jaxmarl_core.experiments.benchmarks.environments", *names],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", WORKER: "1"},
        check=True,
    )


if __name__ == "__main__":
    chosen = sys.argv[1:]
    if WORKER in os.environ:
        _worker(chosen or sorted(ENVIRONMENTS))
    else:
        main(chosen)
