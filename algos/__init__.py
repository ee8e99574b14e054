"""Learners by name: ALGORITHMS maps a name to `builder(env, config) -> Algorithm`."""

from jaxmarl_core.algos.mean_field.il import il
from jaxmarl_core.algos.mean_field.mfq import mfq
from jaxmarl_core.algos.on_policy.ippo import ippo
from jaxmarl_core.algos.tabular.distributed_q import distributed_q
from jaxmarl_core.algos.tabular.hysteretic_q import hysteretic_q
from jaxmarl_core.algos.tabular.lenient_q import lenient_q
from jaxmarl_core.algos.tabular.q_learning import q_learning
from jaxmarl_core.algos.tabular.sarsa import sarsa
from jaxmarl_core.algos.tabular.wolf_phc import phc, wolf_phc

__all__ = [
    "ALGORITHMS",
    "distributed_q",
    "hysteretic_q",
    "il",
    "ippo",
    "lenient_q",
    "mfq",
    "phc",
    "q_learning",
    "sarsa",
    "wolf_phc",
]

ALGORITHMS = {
    "distributed_q": distributed_q,
    "hysteretic_q": hysteretic_q,
    "il": il,
    "ippo": ippo,
    "lenient_q": lenient_q,
    "mfq": mfq,
    "phc": phc,
    "q_learning": q_learning,
    "sarsa": sarsa,
    "wolf_phc": wolf_phc,
}
