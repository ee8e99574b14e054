"""One run of several processes that only speak through JAX, against the same run of one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from divided_runs import metrics_of, spec_of

TESTS = Path(__file__).parents[1]
# compiled in seconds: who waits for the others does not wait for ever
FLAGS = (
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true"
)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [2, 4])
def test_processes_compute_one_run_together(num_processes, tmp_path):
    port = str(free_port())
    environment = {
        **os.environ,
        "XLA_FLAGS": FLAGS,
        "PYTHONPATH": str(TESTS),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, TESTS / "divided_process.py", port, str(num_processes), str(number)],
            env=environment,
            stdout=subprocess.PIPE,
        )
        for number in range(num_processes)
    ]
    try:
        told = [process.communicate(timeout=300)[0] for process in processes]
    finally:  # one that failed leaves the others waiting
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * num_processes
    alone = metrics_of(spec_of("ippo"), tmp_path / "alone")
    for text in told:
        found = json.loads(text.splitlines()[-1])
        assert found["devices"] == 2 * num_processes
        assert found["own_environments"] == 8 // num_processes
        for name, values in found["metrics"].items():
            np.testing.assert_allclose(values, alone[name][0], 2e-4, 2e-5, err_msg=name)
