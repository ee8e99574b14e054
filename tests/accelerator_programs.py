"""Thirteen programs, one or two of a family, small; a segment of each. A minute each.

    python tests/accelerator_programs.py    # writes figures.json anew

A figure that falls is written down by that command; one that rises should have a reason first.
"""

import json
from pathlib import Path
from typing import Any

from jaxmarl_core.sweeps.devices import DEVICES, mesh_of
from jaxmarl_core.sweeps.forecast import Forecast, forecast
from jaxmarl_core.sweeps.loop_nest import num_kernels
from jaxmarl_core.sweeps.spec import from_dict

FIGURES = Path(__file__).parent / "accelerators" / "figures.json"
RUNS, UPDATES = 8, 10
PPO = {"num_envs": 16, "rollout_length": 32, "num_minibatches": 2, "num_epochs": 2}
SEQUENCES = {"num_envs": 8, "rollout_length": 26, "capacity": 64, "batch_size": 16}
OFF_POLICY = {"num_envs": 8, "rollout_length": 25, "buffer_length": 500, "num_gradient_steps": 2}
CHICKEN = {"name": "chicken", "num_rounds": 10}

# name -> (algorithm, environment, options of the environment, config)
PROGRAMS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "ippo": ("ippo", "simple_spread", {}, PPO),
    "ippo gru": ("ippo", "simple_spread", {}, PPO | {"memory_size": 64}),
    "mappo": ("mappo", "simple_spread", {}, PPO),
    "happo": ("happo", "simple_spread", {}, PPO),
    "hatrpo": ("hatrpo", "simple_spread", {}, PPO),
    "qmix gru": ("qmix", "simple_spread", {}, SEQUENCES),
    "vdn": ("vdn", "simple_spread", {}, SEQUENCES | {"memory_size": 0}),
    "maddpg": ("maddpg", "simple_spread", {}, OFF_POLICY),
    "hasac": ("hasac", "simple_spread", {"actions": "continuous"}, OFF_POLICY),
    "hatd3": ("hatd3", "simple_spread", {"actions": "continuous"}, OFF_POLICY),
    "mfq": ("mfq", "battle", {"map_size": 20, "num_red": 16, "num_blue": 16},
            {"rollout_length": 4, "buffer_length": 32}),
    "minimax_q": ("minimax_q", "soccer", {}, {"rollout_length": 16}),
    "wolf_phc": ("wolf_phc", "matrix_game", CHICKEN, {"rollout_length": 16}),
}  # fmt: skip


def found(name: str, device: str) -> Forecast:
    """Returns what a program of PROGRAMS asks of a device of DEVICES."""
    algorithm, environment, options, config = PROGRAMS[name]
    spec = {
        "algorithm": algorithm,
        "environment": environment,
        "seeds": RUNS,
        "updates": UPDATES,
        "segment": UPDATES,
        "environment_options": options,
        "config": config,
    }
    (one,) = forecast(from_dict(spec), *mesh_of(device))
    return one


def figures(name: str, device: str) -> dict[str, int]:
    """Returns what is kept of a program: each should be as small as it can be."""
    one = found(name, device)
    return {
        "kernels": num_kernels(one.loops),  # of the segment
        "host_decided": one.host_decided,
        "large_copies": one.large_copies,
        "temporary_bytes": one.temporary_bytes,
    }


def write() -> None:
    """Writes the figures of all programs on all devices for which there is a compiler."""
    kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for device in ("h200", "v5e"):
        assert device in DEVICES
        for name in PROGRAMS:
            kept.setdefault(device, {})[name] = figures(name, device)
            print(device, name, kept[device][name], flush=True)
            FIGURES.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    write()
