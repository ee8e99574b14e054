"""What training costs: mean-field Q-learning end to end, and a sweep beside its runs one by one.

A sweep of H configurations is one program, so its price is compared with the same program for one
configuration, called H times. Compilation is timed apart and paid once on either side.

    python -m jaxmarl_core.experiments.benchmarks.mfq
"""

import statistics
import time

import jax
import jax.numpy as jnp

from jaxmarl_core import hparams as hp
from jaxmarl_core.algos import mfq
from jaxmarl_core.algos.mean_field.options import Config
from jaxmarl_core.envs import battle
from jaxmarl_core.sweeps.batch import run_mesh, sharded
from jaxmarl_core.train import Schedule, make_train

NUM_UPDATES = 10  # in one call of the program
CONFIGURATIONS = (1, 4, 16)
REPEATS = 5


def programs(num_runs: int):
    """Returns what `seconds` takes, the seconds to compile it, and the steps of an update."""
    env, config = battle(), Config()
    algorithm = mfq(env, config)
    _, resume = make_train(algorithm, env, Schedule(NUM_UPDATES))
    mesh = run_mesh(jax.devices()[:1])
    rows = hp.table(algorithm.hparams, learning_rate=jnp.geomspace(1e-4, 1e-2, max(num_runs, 2)))
    rows = jax.tree.map(lambda leaf: leaf[:num_runs], rows)
    keys = jax.random.split(jax.random.key(0), num_runs)
    start = sharded(algorithm.init, mesh, (0, 0))
    began = time.perf_counter()
    state = start(keys, rows)
    segment = sharded(resume, mesh, (0, 0, 0, None), donate=(1,))
    compiled = segment.lower(keys, state, rows, jnp.int32(0)).compile()
    return keys, state, rows, compiled, time.perf_counter() - began, algorithm.env_steps


def seconds(keys, state, rows, compiled) -> float:
    """Returns the median seconds of one call."""
    taken = []
    for i in range(REPEATS + 1):
        began = time.perf_counter()
        state, metrics = compiled(keys, state, rows, jnp.int32(i * NUM_UPDATES))
        jax.block_until_ready(metrics)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def main() -> None:
    """Prints the table."""
    agents = sum(group.size for group in battle().groups.values())
    print(f"mean-field Q-learning on the 64 v 64 battle, {jax.devices()[0].device_kind}")
    print("configurations  compile s  s/update  agent-steps/s  beside one by one")
    alone = None
    for num_runs in CONFIGURATIONS:
        *program, compile_seconds, env_steps = programs(num_runs)
        per_update = seconds(*program) / NUM_UPDATES
        alone = alone or per_update
        rate = num_runs * env_steps * agents / per_update
        ratio = per_update / (num_runs * alone)
        print(
            f"{num_runs:14d} {compile_seconds:10.1f} {per_update:9.4f} {rate:14,.0f} {ratio:18.2f}x"
        )


if __name__ == "__main__":
    main()
