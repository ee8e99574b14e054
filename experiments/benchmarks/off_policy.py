"""Off-policy actor-critics trained on simple_spread, beside what HARL's program did.

As HARL's: 20 environments, a gradient step to 20 env steps, batches of 1,000 transitions, layers of
128, a critic of the team. At that ratio nearly all of the time are products of matrices, the same
for both; beside it stand our defaults, a step to 50 env steps on batches of 256. HARL's figures are
scaled to this machine as `on_policy` scales them.

    python -m jaxmarl_core.experiments.benchmarks.off_policy
"""

import jax

from jaxmarl_core.envs import simple_spread
from jaxmarl_core.experiments.benchmarks.on_policy import Peer, measure

SPREAD = lambda: simple_spread(actions="continuous", integration="legacy")
HARL = {
    "num_envs": 20,
    "rollout_length": 50,
    "num_gradient_steps": 50,
    "batch_size": 1000,
    "buffer_length": 10_000,
    "hidden": (128, 128),
}
TEAM = HARL | {"critic": "environment", "central": "state"}
PEERS = {
    "HADDPG, as HARL's": Peer("haddpg", HARL, SPREAD, "HARL", 800, None, 20.0),
    "HATD3, as HARL's": Peer("hatd3", HARL, SPREAD, "HARL", 930, None, 20.0),
    "MADDPG, as HARL's": Peer("maddpg", TEAM, SPREAD, "HARL", 800, None, 20.0),
    "HATD3 by default": Peer("hatd3", {}, SPREAD, "HARL", 930, None, None),
    "MADDPG by default": Peer("maddpg", {}, SPREAD, "HARL", 800, None, None),
    "HASAC by default": Peer("hasac", {}, SPREAD, "HARL's HATD3", 930, None, None),
}


def main() -> None:
    """Prints the table."""
    jax.config.update("jax_enable_compilation_cache", False)
    for line in measure(PEERS, num_updates=10):
        print(line, flush=True)


if __name__ == "__main__":
    main()
