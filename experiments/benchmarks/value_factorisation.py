"""Value factorisation trained on simple_spread, beside what JaxMARL's programs did.

JaxMARL's learners played 8 environments x 26 steps an update, with a GRU of 64 cells, a replay of
5,000 sequences, and one gradient step an update on 32 of them; QMIX mixed with 32 units and a
hypernetwork of 128. Their figures are scaled to this machine as `on_policy` scales them.
Behind them stand ours as they are by default, and what the size of the replay costs: nothing, as it
is written in place.

    python -m jaxmarl_core.experiments.benchmarks.value_factorisation
"""

import jax

from jaxmarl_core.envs import simple_spread
from jaxmarl_core.experiments.benchmarks.on_policy import Peer, measure

SPREAD = lambda: simple_spread(max_steps=26)
JAXMARL = {"agent_ids": False, "last_action": False}  # other than that, the defaults
SMALL = JAXMARL | {"capacity": 80}
PEERS = {
    "IQL, GRU": Peer("iql", JAXMARL, SPREAD, "JaxMARL", 20_600, 13.0, 2.0),
    "VDN, GRU": Peer("vdn", JAXMARL, SPREAD, "JaxMARL", 21_300, 10.8, 2.0),
    "QMIX, GRU": Peer("qmix", JAXMARL | {"hypernet": 128}, SPREAD, "JaxMARL", 15_700, 21.7, 2.0),
    "VDN, small replay": Peer("vdn", SMALL, SPREAD, "JaxMARL", 21_300, 10.8, None),
    "VDN, prioritised": Peer(
        "vdn", JAXMARL | {"replay": "prioritised"}, SPREAD, "JaxMARL", 21_300, 10.8, None
    ),
    "QMIX by default": Peer("qmix", {}, SPREAD, "JaxMARL", 15_700, 21.7, None),
    "QTRAN by default": Peer("qtran", {}, SPREAD, "JaxMARL's QMIX", 15_700, 21.7, None),
    "QTRAN-alt": Peer("qtran_alt", {}, SPREAD, "JaxMARL's QMIX", 15_700, 21.7, None),
}


def main() -> None:
    """Prints the table."""
    jax.config.update("jax_enable_compilation_cache", False)
    for line in measure(PEERS, num_updates=200):
        print(line, flush=True)


if __name__ == "__main__":
    main()
