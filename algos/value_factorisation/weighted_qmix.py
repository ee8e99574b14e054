"""Weighted QMIX: QMIX that cares less for joint actions which are worse than it thinks.

QMIX fits a monotone mixture to all joint actions alike, and where they cannot all be fitted it may
miss the best. Here a second, unrestricted value of the joint action is learnt beside it, which
provides the targets, and the mixture's error counts for `alpha` only, unless the joint action may
be the best. The two versions differ in how they tell:

    cw    the target exceeds what the second value gives the agents' best joint action, or that
          is the action taken ("centrally weighted")
    ow    the target exceeds what the mixture gives the action taken ("optimistically weighted")

Rashid et al., 2020, NeurIPS, arXiv:2006.10800, eq. 6 and 7. There the second value has agents'
networks of its own; here it stands on the features of the same ones, as QTRAN's joint value does.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.value_factorisation.engine import value_factorisation
from jaxmarl_core.algos.value_factorisation.factorisation import (
    Factorisation,
    TDLoss,
    chosen_utilities,
    examples,
    greedy_actions,
)
from jaxmarl_core.algos.value_factorisation.options import Config, Hparams
from jaxmarl_core.algos.value_factorisation.qmix import monotone
from jaxmarl_core.algos.value_factorisation.rewards import require_one_team, team_reward
from jaxmarl_core.functional.losses import squared
from jaxmarl_core.learners.mixers import JointValue
from jaxmarl_core.learners.networks import apply
from jaxmarl_core.recipes import with_own_options
from jaxmarl_core.types import Algorithm, Environment

Promising = Callable[..., jax.Array]  # (target, q, star_best, is_best), all [...] -> [...] bool


def centrally(target, q, star_best, is_best) -> jax.Array:
    """Returns whether a joint action may be the best, by the unrestricted value."""
    return (target > star_best) | is_best


def optimistically(target, q, star_best, is_best) -> jax.Array:
    """Returns whether a joint action may be the best, by the mixture's error."""
    return target > q


def weighted(promising: Promising, name: str, env: Any, stacks: list, config: Any) -> Factorisation:
    """Returns a monotone mixture beside an unrestricted joint value."""
    require_one_team(name, env)
    mixer, star = monotone(env, stacks, config), JointValue(config.joint_embed)
    features, actions, alive, state = examples(env, stacks, config)

    def init(key):
        key_mixer, key_star = jax.random.split(key)
        star_params = star.init(key_star, features, actions, alive, state)
        return {"mixer": mixer.init(key_mixer), "star": star_params}

    def value(params, values, joint_action, central):
        inputs = values.features, joint_action, central.alive, central.state
        return apply(star, params["star"], *inputs)[..., None]

    def loss(params, values, actions, central, target, hp):
        best = greedy_actions(values.q, central.mask)
        q = mixer.mix(params["mixer"], values, actions, central)
        both = value(params, values, actions, central)
        same = (chosen_utilities(best, actions) > 0) | ~central.alive
        is_best = same.all(-1, keepdims=True)
        star_best = value(params, values, best, central)
        weight = jnp.where(promising(target, q, star_best, is_best), 1.0, hp.alpha)
        # comparisons have no gradient, so that neither weights nor what they are made of have one
        total = weight * squared(target - q) + squared(target - both)
        return TDLoss(total, jnp.abs(target - q), q), {"weight": weight, "star": both}

    return Factorisation(team_reward(stacks), init, value, loss, uses_state=True)


def _weighted_qmix(name: str, promising: Promising, env: Environment, config: Config) -> Algorithm:
    config = with_own_options(name, config, embed=32, hypernet=64, joint_embed=64)
    return value_factorisation(name, env, config, Hparams(alpha=0.5), partial(weighted, promising))


def cw_qmix(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns centrally weighted QMIX, for one team with discrete actions."""
    return _weighted_qmix("cw_qmix", centrally, env, config)


def ow_qmix(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns optimistically weighted QMIX, for one team with discrete actions."""
    return _weighted_qmix("ow_qmix", optimistically, env, config)
