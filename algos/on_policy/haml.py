"""HAML, a template: mirror learning for agents that learn one after another.

Each agent in turn, in an order drawn anew, climbs

    E over states of  M A(s, a) pi(a | o) / pi_old(a | o)  -  drift(pi)

within a neighbourhood of its old policy, M being what those before it have changed (order.py).
Whatever the drift, if it is nonnegative and flat at 0 for the old policy, the joint policy improves
monotonically and tends to a Nash equilibrium. HAPPO, HATRPO and HAA2C are instances.

Zhong et al., 2023, arXiv:2304.09870, template 2.
"""

from typing import Any

from jaxmarl_core.algos.on_policy.critics import central_critics
from jaxmarl_core.algos.on_policy.engine import Sampling, actor_critic
from jaxmarl_core.algos.on_policy.learning import Drift, Improve, ascent, less_drift
from jaxmarl_core.algos.on_policy.options import CentralConfig, Hparams
from jaxmarl_core.algos.on_policy.order import one_by_one
from jaxmarl_core.types import Algorithm, Environment


def haml(
    env: Environment,
    config: CentralConfig = CentralConfig(share="none"),
    *,
    drift: Drift | None = None,
    neighbourhood: Improve | None = None,
    sampling: Sampling | None = None,
    hparams: Any = None,
) -> Algorithm:
    """Returns the instance of a drift, a neighbourhood and a distribution over states.

    Args:
      env: the environment.
      config: what shapes the program.
      drift: maps (Ratio, hparams) to a penalty [...] >= 0, entry by entry; the advantage in it is
        M A. None: there is none.
      neighbourhood: how far a policy may go, as a way to climb: `trust_region()`; None: anywhere,
        by gradient ascent on the objective less the drift.
      sampling: how much a state counts, from its step in the episode; None: as often as it is met.
      hparams: the defaults, with the fields that these read; None: `Hparams()`.

    Raises:
      ValueError: both a drift and a neighbourhood, which would not heed it.
    """
    if drift is not None and neighbourhood is not None:
        raise ValueError("drift: expected None where a neighbourhood is given, got both")
    return actor_critic(
        env,
        config,
        Hparams() if hparams is None else hparams,
        critics=central_critics,
        improve=neighbourhood or ascent(config, less_drift(drift)),
        order=one_by_one,
        sampling=sampling,
    )
