"""What training costs as armies grow: mean-field Q-learning from 64 to 16,384 on a side.

One copy of the battle on a field that grows with the armies. An update is two steps of all
soldiers, each acting on its own view by the network, and two gradient steps of 256 transitions of
single soldiers. The replay buffer follows 128 soldiers, drawn anew for every episode, whatever the
size, so that memory grows with what one step of the battle is, and not with what is remembered.

    python -m jaxmarl_core.experiments.benchmarks.battle_training
"""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.algos import mfq
from jaxmarl_core.algos.mean_field.options import Config
from jaxmarl_core.envs import battle
from jaxmarl_core.train import Schedule, make_train

MAP_SIZES = (40, 160, 320, 640)
SECONDS = 4.0  # aimed at, for one measurement
REPEATS = 3
CONFIG = Config(
    rollout_length=2,
    buffer_length=256,
    stored_agents=128,
    num_gradient_steps=2,
    temperature_unit="spread",
    centre=5,
)


def measured(map_size: int) -> dict[str, float]:
    """Returns soldiers, agent-steps/s and GiB of a training run on a map of that side."""
    env = battle(map_size=map_size)
    algorithm = mfq(env, CONFIG)
    num_updates = max(1, int(SECONDS / (2 * 2e-6 * env.num_agents)) // 10)
    _, resume = make_train(algorithm, env, Schedule(num_updates))
    key = jax.random.key(0)
    state = jax.jit(algorithm.init)(key, algorithm.hparams)
    run = jax.jit(resume, donate_argnums=1).lower(key, state, algorithm.hparams, jnp.int32(0))
    compiled = run.compile()
    memory: Any = compiled.memory_analysis()
    taken = []
    for i in range(REPEATS + 1):
        began = time.perf_counter()
        state, metrics = compiled(key, state, algorithm.hparams, jnp.int32(i * num_updates))
        jax.block_until_ready(metrics)
        taken.append(time.perf_counter() - began)
    steps = num_updates * algorithm.env_steps * env.num_agents
    return {
        "soldiers": env.num_agents,
        "agent_steps_per_second": steps / statistics.median(taken[1:]),
        "state_gib": memory.argument_size_in_bytes / 2**30,
        "temporary_gib": memory.temp_size_in_bytes / 2**30,
    }


def main() -> None:
    """Prints the table."""
    print(f"mean-field Q-learning, one battle, {jax.devices()[0].device_kind}")
    print("   soldiers  agent-steps/s  state GiB  temporaries GiB")
    for map_size in MAP_SIZES:
        row = measured(map_size)
        print(
            f"{row['soldiers']:11,d} {row['agent_steps_per_second']:14,.0f} "
            f"{row['state_gib']:10.2f} {row['temporary_gib']:16.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
