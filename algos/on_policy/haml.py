"""HAML, a template: mirror learning for agents that learn one after another.

Each agent in turn, in an order drawn anew, climbs

    E over states of  M A(s, a) pi(a | o) / pi_old(a | o)  -  drift(pi)

within a neighbourhood of its old policy, M being what those before it have changed (order.py).
Whatever the drift, if it is nonnegative and flat at 0 for the old policy, the joint policy improves
monotonically and tends to a Nash equilibrium. HAPPO, HATRPO and HAA2C are instances.

Zhong et al., 2023, arXiv:2304.09870, template 2.
"""

from typing import Any

from jaxmarl_core.algos.on_policy.engine import Sampling, actor_critic
from jaxmarl_core.algos.on_policy.learning import ActorUpdate, Drift, gradient_ascent, less_drift
from jaxmarl_core.algos.on_policy.options import NO_TARGET, Config, Hparams, trust_region_hparams
from jaxmarl_core.algos.on_policy.order import sequential_update
from jaxmarl_core.algos.on_policy.value_critics import central_critics
from jaxmarl_core.recipes import refuse, with_defaults
from jaxmarl_core.types import Algorithm, Environment


def haml(
    env: Environment,
    config: Config = Config(),
    *,
    drift: Drift | None = None,
    neighbourhood: ActorUpdate | None = None,
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
      hparams: the defaults, with the numbers that these read; a drift with numbers of its own
        wants an `Hparams` with more fields. None: those of gradient ascent, with a drift also
        `clip` and `target_kl`, as `clipping_drift` reads; with a neighbourhood those of
        `trust_region`.

    Raises:
      ValueError: both a drift and a neighbourhood, which would not heed it.
    """
    if drift is not None and neighbourhood is not None:
        raise ValueError("drift: expected None where a neighbourhood is given, got both")
    refuse("haml", config, target_period=NO_TARGET)
    config = with_defaults(
        config,
        share="none",
        critic="environment",
        num_epochs=4,
        num_minibatches=4,
        normalise_value="running",
    )
    if hparams is None and neighbourhood is not None:
        hparams = trust_region_hparams()
    elif hparams is None:
        hparams = Hparams() if drift is None else Hparams(clip=0.2, target_kl=1e6)
    return actor_critic(
        env,
        config,
        hparams,
        critics=central_critics,
        actor_update=neighbourhood or gradient_ascent(config, less_drift(drift)),
        order=sequential_update,
        sampling=sampling,
    )
