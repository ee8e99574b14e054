"""Experience replay: our ring buffer beside flashbax, inside jit and vmap.

One cycle is what an update of a mean-field learner does in each of 8 runs: write 16 steps of a
battle's team (64 agents, views of 13 x 13 x 7), draw 256 transitions of single agents. All store
the same 128 steps; flashbax's trajectory buffer keeps them as 64 sequences drawn in pairs, its item
buffer as single transitions that hold both observations.

    python -m jaxmarl_core.experiments.benchmarks.replay
"""

import importlib
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.learners import replay

RUNS, AGENTS, BLOCK, CAPACITY, BATCH = 8, 64, 16, 128, 256
CYCLES, REPEATS = 4, 7


class Candidate(NamedTuple):
    """A replay of one run: how it begins, takes a block, and hands out transitions."""

    empty: Callable[[], Any]
    write: Callable[[Any, Any, jax.Array], Any]
    draw: Callable[[jax.Array, Any, jax.Array], Any]  # leaves [BATCH, ...], twice


def entry() -> dict[str, jax.Array]:
    """Returns what one step of one team showed and did, leaves [AGENTS, ...]."""
    return {
        "observation": jnp.zeros((AGENTS, 13, 13, 7)),
        "features": jnp.zeros((AGENTS, 34)),
        "mean_action": jnp.zeros((AGENTS, 21)),
        "action": jnp.zeros(AGENTS, jnp.int32),
        "reward": jnp.zeros(AGENTS),
        "discount": jnp.zeros(AGENTS),
        "alive": jnp.zeros(AGENTS, bool),
    }


def ours() -> Candidate:
    """Returns our ring buffer: a transition is an entry with its successor."""
    no_end = jnp.zeros((CAPACITY, 1), bool)

    def draw(key, stored, update_index):
        key_time, key_agent = jax.random.split(key)
        times, _ = replay.sample_transitions(key_time, no_end, BLOCK, update_index, BATCH)
        agents = jax.random.randint(key_agent, (BATCH,), 0, AGENTS)
        return replay.gather(stored, times, agents), replay.gather(stored, times + 1, agents)

    return Candidate(
        lambda: replay.empty_buffer(entry(), CAPACITY, BLOCK), replay.write_block, draw
    )


def trajectories() -> Candidate:
    """Returns flashbax's trajectory buffer, agents being its batch axis."""
    buffer = importlib.import_module("flashbax").make_trajectory_buffer(
        add_batch_size=AGENTS,
        sample_batch_size=BATCH,
        sample_sequence_length=2,
        period=1,
        min_length_time_axis=2,
        max_length_time_axis=CAPACITY,
    )

    def write(state, block, update_index):
        return buffer.add(state, jax.tree.map(lambda x: x.swapaxes(0, 1), block))

    def draw(key, state, update_index):
        pairs = buffer.sample(state, key).experience  # [BATCH, 2, ...]
        return tuple(jax.tree.map(lambda x, i=i: x[:, i], pairs) for i in (0, 1))

    return Candidate(lambda: buffer.init(jax.tree.map(lambda x: x[0], entry())), write, draw)


def items() -> Candidate:
    """Returns flashbax's item buffer of transitions, each with both its observations."""
    buffer = importlib.import_module("flashbax").make_item_buffer(
        max_length=CAPACITY * AGENTS,
        min_length=1,
        sample_batch_size=BATCH,
        add_sequences=False,
        add_batches=True,
    )

    def flat(x):
        return x.reshape(-1, *x.shape[2:])

    def write(state, block, update_index):
        following = jax.tree.map(lambda x: jnp.roll(x, -1, axis=0), block)
        return buffer.add(state, jax.tree.map(flat, (block, following)))

    def draw(key, state, update_index):
        return buffer.sample(state, key).experience

    def empty():
        one = jax.tree.map(lambda x: x[0], entry())
        return buffer.init((one, one))

    return Candidate(empty, write, draw)


def cycles(candidate: Candidate, state: Any, keys: jax.Array, block: Any, first: jax.Array) -> Any:
    """Returns the state and a checksum after CYCLES writes and draws in all runs."""

    def one(carry, update_index):
        state, total = carry
        state = jax.vmap(candidate.write, (0, 0, None))(state, block, update_index)
        now = jax.vmap(jax.random.fold_in, (0, None))(keys, update_index)
        drawn = jax.vmap(candidate.draw, (0, 0, None))(now, state, update_index)
        return (state, total + sum(x.sum() for x in jax.tree.leaves(drawn))), None

    return jax.lax.scan(one, (state, jnp.float32(0)), first + jnp.arange(CYCLES))[0]


def milliseconds(candidate: Candidate) -> float:
    """Returns the median time of one cycle of all runs, once the replay is full."""
    spread = lambda tree: jax.tree.map(lambda x: jnp.repeat(x[None], RUNS, axis=0), tree)
    state = spread(candidate.empty())
    block = spread(jax.tree.map(lambda x: jnp.ones((BLOCK, *x.shape), x.dtype), entry()))
    keys = jax.random.split(jax.random.key(0), RUNS)
    program = jax.jit(partial(cycles, candidate), donate_argnums=0)
    seconds = []
    for repeat in range(CAPACITY // BLOCK // CYCLES + REPEATS):
        began = time.perf_counter()
        state, _ = jax.block_until_ready(program(state, keys, block, repeat * CYCLES))
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[-REPEATS:]) / CYCLES


def main() -> None:
    """Prints the table."""
    print(f"{RUNS} runs, {BLOCK} steps of {AGENTS} agents written, {BATCH} transitions drawn")
    for name, make in (
        ("ring", ours),
        ("flashbax trajectory buffer", trajectories),
        ("flashbax item buffer", items),
    ):
        print(f"{name:28}{milliseconds(make()):8.1f} ms a cycle", flush=True)


if __name__ == "__main__":
    main()
