"""A sweep as Ray's tasks, each a process that computes one part after the other.

Ray places them on its machines, all of which see the sweep's folder, and starts one again that died
with its machine. Each task runs the same command as a worker by hand, so that what it computes does
not depend on Ray.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxmarl_core.errors import package, require
from jaxmarl_core.sweeps.sharing import Worker

RETRIES = 3  # of a task whose machine, or process, is lost


def run_command(command: Sequence[str], environment: Mapping[str, str], log: str) -> int:
    """Runs a worker in a task of Ray's, and returns its exit code; cancelled, it stops the worker.

    Raises:
      RuntimeError: the worker was killed by a signal, after which Ray tries again.
    """
    with open(log, "ab") as file:
        worker = subprocess.Popen(
            command, env=os.environ | dict(environment), stdout=file, stderr=file
        )
    try:
        code = worker.wait()
    except KeyboardInterrupt:  # how Ray cancels
        worker.send_signal(signal.SIGTERM)
        code = worker.wait()
    if code < 0:
        raise RuntimeError(f"{log}: the worker was killed by signal {-code}")
    return code


class RayWorker:
    """A worker in a task of Ray's, seen as a process is."""

    def __init__(self, ray: Any, task: Any, arguments: tuple):
        self.ray = ray
        self.reference = task.remote(*arguments)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Returns its exit code, 1 where it could not be run; None while it runs."""
        return self._ended(0)

    def wait(self) -> int:
        """Returns its exit code once it has ended."""
        code = self._ended(None)
        assert code is not None
        return code

    def send_signal(self, sig: int, /) -> None:
        """Asks it to save and stop, whatever the signal."""
        self.ray.cancel(self.reference, force=False)

    def kill(self) -> None:
        """Ends it at once."""
        self.ray.cancel(self.reference, force=True)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            done, _ = self.ray.wait([self.reference], timeout=timeout)
            if done:
                self.returncode = self._result()
        return self.returncode

    def _result(self) -> int:
        try:
            return self.ray.get(self.reference)
        except self.ray.exceptions.TaskCancelledError:
            return signal.SIGTERM
        except self.ray.exceptions.RayError:
            return 1


def ray_workers(options: Sequence[str]) -> Callable[..., Worker]:
    """Returns what begins a worker as a task of Ray's, which is started or connected to here.

    Args:
      options: NAME=VALUE each: `address` of a cluster ("auto": the one here; none: a new one on
        this machine), `num_cpus` and `num_gpus` of a task, 1 and 0 by default.

    Raises:
      ValueError: Ray is not installed, or an option is not one of these.
    """
    told: dict[str, Any] = {}
    for option in options:
        name, _, value = option.partition("=")
        told[name] = value
    unknown = sorted(set(told) - {"address", "num_cpus", "num_gpus"})
    require(not unknown, "launcher_options", "address=, num_cpus= or num_gpus=", unknown)
    needs = {name: _number(name, told.get(name, 1 - i)) for i, name in enumerate(COUNTS)}
    ray = package("ray", "ray", "launcher")
    ray.init(address=told.get("address"), ignore_reinit_error=True, log_to_driver=False)
    # a worker that fails by its own doing says why; one that is lost is tried again
    task = ray.remote(max_retries=RETRIES, retry_exceptions=[RuntimeError], **needs)(run_command)

    def begin(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Worker:
        arguments = (list(command), dict(environment), str(log.resolve()))
        return RayWorker(ray, task, arguments)

    return begin


COUNTS = ("num_cpus", "num_gpus")


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    require(number >= 0, f"launcher_options: {name}", "a number of at least 0", value)
    return number
