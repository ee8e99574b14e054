"""Measuring in a process of its own, on a CPU with a device for every core.

How many devices a CPU is cut into is fixed once JAX has started; a bench that wants a device a core
therefore starts itself again.
"""

import os
import subprocess
import sys

WORKER = "JAXMARL_BENCH_PER_CORE"  # set in the process that measures


def is_worker() -> bool:
    """Returns whether this is the process that measures."""
    return WORKER in os.environ


def again(module: str) -> None:
    """Runs `python -m module` as a worker, and waits for it; CalledProcessError if it fails."""
    cores = len(os.sched_getaffinity(0))
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={cores}"
    env = {**os.environ, "XLA_FLAGS": flags, WORKER: "1"}
    subprocess.run([sys.executable, "-m", module], env=env, check=True)
