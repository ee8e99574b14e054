"""Learners by name: ALGORITHMS maps a name to `builder(env, config) -> Algorithm`."""

from jaxmarl_core.algos.mean_field.il import il
from jaxmarl_core.algos.mean_field.mfq import mfq
from jaxmarl_core.algos.on_policy.ippo import ippo
from jaxmarl_core.algos.tabular.q_learning import q_learning

__all__ = ["ALGORITHMS", "il", "ippo", "mfq", "q_learning"]

ALGORITHMS = {"il": il, "ippo": ippo, "mfq": mfq, "q_learning": q_learning}
