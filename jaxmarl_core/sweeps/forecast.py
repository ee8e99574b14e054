"""What a sweep would ask of a device: parts, memory, kernels, arithmetic, time to compile.

Read from the compiled program, which nothing here runs. So it is known for a device that is not
here, too (see `devices`).
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxmarl_core import hparams as hp
from jaxmarl_core.sweeps import loop_nest as nest
from jaxmarl_core.sweeps.data_parallel import divided_mesh, num_groups
from jaxmarl_core.sweeps.devices import Device
from jaxmarl_core.sweeps.memory import bytes_allowed
from jaxmarl_core.sweeps.program import Programs, state_bytes, state_like
from jaxmarl_core.sweeps.saved_run import named_opponents, trained
from jaxmarl_core.sweeps.spec import Spec, Variant, variants
from jaxmarl_core.sweeps.work import product_flops
from jaxmarl_core.train import Schedule


class Forecast(NamedTuple):
    """Of a variant of a sweep. Bytes are of one device; what is of an update is of a whole part."""

    static: dict[str, Any]  # the options of this variant alone
    num_runs: int
    runs_per_part: int
    num_devices: int  # that the runs of a part are spread over, or groups that share a run
    devices_per_run: int
    state_bytes: int  # of a run, as it is saved
    held_bytes: int  # of a part between updates: states and arguments, as they lie in memory
    temporary_bytes: int  # of a part while it learns
    num_bytes: int  # of a part in all
    compile_seconds: float
    kernels: float  # an update, evaluated or not; 0 where the device is a CPU, which launches none
    host_decided: int  # loops whose length is decided while they run
    large_copies: int  # of a megabyte and more, in a segment
    product_flops: float  # an update
    bytes_moved: float  # an update, had the device no cache
    loops: list[nest.Loop]  # of a segment

    @property
    def runs_per_device(self) -> int:
        return math.ceil(self.runs_per_part / self.num_devices)

    @property
    def num_parts(self) -> int:
        return math.ceil(self.num_runs / self.runs_per_part)


def forecast(spec: Spec, mesh: Mesh, device: Device | None = None) -> list[Forecast]:
    """Returns what each variant of a sweep would ask of the devices of a mesh.

    Args:
      spec: of the sweep.
      mesh: of devices, here or described.
      device: what is known of them, where they are not here.

    Raises:
      ValueError: one run does not fit.
    """
    choices = variants(spec, trained(named_opponents(spec.against)))
    mesh = divided_mesh(mesh, spec.devices_per_run)
    programs = Programs(choices, mesh)
    allowed = bytes_allowed(spec.memory_gb, mesh, device.num_bytes if device else 0)
    return [
        of_variant(spec, index, variant, programs, allowed) for index, variant in enumerate(choices)
    ]


def of_variant(
    spec: Spec, index: int, variant: Variant, programs: Programs, allowed: float
) -> Forecast:
    """Returns what one variant asks, cut into parts as `allowed` bytes a device have it."""
    num_devices, updates = num_groups(programs.mesh), variant.schedule.num_updates
    length = spec.segment_of(updates, updates)
    asked = spec.asking.batch if spec.asking is not None else hp.num_rows(variant.hparams)
    num_runs = spec.seeds * asked  # at a time
    size = programs.fitting(index, num_runs, length, allowed)
    program = programs.get(index, size, length)
    memory = program.segment.memory_analysis()
    loops = nest.loop_nest(program.segment.as_text())
    is_cpu = programs.mesh.devices.flat[0].platform == "cpu"
    return Forecast(
        static=variant.static,
        num_runs=num_runs,
        runs_per_part=size,
        num_devices=num_devices,
        devices_per_run=spec.devices_per_run,
        state_bytes=state_bytes(variant),
        held_bytes=memory.argument_size_in_bytes,
        temporary_bytes=memory.temp_size_in_bytes,
        num_bytes=program.num_bytes,
        compile_seconds=program.compile_seconds,
        kernels=0.0 if is_cpu else nest.num_kernels(loops) / length,
        host_decided=len(nest.host_decided(loops)),
        large_copies=len(nest.large_copies(loops)),
        product_flops=update_flops(variant, size),
        bytes_moved=nest.bytes_moved(loops) / length,
        loops=loops,
    )


def update_flops(variant: Variant, num_runs: int) -> float:
    """Returns the operations of the products of one update of so many runs, none evaluated."""
    resume = variant._replace(schedule=Schedule(num_updates=1)).resume(1)
    like = lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype)
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.tree.map(like, state_like(variant, 1))
    row = jax.tree.map(like, variant.hparams)
    first = jax.ShapeDtypeStruct((), jnp.int32)
    return num_runs * product_flops(resume, key, state, row, first)


def roofline_seconds(found: Forecast, device: Device) -> dict[str, float]:
    """Returns the least seconds of an update by what bounds it: products, memory, launches."""
    return {
        "products": found.product_flops / device.product_flops,
        "memory": found.bytes_moved / device.bandwidth,
        "launches": found.kernels * device.launch_seconds,
    }
