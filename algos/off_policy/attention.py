"""Critics that attend to the other agents, and value all of an agent's own actions at once.

    Q_i(o, a) = f_i(s_i(o_i), x_i)(a_i),   x_i = sum over j != i of  alpha_ij v(e_j(o_j, a_j))
    alpha_ij  = softmax over j of  k(e_j) . q(s_i) / sqrt(d)

Keys k, queries q and values v are shared by all agents, in several heads side by side; s, e and f
are each agent's, shared as actors are. What an agent did does not reach its own Q but by the entry
that is read, so that f_i puts out the values of all its actions. The dead are not attended to.

Iqbal & Sha, 2019, arXiv:1810.02912, section 3.1.
"""

from math import sqrt
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmarl_core.algos.off_policy.batches import Observed
from jaxmarl_core.algos.off_policy.critics import Critics, alive_of_all, each_agent
from jaxmarl_core.algos.off_policy.networks import init_network, over_axes, per_agent
from jaxmarl_core.algos.off_policy.options import Config
from jaxmarl_core.errors import require
from jaxmarl_core.learners.networks import (
    ACTIVATIONS,
    MLP,
    Torso,
    apply,
    head,
    merge_leading_axes,
    scaled_normal,
)
from jaxmarl_core.learners.parameter_sharing import AgentStack
from jaxmarl_core.recipes import decided
from jaxmarl_core.spaces import Box, Composite, Space, flat_size, num_values
from jaxmarl_core.types import Environment

TOGETHER = 16  # agents whose attention is computed at once; of more, memory grows linearly


class Features(nn.Module):
    """What is seen, of `space`, as features [..., F]."""

    space: Space
    config: Config

    @nn.compact
    def __call__(self, inputs: Any) -> jax.Array:
        config = self.config
        activation = ACTIVATIONS[config.activation]
        torso = Torso(
            self.space,
            config.hidden,
            config.channels,
            activation=activation,
            layer_norm=config.layer_norm,
        )
        return torso((), inputs)[1]


class OwnValues(nn.Module):
    """From features [..., 2 F] to the values of all own actions, [..., A]."""

    num_actions: int
    size: int
    config: Config

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        rows, leading = merge_leading_axes(Box((features.shape[-1],)), features)
        layer = MLP((self.size,), ACTIVATIONS[self.config.activation])(rows)
        return head(self.num_actions, gain=1.0)(layer).reshape(*leading, self.num_actions)


class Attention(nn.Module):
    """(askers' features [N, b, F], others' [b, N, F], alive [b, N]) -> [N, b, F], what is heard."""

    num_heads: int
    activation: Any

    @nn.compact
    def __call__(self, asking: jax.Array, others: jax.Array, alive: jax.Array) -> jax.Array:
        num_agents, size, num_heads = others.shape[1], others.shape[-1], self.num_heads
        dense = lambda name, bias: nn.Dense(
            size, use_bias=bias, kernel_init=scaled_normal(), name=name
        )
        in_heads = lambda x: x.reshape(*x.shape[:-1], num_heads, size // num_heads)
        keys = in_heads(dense("key", False)(others))  # [b, N, H, d]
        values = in_heads(self.activation(dense("value", True)(others)))
        queries = in_heads(dense("query", False)(asking))  # [N, b, H, d]

        # the weights [b, H, N] of an agent are computed again for the gradient, not kept
        @jax.checkpoint
        def one(query_of_one):
            query, index = query_of_one
            logits = jnp.einsum("bhd,bjhd->bhj", query, keys) / sqrt(size // num_heads)
            heard = (alive & (jnp.arange(num_agents) != index))[:, None]
            weights = jax.nn.softmax(jnp.where(heard, logits, -1e9))
            weights = jnp.where(heard, weights, 0.0)  # of nobody where no other is alive
            return jnp.einsum("bhj,bjhd->bhd", weights, values).reshape(-1, size)

        together = min(TOGETHER, num_agents)
        return jax.lax.map(one, (queries, jnp.arange(num_agents)), batch_size=together)


def attention_critics(env: Environment, stacks: list[AgentStack], config: Config) -> Critics:
    """Returns a critic for each agent, which attends to all others; see above.

    Raises:
      ValueError: the features cannot be shared out among the heads.
    """
    num_heads = decided(config.num_heads)
    size = config.hidden[-1] if config.hidden else 0
    fits = size > 0 and size % num_heads == 0
    require(fits, "num_heads", f"a divisor of the last of hidden {config.hidden}", num_heads)
    valued = each_agent(stacks)
    activation = ACTIVATIONS[config.activation]
    attention = Attention(num_heads, activation)
    networks = {}
    for stack in stacks:
        both = {"observation": stack.observation, "action": Box((flat_size(stack.action),))}
        networks[stack.name] = {
            "encoder": Features(Composite(both), config),
            "state": Features(stack.observation, config),
            "head": OwnValues(num_values(stack.action), size, config),
        }

    def init(key):
        key_attention, key_own = jax.random.split(key)
        example = jnp.zeros((1, 1, size))
        params = {
            "attention": attention.init(key_attention, example, example, jnp.ones((1, 1), bool))
        }
        for i, stack in enumerate(stacks):
            stack_key = jax.random.fold_in(key_own, i)
            keys = jax.random.split(stack_key, stack.size) if stack.separate else stack_key

            def fresh(key, own=networks[stack.name]):
                keys = jax.random.split(key, len(own))
                return {
                    "encoder": init_network(own["encoder"], keys[0]),
                    "state": init_network(own["state"], keys[1]),
                    "head": own["head"].init(keys[2], jnp.zeros((1, 2 * size))),
                }

            params[f"of_{stack.name}"] = over_axes(fresh, int(stack.separate))(keys)
        return params

    def own(stack, part, params, x):
        """Returns what a part of the agents' own networks makes of x, [b, n, ...]."""
        one = lambda params, x: apply(networks[stack.name][part], params, x)
        return per_agent(stack, one, 1)(params[f"of_{stack.name}"][part], x)

    def of_actions(params, observed: Observed, vectors):
        states, encoded = [], []
        for stack in stacks:
            observation = observed.observation[stack.name]
            states.append(own(stack, "state", params, observation))
            both = {"observation": observation, "action": vectors[stack.name]}
            encoded.append(own(stack, "encoder", params, both))
        state, encoded = jnp.concatenate(states, 1), jnp.concatenate(encoded, 1)
        alive = alive_of_all(stacks, observed)
        heard = apply(attention, params["attention"], state.swapaxes(0, 1), encoded, alive)
        features = jnp.concatenate([state, heard.swapaxes(0, 1)], -1)
        found = {}
        for stack in stacks:
            mine = features[:, stack.first : stack.first + stack.size]
            found[stack.name] = own(stack, "head", params, mine)
        return found

    def values(params, observed, vectors):
        of_all = of_actions(params, observed, vectors)
        chosen = [(of_all[stack.name] * vectors[stack.name]).sum(-1) for stack in stacks]
        return jnp.concatenate(chosen, 1)[None]

    return Critics(
        init,
        {"attention": 0} | {f"of_{stack.name}": int(stack.separate) for stack in stacks},
        False,
        values,
        valued.pay,
        valued.summed,
        valued.next_values,
        of_actions=of_actions,
    )
