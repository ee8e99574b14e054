"""QTRAN's losses: a joint value that may be any function, and agents' values that agree with it.

With Q' = sum_i q_i(u_i), u* each agent's best action, and [.] without gradient,

    L_td    (y - Q_jt(u))^2,                        y = r + gamma Q_jt^-(s', u*)
    L_opt   (Q'(u*) - [Q_jt(u*)] + V_jt)^2
    L_nopt  min(Q'(u) - [Q_jt(u)] + V_jt, 0)^2      base
            (min_{u_i} Q'(u_i, u_-i) - [Q_jt(u_i, u_-i)] + V_jt)^2, the mean over i     alt

The joint value learns by temporal differences. Where the last two losses are 0, Q' + V_jt is Q_jt
at the agents' best joint action and at least that elsewhere, so that u* is best for Q_jt too: that
can be had for any game (theorem 1). The alternative asks for more, that somewhere among each
agent's actions the bound is met, so that Q' does not float above Q_jt (theorem 2).

Son et al., 2019, ICML, arXiv:1905.05408, sections 3 and 4. All losses are halved here, as elsewhere
in the library, which scales their sum by one number.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.value_factorisation.factorisation import (
    AgentValues,
    CentralInput,
    Factorisation,
    JointAction,
    TDLoss,
    chosen_utilities,
    examples,
    greedy_actions,
)
from jaxmarl_core.algos.value_factorisation.rewards import require_one_team, team_reward
from jaxmarl_core.functional.losses import squared
from jaxmarl_core.learners.mixers import CounterfactualValues, JointValue, additive
from jaxmarl_core.learners.networks import apply

constant = jax.lax.stop_gradient


def gaps(sum_best, q_best, sum_taken, q_taken, v) -> tuple[jax.Array, jax.Array]:
    """Returns (d_opt, d_nopt) [...]: how far the agents' sum is from the joint value, base.

    d_opt = Q'(u*) - [Q_jt(u*)] + V,   d_nopt = min(Q'(u) - [Q_jt(u)] + V, 0)
    """
    opt = sum_best - constant(q_best) + v
    return opt, jnp.minimum(sum_taken - constant(q_taken) + v, 0)


def least_gap(
    q: jax.Array, utility: jax.Array, sum_taken: jax.Array, joint: jax.Array, v: jax.Array, mask
) -> jax.Array:
    """Returns min over u_i of Q'(u_i, u_-i) - [Q_jt(u_i, u_-i)] + V for every agent, [..., n].

    Args:
      q: [..., n, A] f32, utilities.
      utility: [..., n] f32, of the actions taken.
      sum_taken: [...] f32, Q'(u).
      joint: [..., n, A] f32, Q_jt(., u_-i).
      v: [...] f32.
      mask: [..., n, A] bool, legal actions, or None.
    """
    others = sum_taken[..., None] - utility
    gap = others[..., None] + q - constant(joint) + v[..., None, None]
    if mask is not None:
        gap = jnp.where(mask, gap, jnp.inf)
    least = gap.min(-1)
    return least if mask is None else jnp.where(mask.any(-1), least, 0)


def _joint_inputs(
    values: AgentValues, joint_action: JointAction | None, central: CentralInput
) -> tuple:
    """Returns the arguments of the joint networks."""
    return values.features, joint_action, central.alive, central.state


def base(name: str, env: Any, stacks: list, config: Any) -> Factorisation:
    """Returns QTRAN-base."""
    require_one_team(name, env)
    joint, bias = JointValue(config.embed), JointValue(config.embed)
    features, actions, alive, state = examples(env, stacks, config)

    def init(key):
        key_joint, key_bias = jax.random.split(key)
        return {
            "joint": joint.init(key_joint, features, actions, alive, state),
            "bias": bias.init(key_bias, features, None, alive, state),
        }

    def value(params, values, joint_action, central):
        return apply(joint, params["joint"], *_joint_inputs(values, joint_action, central))[
            ..., None
        ]

    def loss(params, values, actions, central, target, hp):
        u_star = greedy_actions(values.q, central.mask)
        sum_of = lambda u: additive(chosen_utilities(values.q, u), central.alive)[..., None]
        v = apply(bias, params["bias"], *_joint_inputs(values, None, central))[..., None]
        q = value(params, values, actions, central)
        q_best = value(constant(params), constant(values), u_star, central)
        opt, nopt = gaps(sum_of(u_star), q_best, sum_of(actions), q, v)
        return _td_loss(q, target, opt, nopt, hp)

    return Factorisation(team_reward(stacks), init, value, loss, uses_state=True)


def alternative(name: str, env: Any, stacks: list, config: Any) -> Factorisation:
    """Returns QTRAN-alt. Its joint value is read off the head of every living agent.

    All heads speak of the same joint action, with what each of them makes of it: the target is
    their mean, and each of them is held to it.
    """
    require_one_team(name, env)
    heads, bias = CounterfactualValues(config.embed), JointValue(config.embed)
    features, actions, alive, state = examples(env, stacks, config)

    def init(key):
        key_heads, key_bias = jax.random.split(key)
        return {
            "heads": heads.init(key_heads, features, actions, alive, state),
            "bias": bias.init(key_bias, features, None, alive, state),
        }

    def of_heads(params, values, joint_action, central):
        """Returns (joint values [..., n, A] by stack, those of the joint action [..., N])."""
        joint = apply(heads, params["heads"], *_joint_inputs(values, joint_action, central))
        return joint, chosen_utilities(joint, joint_action)

    def value(params, values, joint_action, central):
        return _mean_over_living(of_heads(params, values, joint_action, central)[1], central.alive)

    def loss(params, values, actions, central, target, hp):
        alive = central.alive
        u_star = greedy_actions(values.q, central.mask)
        utility = chosen_utilities(values.q, actions)
        sum_taken = additive(utility, alive)
        sum_best = additive(chosen_utilities(values.q, u_star), alive)[..., None]
        v = apply(bias, params["bias"], *_joint_inputs(values, None, central))
        joint, q = of_heads(params, values, actions, central)
        _, q_best = of_heads(constant(params), constant(values), u_star, central)
        opt = sum_best - constant(q_best) + v[..., None]
        least = []
        for k, stack in enumerate(stacks):
            own = utility[..., stack.first : stack.first + stack.size]
            least.append(least_gap(values.q[k], own, sum_taken, joint[k], v, central.mask[k]))
        over = lambda x: _mean_over_living(x, alive)
        nopt = jnp.concatenate(least, -1)
        return _td_loss(q, target, opt, nopt, hp, over)

    return Factorisation(team_reward(stacks), init, value, loss, uses_state=True)


def _mean_over_living(x: jax.Array, alive: jax.Array) -> jax.Array:
    """Returns the mean [..., 1] of [..., N] over the living; 0 if there are none."""
    total = jnp.where(alive, x, 0).sum(-1, keepdims=True)
    return total / jnp.maximum(alive.sum(-1, keepdims=True), 1)


def _td_loss(q, target, opt, nopt, hp, over: Callable = lambda x: x) -> tuple[TDLoss, dict]:
    """Returns the three losses added up, and each of them as a metric.

    Args:
      q: what the joint action is said to be worth, once or by each agent's head.
      target: [T, B, 1] f32.
      opt, nopt: how far the agents are from agreement.
      hp: with the losses' weights.
      over: means over heads, where there are several.
    """
    error = target - q
    td, opt, nopt = over(squared(error)), over(squared(opt)), over(squared(nopt))
    loss = td + hp.opt_weight * opt + hp.nopt_weight * nopt
    metrics = {"td_loss": td, "opt_loss": opt, "nopt_loss": nopt}
    return TDLoss(loss, over(jnp.abs(error)), over(q)), metrics
