"""Cutting a sweep into parts that fit in memory; a part is one program.

What a run computes does not depend on the part it is in, but for rounding (another batch width may
round differently); what a part is depends on the spec and the machine's memory alone, so that a
sweep is resumed with the same programs.
"""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxmarl_core import hparams as hp
from jaxmarl_core.errors import require
from jaxmarl_core.sweeps.batch import pad, pairs, run_mesh, sharded
from jaxmarl_core.sweeps.spec import Spec, Variant


class Part(NamedTuple):
    """Runs of one variant that are computed together."""

    folder: Path
    variant: Variant
    numbers: np.ndarray  # [R] of each run in the sweep
    seeds: np.ndarray  # [R]
    hparams: Any  # leaves [R] f32


def cut(spec: Spec, choices: list[Variant], out: Path) -> Iterator[Part]:
    """Yields the parts of a sweep, in order; the same spec on the same machine is cut alike."""
    seeds = spec.first_seed + np.arange(spec.seeds)
    first, number = 0, 0
    for variant in choices:
        run_seeds, hparams = pairs(jnp.asarray(seeds), variant.hparams)
        num_runs = len(run_seeds)
        size = _part_size(spec, variant, num_runs)
        for start in range(0, num_runs, size):
            some = slice(start, min(start + size, num_runs))
            yield Part(
                out / f"part-{number:03d}",
                variant,
                first + np.arange(some.start, some.stop),
                np.asarray(run_seeds[some]),
                jax.tree.map(lambda leaf, some=some: leaf[some], hparams),
            )
            number += 1
        first += num_runs


def _part_size(spec: Spec, variant: Variant, num_runs: int) -> int:
    """Returns how many runs to compute together: all, or equal shares that fit in memory."""
    key, row = jax.eval_shape(lambda: jax.random.key(0)), hp.row(variant.hparams, 0)
    state = jax.eval_shape(variant.algorithm.init, key, row)
    each = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))
    # twice the state: a program holds what it reads beside what it writes
    fit = int(_memory_bytes(spec) // (2 * each))
    require(
        fit >= 1,
        "memory_gb",
        f"at least {2 * each / 2**30:.2f}, what one run needs",
        f"{_memory_bytes(spec) / 2**30:.2f}",
    )
    num_parts = math.ceil(num_runs / fit)
    return math.ceil(num_runs / num_parts)


def _memory_bytes(spec: Spec) -> float:
    if spec.memory_gb:
        return spec.memory_gb * 2**30
    # fixed per machine, not what happens to be free: a resumed sweep must be cut alike
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return 0.5 * stats["bytes_limit"] * len(jax.devices())
    return 0.5 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _start(variant: Variant, seed: jax.Array, row: Any) -> tuple[jax.Array, Any]:
    """Returns (key of the run, first state), as `train(jax.random.key(seed), row)` has them."""
    key_init, key_run = jax.random.split(jax.random.key(seed))
    return key_run, variant.algorithm.init(key_init, row)


def padded(part: Part, mesh: Mesh) -> tuple[jax.Array, Any]:
    """Returns the part's seeds and hparams, rounded up to a multiple of the mesh's devices."""
    return pad((jnp.asarray(part.seeds), part.hparams), mesh.size)


def starter(part: Part, mesh: Mesh) -> Callable:
    """Returns the jitted function from (seeds, hparams) of runs to their keys and states."""
    return sharded(lambda seed, row: _start(part.variant, seed, row), mesh, (0, 0))


def like(part: Part) -> Any:
    """Returns the shapes and shardings of the state of a part's runs."""
    mesh = run_mesh()
    _, shapes = jax.eval_shape(starter(part, mesh), *padded(part, mesh))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("run"))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=spread), shapes)


def program(spec: Spec, part: Part) -> dict[str, Any]:
    """Returns what must be equal for a checkpoint to be gone on with."""
    fields = ("algorithm", "environment", "environment_options", "config", "evaluation")
    asked = {name: value for name, value in spec.to_dict().items() if name in fields}
    swept = {
        "static": part.variant.static,
        "seeds": part.seeds.tolist(),
        "hparams": {
            n: np.asarray(getattr(part.hparams, n)).tolist() for n in hp.names(part.hparams)
        },
        "segment": spec.segment_length,
    }
    return asked | swept


def run_records(part: Part) -> list[dict[str, Any]]:
    """Returns what is written down of each run: number, seed, hparams, swept static options."""
    return [
        {
            "run": int(number),
            "seed": int(seed),
            "hparams": {name: getattr(row, name) for name in hp.names(row)},
            "static": part.variant.static,
            "env_steps_per_update": part.variant.algorithm.env_steps,
        }
        for number, seed, row in zip(
            part.numbers,
            part.seeds,
            (hp.row(jax.tree.map(np.asarray, part.hparams), i) for i in range(len(part.numbers))),
        )
    ]
