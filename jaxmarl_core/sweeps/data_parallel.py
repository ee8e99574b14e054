"""One run on several devices: its environments are divided among them.

A run that is too large or too slow for one device names how many it takes, `devices_per_run`. The
environments of its state are laid over a mesh axis "data", as are the batches that it learns from
(`functional.dividing`), and XLA divides the program that follows from there (GSPMD): each device
plays its share and learns from its share, a mean over the batch becomes a sum over devices, and
what belongs to no environment, as weights, is on all of them. The learner is the same program, and
random numbers are the same however they are divided, so that the result is that of one device up to
rounding.

Which axis of a leaf counts environments is not written anywhere: the state is laid out for the
number asked for and for another one, and that axis is the one that follows.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxmarl_core.errors import require
from jaxmarl_core.functional.dividing import DATA

RUN = "run"


def divided_mesh(mesh: Mesh, devices_per_run: int) -> Mesh:
    """Returns a mesh of the same devices, so many to a run: axes "run", and "data" if several.

    Raises:
      ValueError: they cannot be divided so.
    """
    if devices_per_run == 1:
        return mesh
    fits = mesh.size % devices_per_run == 0
    expected = f"a divisor of the {mesh.size} devices that a process (of --workers) has"
    require(fits, "devices_per_run", expected, devices_per_run)
    return Mesh(mesh.devices.reshape(-1, devices_per_run), (RUN, DATA))


def num_groups(mesh: Mesh) -> int:
    """Returns how many runs a mesh computes beside each other, if each group has one."""
    return mesh.shape[RUN]


def is_divided(mesh: Mesh) -> bool:
    """Returns whether a run is on several devices."""
    return DATA in mesh.axis_names


def environment_axes(state_of: Callable[[int], Any], num_envs: int, devices_per_run: int) -> Any:
    """Returns which axis of each leaf of a learner's state counts environments, -1 for none.

    Args:
      state_of: from a number of environments to the shapes of the state of one run; raises
        ValueError for a number that the other options do not go with.
      num_envs: of a run.
      devices_per_run: at least 2.

    Raises:
      ValueError: environments cannot be divided among so many devices, or no leaf has any.
    """
    divides = num_envs % devices_per_run == 0
    expected = f"a multiple of devices_per_run ({devices_per_run})"
    require(divides, "num_envs", expected, num_envs)
    state = state_of(num_envs)
    for other in (2 * num_envs, num_envs // devices_per_run):
        try:
            compared = state_of(other)
        except ValueError:  # a capacity that is no multiple of it, or too few for the minibatches
            continue
        axes = jax.tree.map(lambda a, b, n=other: _axis(a.shape, b.shape, n), state, compared)
        if max(jax.tree.leaves(axes), default=-1) >= 0:
            return axes
    raise ValueError(f"devices_per_run: expected a learner with environments, got {num_envs}")


def _axis(shape: tuple[int, ...], compared: tuple[int, ...], num_envs: int) -> int:
    """Returns the first axis that differs, where it is `num_envs` of the second; -1 for none."""
    differs = [i for i, (a, b) in enumerate(zip(shape, compared)) if a != b and b == num_envs]
    return differs[0] if differs else -1


def along_runs(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of what has one row a run."""
    return NamedSharding(mesh, PartitionSpec(RUN))


def state_shardings(axes: Any, mesh: Mesh) -> Any:
    """Returns the sharding of each leaf [R, ...] of the states of R runs.

    Args:
      axes: of one run's leaves, as `environment_axes` finds them.
      mesh: with the axes "run" and "data".
    """

    def one(axis):
        spec = (RUN,) if axis < 0 else (RUN, *[None] * axis, DATA)
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree.map(one, axes)
