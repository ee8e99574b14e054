"""One of several processes that compute one run together: prints the metrics as JSON.

python divided_process.py PORT PROCESSES NUMBER
"""

import json
import sys

import jax
import numpy as np

PORT, PROCESSES, NUMBER = map(int, sys.argv[1:])
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{PORT}", PROCESSES, NUMBER, heartbeat_timeout_seconds=300)

from divided_runs import spec_of  # noqa: E402

from jaxmarl_core.sweeps.batch import run_mesh  # noqa: E402
from jaxmarl_core.sweeps.data_parallel import divided_mesh  # noqa: E402
from jaxmarl_core.sweeps.program import Programs, filled  # noqa: E402
from jaxmarl_core.sweeps.spec import variants  # noqa: E402

mesh = divided_mesh(run_mesh(), jax.device_count())
spec = spec_of("ippo", jax.device_count())
(variant,) = variants(spec)
program = Programs([variant], mesh).get(0, 1, spec.updates)
seeds, rows = filled(np.zeros(1, int), variant.hparams, mesh)
keys, state = program.start(seeds, rows)
state, metrics = program.segment(keys, state, rows, np.int32(0))
play = jax.tree.leaves(state.play.env_state)[0]
print(
    json.dumps(
        {
            "devices": jax.device_count(),
            "own_environments": sum(shard.data.shape[1] for shard in play.addressable_shards),
            "metrics": {name: np.asarray(x)[0].tolist() for name, x in metrics.items()},
        }
    )
)
