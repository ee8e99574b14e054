"""How many runs fit in memory together, measured on the compiled program itself."""

import math
import os
from collections.abc import Callable
from pathlib import Path

from jax.sharding import Mesh

from jaxmarl_core.errors import require
from jaxmarl_core.store.number_formats import number

GIB = 2**30
_HOST_SHARE = 0.5  # of a machine's memory, which others use too
_DEVICE_SHARE = 0.9  # of what an accelerator's allocator may hand out
_CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")


def bytes_allowed(memory_gb: float, mesh: Mesh, told: float = 0, num_sharing: int = 1) -> float:
    """Returns the bytes that a program may take on each device.

    Args:
      memory_gb: of all devices of the mesh together; 0: what the machine has, fixed for a machine
        rather than what happens to be free.
      mesh: whose devices share it.
      told: bytes of a device that is described rather than here; 0: it is here.
      num_sharing: processes, each with such a mesh, that share what is told, or a host's memory.
    """
    if memory_gb:
        return memory_gb * GIB / mesh.size / num_sharing
    limit = told or (mesh.devices.flat[0].memory_stats() or {}).get("bytes_limit", 0)
    if limit:
        return _DEVICE_SHARE * limit
    return _HOST_SHARE * _host_bytes() / mesh.size / num_sharing


def _host_bytes() -> float:
    """Returns the bytes of memory of this machine, or of the container that this is."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CONTROL_GROUP.read_text().strip() if _CONTROL_GROUP.exists() else "max"
    return min(total, float(limit)) if limit.isdigit() else total


def runs_that_fit(
    num_runs: int,
    num_devices: int,
    allowed: float,
    measure: Callable[[int], int],
    least: int = 0,
    devices_per_run: int = 1,
) -> int:
    """Returns how many runs to compute together: all, or equal shares that fit.

    All of them are tried first: where they fit, no other program is compiled. Else the bytes of a
    program are taken to be a + b w, from w = 1 and w = 2 runs on a device, and what follows is
    measured once more.

    Args:
      num_runs: R, to be computed.
      num_devices: D, over which they are spread; or groups of them, if a run takes several.
      allowed: bytes on each device.
      measure: from w runs on each device to the bytes on it, by compiling that program.
      least: bytes of a run that no program does without on a device, its state.
      devices_per_run: in a group.

    Raises:
      ValueError: one run on each device does not fit.
    """
    widest = math.ceil(num_runs / num_devices)
    if widest * least <= allowed and measure(widest) <= allowed:
        return num_runs
    one = measure(1)
    total = num_devices * devices_per_run
    each = "each" if devices_per_run == 1 else f"each {devices_per_run}"
    needed = f"at least {gib(one * total)}, what one run on {each} of {total} devices"
    require(one <= allowed, "memory_gb", f"{needed} needs", gib(allowed * total))
    more = max(measure(2) - one, 1) if widest > 1 else 1
    width = int(min(1 + (allowed - one) // more, max(widest - 1, 1)))
    while width > 1 and measure(width) > allowed:
        width -= max(1, width // 8)
    return math.ceil(num_runs / math.ceil(num_runs / (width * num_devices)))


def gib(num_bytes: float) -> str:
    """Returns bytes as GiB in few digits, the unit of `memory_gb`."""
    return number(num_bytes / GIB, 3)
