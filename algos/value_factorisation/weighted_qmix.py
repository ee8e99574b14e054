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
    Verdict,
    best,
    examples,
    taken,
)
from jaxmarl_core.algos.value_factorisation.options import WeightedConfig, WeightedHparams
from jaxmarl_core.algos.value_factorisation.payoffs import require_one_team, team_payoffs
from jaxmarl_core.algos.value_factorisation.qmix import monotone
from jaxmarl_core.functional.losses import squared
from jaxmarl_core.learners.mixers import JointValue
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

    def value(params, outlook, choice, sight):
        parts = outlook.features, choice, sight.alive, sight.state
        return star.apply(params["star"], *parts)[..., None]

    def loss(params, outlook, actions, sight, target, hp):
        own_best = best(outlook.q, sight.mask)
        q = mixer.mix(params["mixer"], outlook, actions, sight)
        both = value(params, outlook, actions, sight)
        same = (taken(own_best, actions) > 0) | ~sight.alive
        is_best = same.all(-1, keepdims=True)
        star_best = value(params, outlook, own_best, sight)
        weight = jnp.where(promising(target, q, star_best, is_best), 1.0, hp.alpha)
        # comparisons have no gradient, so that neither weights nor what they are made of have one
        total = weight * squared(target - q) + squared(target - both)
        return Verdict(total, jnp.abs(target - q), q), {"weight": weight, "star": both}

    return Factorisation(team_payoffs(stacks), init, value, loss, uses_state=True)


def cw_qmix(env: Environment, config: WeightedConfig = WeightedConfig()) -> Algorithm:
    """Returns centrally weighted QMIX, for one team with discrete actions."""
    factorise = partial(weighted, centrally)
    return value_factorisation("cw_qmix", env, config, WeightedHparams(), factorise)


def ow_qmix(env: Environment, config: WeightedConfig = WeightedConfig()) -> Algorithm:
    """Returns optimistically weighted QMIX, for one team with discrete actions."""
    factorise = partial(weighted, optimistically)
    return value_factorisation("ow_qmix", env, config, WeightedHparams(), factorise)
