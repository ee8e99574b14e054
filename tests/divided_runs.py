"""Small runs whose environments several devices, or processes, share."""

from jaxmarl_core.store import sweep_folder
from jaxmarl_core.sweeps.spec import from_dict
from jaxmarl_core.sweeps.worker import run

SPREAD = {"environment": "simple_spread", "environment_options": {"max_steps": 6}}
NETWORK = {"hidden": [8]}
SPECS = {
    "ippo": {
        **SPREAD,
        "config": {"num_envs": 8, "rollout_length": 4, "num_minibatches": 2, **NETWORK},
    },
    "qmix": {
        **SPREAD,
        "config": {
            "num_envs": 8, "rollout_length": 7, "capacity": 24, "batch_size": 4, "memory_size": 0,
            **NETWORK,
        },
    },
    "maddpg": {
        **SPREAD,
        "config": {
            "num_envs": 8, "rollout_length": 4, "buffer_length": 16, "batch_size": 16, **NETWORK
        },
    },
    "mfq": {
        "environment": "torus_coordination",
        "config": {
            "num_envs": 8, "rollout_length": 4, "buffer_length": 16, "batch_size": 16, **NETWORK
        },
    },
}  # fmt: skip


def spec_of(name, devices_per_run=1, updates=3):
    """A sweep of one run."""
    told = {"algorithm": name, "updates": updates, "segment": 1, **SPECS[name]}
    return from_dict(told | {"devices_per_run": devices_per_run})


def metrics_of(spec, folder):
    """What a sweep of the spec reports, by name [runs, updates]."""
    return sweep_folder.read(run(spec, folder)).metrics
