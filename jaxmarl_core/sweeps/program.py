"""The compiled program of a part: how its runs start, and a segment of their updates."""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxmarl_core.errors import require
from jaxmarl_core.functional.dividing import DATA, dividing
from jaxmarl_core.functional.packing import compiling_for
from jaxmarl_core.sweeps.batch import pad, sharded
from jaxmarl_core.sweeps.data_parallel import (
    along_runs,
    is_divided,
    num_groups,
    state_shardings,
)
from jaxmarl_core.sweeps.memory import runs_that_fit
from jaxmarl_core.sweeps.spec import Variant


class Program(NamedTuple):
    """What is compiled for some number of runs of one variant, on the devices of a mesh."""

    start: Callable[..., Any]  # (seeds [R], hparams [R]) -> (keys, states), leaves [R, ...]
    segment: Callable[..., Any]  # (keys, states, hparams, first) -> (states, metrics [R, k])
    state: Any  # shapes and shardings of the states, as `start` leaves them
    metrics: tuple[str, ...]  # the names of what a segment reports
    num_bytes: int  # on each device: arguments, results and temporaries
    compile_seconds: float


def start(variant: Variant, seed: jax.Array, row: Any) -> tuple[jax.Array, Any]:
    """Returns (key of the run, first state), as `train(jax.random.key(seed), row)` has them."""
    key_init, key_run = jax.random.split(jax.random.key(seed))
    return key_run, variant.algorithm.init(key_init, row)


def state_like(variant: Variant, num_runs: int) -> Any:
    """Returns the shapes of the states of R runs, leaves [R, ...]; nothing is compiled."""
    begin = jax.vmap(lambda seed, row: start(variant, seed, row))
    return jax.eval_shape(begin, *_arguments(variant, num_runs, None))[1]


def state_bytes(variant: Variant) -> int:
    """Returns the bytes of the state of one run."""
    leaves = jax.tree.leaves(state_like(variant, 1))
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves)


def filled(seeds: Any, hparams: Any, mesh: Mesh) -> tuple[jax.Array, Any]:
    """Returns seeds and hparams of R runs, filled up to a multiple of the devices, on them."""
    runs = pad((jnp.asarray(seeds, jnp.int32), hparams), num_groups(mesh))
    return jax.device_put(runs, along_runs(mesh))


def _arguments(variant: Variant, num_runs: int, sharding: Any) -> tuple[Any, Any]:
    """Returns the shapes of seeds and hparams, leaves [R]."""
    like = lambda dtype: jax.ShapeDtypeStruct((num_runs,), dtype, sharding=sharding)
    return like(jnp.int32), jax.tree.map(lambda leaf: like(leaf.dtype), variant.hparams)


def programs_of(variant: Variant, num_updates: int, mesh: Mesh) -> tuple[Callable, Callable]:
    """Returns the jitted start and segment of runs spread over a mesh, not yet compiled."""
    begin, resume = partial(start, variant), variant.resume(num_updates)
    if not is_divided(mesh):
        segment = sharded(resume, mesh, (0, 0, 0, None), donate=(1,))
        return sharded(begin, mesh, (0, 0)), segment
    told = variant.environment_axes is not None
    require(told, "devices_per_run", f"that of the mesh, {mesh.shape[DATA]}", "a spec with 1")
    runs, state = along_runs(mesh), state_shardings(variant.environment_axes, mesh)
    many = jax.vmap(resume, (0, 0, 0, None))
    return (
        jax.jit(jax.vmap(begin), out_shardings=(runs, state)),
        jax.jit(many, donate_argnums=1, out_shardings=(state, runs)),
    )


def compile_program(
    variant: Variant,
    num_runs: int,
    num_updates: int,
    mesh: Mesh,
    compiling: Callable[[Callable[[], Any]], Any] = lambda compile: compile(),
) -> Program:
    """Returns the program for R runs, whatever their seeds and hparams.

    Args:
      variant: what is run.
      num_runs: R, a multiple of the devices, or of the groups of them that share a run.
      num_updates: k, of a segment.
      mesh: of the devices that the runs are spread over.
      compiling: calls what is handed to it, which takes long.
    """
    arguments = _arguments(variant, num_runs, along_runs(mesh))
    began = time.monotonic()
    starter, segment = programs_of(variant, num_updates, mesh)
    begin = compiling(starter.lower(*arguments).compile)
    # the starter's own shardings: an array without elements has another than one would say
    keys, state = jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        jax.eval_shape(starter, *arguments),
        begin.output_shardings,
    )
    with compiling_for(mesh.devices.flat[0].platform), dividing(mesh):  # which need not be here
        lowered = segment.lower(keys, state, arguments[1], jax.ShapeDtypeStruct((), jnp.int32))
    go_on = compiling(lowered.compile)
    names = tuple(lowered.out_info[1])
    num_bytes = max(map(program_bytes, (begin, go_on)))
    return Program(begin, go_on, state, names, num_bytes, time.monotonic() - began)


class Programs:
    """The programs of a sweep on this machine, each compiled when it is first asked for.

    Args:
      choices: the variants of the sweep.
      mesh: of the devices that runs are spread over.
      compiling: calls what is handed to it, which takes long.
    """

    def __init__(
        self,
        choices: list[Variant],
        mesh: Mesh,
        compiling: Callable[[Callable[[], Any]], Any] = lambda compile: compile(),
    ):
        self.mesh = mesh
        self._choices, self._compiling = choices, compiling
        self._programs: dict[tuple[int, int, int], Program] = {}

    def get(self, index: int, num_runs: int, num_updates: int) -> Program:
        """Returns the program of some runs of variant `index`, filled up to all devices."""
        width = -(-num_runs // num_groups(self.mesh))
        name = (index, width, num_updates)
        if name not in self._programs:
            self._programs[name] = compile_program(
                self._choices[index], width * num_groups(self.mesh), num_updates, self.mesh,
                self._compiling,
            )  # fmt: skip
        return self._programs[name]

    def fitting(self, index: int, num_runs: int, num_updates: int, allowed: float) -> int:
        """Returns how many of R runs of variant `index` to compute together in `allowed` bytes."""
        groups = num_groups(self.mesh)
        each = self.mesh.size // groups
        measure = lambda w: self.get(index, w * groups, num_updates).num_bytes
        least = state_bytes(self._choices[index]) // each
        return runs_that_fit(num_runs, groups, allowed, measure, least, each)

    def measured(self) -> list[dict[str, float]]:
        """Returns what was compiled, for how long, and the bytes of each on a device."""
        return [
            {
                "variant": index,
                "devices": self.mesh.size,
                "runs_per_device": width,  # or per so many that share a run
                "devices_per_run": self.mesh.size // num_groups(self.mesh),
                "bytes_per_device": program.num_bytes,
                "compile_seconds": round(program.compile_seconds, 3),
            }
            for (index, width, _), program in self._programs.items()
        ]


def program_bytes(compiled: Any) -> int:
    """Returns the bytes of one device that a compiled program holds while it runs."""
    memory = compiled.memory_analysis()
    if memory is None:  # a backend that does not tell
        return 0
    return (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
    )
