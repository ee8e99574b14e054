"""Mixers: from the values of single agents' actions to the value of the joint action.

Agents lie on the axis before the features, [..., n, ...]; the dead are left out of every sum. All
that a mixer knows beside the utilities is the state and, in QTRAN's heads, what the agents' own
networks make of what they see.

What a mixer may represent tells the algorithms apart. If the joint value rises with every utility,
each agent's own best action is its part of the best joint one ("individual, global, max": IGM), and
acting needs no search. A sum (VDN) and a monotone network (QMIX) are so by construction; QTRAN's
joint value is any function of the joint action, and its losses see to the rest.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxmarl_core.functional.shapes import as_float, require_shape
from jaxmarl_core.learners.networks import MLP, head, scaled_normal


def additive(utilities: jax.Array, alive: jax.Array) -> jax.Array:
    """Returns the sum over the living, [...]: `Q(u) = sum_i q_i(u_i)`.

    VDN; Sunehag et al., 2018, arXiv:1706.05296.

    Args:
      utilities: [..., n] f32, of the actions taken.
      alive: [..., n] bool.
    """
    utilities, alive = as_float(utilities), jnp.asarray(alive)
    _require_agents(utilities, alive)
    return jnp.where(alive, utilities, 0).sum(-1)


def _require_agents(utilities, alive, state=None, **others):
    """Raises ValueError unless all have the same leading axes, and agents their entries.

    A mixer flattens them: a state with time and batch exchanged would be another's.
    """
    require_shape("alive", alive, np.shape(utilities))
    if state is not None:
        require_shape("state", state, (*np.shape(utilities)[:-1], None))
    for name, x in others.items():
        require_shape(name, x, np.shape(utilities))


class Monotone(nn.Module):
    """A network over the utilities whose weights are at least 0, made from the state.

        Q = |w(s)|' elu(|W(s)| q + b(s)) + v(s)

    Rashid et al., 2018, arXiv:1803.11485, figure 2. There W and w are linear in the state
    (`hypernet` 0); its program, and the journal version (JMLR 21, 2020), put a layer before them.
    They start small (`gain`): as factors of the utilities and of each other, made from a state that
    may be far out, they are what makes values run away. On simple_spread a gain of 1 does so.

    `(utilities [..., n], alive [..., n], state [..., S]) -> [...]`.
    """

    embed: int = 32
    hypernet: int = 64
    gain: float = 0.1

    @nn.compact
    def __call__(self, utilities: jax.Array, alive: jax.Array, state: jax.Array) -> jax.Array:
        _require_agents(utilities, alive, state)
        n, size, hidden = utilities.shape[-1], self.embed, self.hypernet
        leading = state.shape[:-1]
        q = jnp.where(alive, utilities, 0).reshape(-1, n)
        state = state.reshape(
            -1, state.shape[-1]
        )  # one leading axis: see networks.merge_leading_axes
        dense = lambda features, name, gain=1.0: nn.Dense(
            features, kernel_init=scaled_normal(gain), name=name
        )
        # b and the hidden layers of v, W and w are one product
        parts = dense(2 * size + 2 * hidden, "of_state")(state)
        b, v, first, second = jnp.split(parts, (size, 2 * size, 2 * size + hidden), -1)
        first, second = (nn.relu(first), nn.relu(second)) if hidden else (state, state)
        first = jnp.abs(dense(n * size, "first", self.gain)(first))
        second = jnp.abs(dense(size, "second", self.gain)(second))
        first = first.reshape(*first.shape[:-1], n, size)
        # sums of products, not small matrix products: XLA fuses them with what stands around
        inner = nn.elu((q[..., None] * first).sum(-2) + b)
        value = dense(1, "value")(nn.relu(v))[..., 0]
        return ((inner * second).sum(-1) + value).reshape(leading)


class Duplex(nn.Module):
    """A sum of agents' best values, and of what they miss, weighted by what all of them do.

        Q(s, u) = sum_i V_i + lambda_i(s, u) A_i,   V_i = w_i max_a q_i(a) + b_i,
        A_i = w_i (q_i(u_i) - max_a q_i(a)),        lambda_i > 0, w_i > 0

    As A_i <= 0 is 0 at the agent's best action, that action is its part of the best joint one
    whatever the weights are, and as lambda depends on the joint action, any function with such a
    maximum can be said. Wang et al., 2021, arXiv:2008.01062 (QPLEX), eq. 9 to 12; lambda is a sum
    over heads of |key(s)| sigmoid(agents(s)) sigmoid(actions(s, u)). As there, no gradient flows
    through A_i where lambda multiplies it: the utilities learn as in a weighted sum.

    `(utilities [..., n], best [..., n], actions [..., K], alive [..., n], state [..., S])` maps to
    `[...]`; `actions` is the joint action, one-hot for each agent.
    """

    num_heads: int = 4
    embed: int = 64

    @nn.compact
    def __call__(
        self,
        utilities: jax.Array,
        best: jax.Array,
        actions: jax.Array,
        alive: jax.Array,
        state: jax.Array,
    ) -> jax.Array:
        _require_agents(utilities, alive, state, best=best)
        require_shape("actions", actions, (*utilities.shape[:-1], None))
        n, heads = utilities.shape[-1], self.num_heads
        layers = lambda size, name: MLP(
            (self.embed, size), nn.relu, activate_final=False, gain=1.0, name=name
        )
        by_head = lambda x: x.reshape(*x.shape[:-1], n, heads)
        both = jnp.concatenate([state, actions], -1)
        key = jnp.abs(layers(heads, "key")(state))[..., None, :]
        agents = nn.sigmoid(by_head(layers(n * heads, "agents")(state)))
        joint = nn.sigmoid(by_head(layers(n * heads, "actions")(both)))
        tiny = 1e-10  # above 0, where rounding might leave nothing
        weight = (key * agents * joint).sum(-1) + tiny
        w = jnp.abs(layers(n, "weight")(state)) + tiny
        value = w * utilities + layers(n, "bias")(state)
        missed = jax.lax.stop_gradient(w * (utilities - best))
        return jnp.where(alive, value + (weight - 1) * missed, 0).sum(-1)


def _with_number(x: jax.Array) -> jax.Array:
    """Returns [..., n, F + n]: each agent's features beside its number, one-hot."""
    n = x.shape[-2]
    return jnp.concatenate([x, jnp.broadcast_to(jnp.eye(n, dtype=x.dtype), (*x.shape[:-1], n))], -1)


def _split_kinds(alive: jax.Array, sizes: Sequence[int]) -> list[jax.Array]:
    """Returns the parts [..., n_k] of what all agents share an axis for."""
    cuts = [sum(sizes[: k + 1]) for k in range(len(sizes) - 1)]
    return jnp.split(alive, cuts, -1)


class Codes(nn.Module):
    """A code for each agent, [..., n, embed], from its features and its action; the dead's is 0.

    Agents come in kinds, each with its own encoder, as sequences of arrays: features [..., n_k, F]
    and actions [..., n_k, A] f32, one-hot, or None where codes are of features alone. An encoder
    knows whom it encodes by number, as codes are added up.
    """

    embed: int

    @nn.compact
    def __call__(self, features, actions, alive: jax.Array) -> list[jax.Array]:
        codes = []
        num_agents = sum(x.shape[-2] for x in features)
        for number, x in enumerate(features):
            require_shape("alive", alive, (*x.shape[:-2], num_agents))
            if actions is not None:
                require_shape(f"actions[{number}]", actions[number], (*x.shape[:-1], None))
        living = _split_kinds(alive, [x.shape[-2] for x in features])
        for k, (x, here) in enumerate(zip(features, living)):
            x = x if actions is None else jnp.concatenate([x, actions[k]], -1)
            layers = MLP((self.embed, self.embed), nn.relu, activate_final=False, name=f"kind_{k}")
            codes.append(jnp.where(here[..., None], layers(_with_number(x)), 0))
        return codes


def _sum_agents(codes: Sequence[jax.Array]) -> jax.Array:
    return reduce(add, (code.sum(-2) for code in codes))


class JointValue(nn.Module):
    """The value of a joint action, which may be any function of it: QTRAN's Q_jt and V_jt.

        Q_jt(s, u) = f(s, sum_i e(h_i, u_i))

    Son et al., 2019, arXiv:1905.05408, section 4.1: the codes of agents and their actions are added
    up, so that the number of weights does not grow with that of joint actions. Without actions it
    is the head V_jt, a function of what the agents saw.

    `(features, actions or None, alive [..., n], state [..., S]) -> [...]`; see `Codes`.
    """

    embed: int = 64

    @nn.compact
    def __call__(self, features, actions, alive: jax.Array, state: jax.Array) -> jax.Array:
        require_shape("state", state, (*alive.shape[:-1], None))
        code = _sum_agents(Codes(self.embed, name="codes")(features, actions, alive))
        x = jnp.concatenate([state, code], -1)
        return head(1, gain=1.0)(MLP((self.embed, self.embed), nn.relu)(x))[..., 0]


class CounterfactualValues(nn.Module):
    """The value of a joint action if one agent's part of it were another: QTRAN-alt's heads.

        Q_jt(s, (., u_-i)) = f(s, g(h_i), sum_{j != i} e(h_j, u_j))

    Son et al., 2019, arXiv:1905.05408, section 4.3. Entry a of agent i does not depend on u_i: at
    a = u_i all agents' heads speak of one and the same joint action.

    `(features, actions, alive [..., n], state [..., S]) -> list of [..., n_k, A_k]`; see `Codes`.
    """

    embed: int = 64

    @nn.compact
    def __call__(self, features, actions, alive: jax.Array, state: jax.Array) -> list[jax.Array]:
        require_shape("state", state, (*alive.shape[:-1], None))
        codes = Codes(self.embed, name="others")(features, actions, alive)
        own = Codes(self.embed, name="own")(features, None, alive)
        everyone, values = _sum_agents(codes)[..., None, :], []
        for k, (code, mine, action) in enumerate(zip(codes, own, actions)):
            states = jnp.broadcast_to(state[..., None, :], (*code.shape[:-1], state.shape[-1]))
            x = jnp.concatenate([states, mine, everyone - code], -1)
            x = MLP((self.embed, self.embed), nn.relu, name=f"layers_{k}")(x)
            values.append(head(action.shape[-1], gain=1.0, name=f"head_{k}")(x))
        return values
