"""Losses of value factorisation and their gradients, on fixed batches against NumPy in float64.

The losses are written out again here, plainly. Their gradients are taken by central differences
along random directions, with what the paper holds constant held: in float64 that is right to nine
digits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos.value_factorisation import qtran_losses
from jaxmarl_core.algos.value_factorisation.factorisation import (
    AgentValues,
    CentralInput,
    with_mixer,
)
from jaxmarl_core.algos.value_factorisation.iql import independent
from jaxmarl_core.algos.value_factorisation.options import Config, Hparams
from jaxmarl_core.algos.value_factorisation.qmix import monotone
from jaxmarl_core.algos.value_factorisation.vdn import additive_mixer
from jaxmarl_core.envs import simple_speaker_listener
from jaxmarl_core.learners.parameter_sharing import agent_stacks, state_space

T, B, F, E = 4, 3, 5, 6
ENV = simple_speaker_listener()  # a team of two kinds, with 3 and 5 actions
GROUPS = list(ENV.groups)
SIZES = [ENV.groups[name].action.num_values for name in GROUPS]
N = len(GROUPS)
RNG = np.random.default_rng(0)
CONFIG = {"hidden": (F,), "memory_size": 0, "agent_ids": False}
BUILDERS = {
    "iql": (independent, Config(**CONFIG, reward="own")),
    "vdn": (with_mixer(additive_mixer), Config(**CONFIG)),
    "qmix": (with_mixer(monotone), Config(**CONFIG, embed=E, hypernet=7)),
    "qtran": (qtran_losses.base, Config(**CONFIG, embed=E)),
    "qtran_alt": (qtran_losses.alternative, Config(**CONFIG, embed=E)),
}
HP = Hparams(opt_weight=0.7, nopt_weight=0.3)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}

STATE = RNG.normal(size=(T, B, *state_space(ENV).shape))
ALIVE = RNG.random((T, B, N)) < 0.8
MASKS = [RNG.random((T, B, size)) < 0.7 for size in SIZES]
ACTION = np.zeros((T, B, N), int)
for i, mask in enumerate(MASKS):
    for t, b in np.ndindex(T, B):
        mask[t, b, RNG.integers(SIZES[i])] = True
        ACTION[t, b, i] = RNG.choice(np.flatnonzero(mask[t, b]))
Q = [RNG.normal(size=(T, B, size)) for size in SIZES]
FEATURES = [RNG.normal(size=(T, B, F)) for _ in SIZES]
WEIGHT = RNG.random((T, B, N))  # of each entry in the sum that is differentiated


def dense(layer, x):
    return x @ layer["kernel"] + layer["bias"]


def mlp(layers, x, final=True):
    x = dense(layers["Dense_1"], np.maximum(dense(layers["Dense_0"], x), 0))
    return np.maximum(x, 0) if final else x


def one_hot(i, action):
    return np.eye(SIZES[i])[action]


class Row:
    """One time step of one sequence, with plain loops over its agents."""

    def __init__(self, params, q, features, t, b):
        self.layers = {name: tree["params"] for name, tree in params.items()}
        self.q = [values[t, b] for values in q]
        self.h = [x[t, b] for x in features]
        self.alive, self.state = ALIVE[t, b], STATE[t, b]
        self.mask = [mask[t, b] for mask in MASKS]
        self.u = ACTION[t, b]
        self.best = np.array([np.where(m, x, -np.inf).argmax() for x, m in zip(self.q, self.mask)])
        self.living = [i for i in range(N) if self.alive[i]]

    def total(self, u):
        return sum(self.q[i][u[i]] for i in self.living)

    def qmix(self, u):
        layers = self.layers["mixer"]
        parts = dense(layers["of_state"], self.state)
        b, v, first, second = np.split(parts, [E, 2 * E, 2 * E + 7])
        first = np.abs(dense(layers["first"], np.maximum(first, 0))).reshape(N, E)
        second = np.abs(dense(layers["second"], np.maximum(second, 0)))
        inner = sum(first[i] * self.q[i][u[i]] for i in self.living) + b
        elu = np.where(inner > 0, inner, np.exp(np.minimum(inner, 0)) - 1)
        return elu @ second + dense(layers["value"], np.maximum(v, 0))[0]

    def code(self, kinds, i, u=None):
        action = () if u is None else one_hot(i, u[i])
        x = np.concatenate([self.h[i], action, [1.0]])  # alone of its kind: number 0 of 1
        return mlp(kinds[f"kind_{i}"], x, final=False)

    def joint(self, part, u=None):
        layers = self.layers[part]
        code = sum((self.code(layers["codes"], i, u) for i in self.living), np.zeros(E))
        return dense(layers["Dense_0"], mlp(layers["MLP_0"], np.concatenate([self.state, code])))[0]

    def heads(self, i, u):
        """Q_jt(., u_-i) as agent i's head has it."""
        layers = self.layers["heads"]
        rest = [self.code(layers["others"], j, u) for j in self.living if j != i]
        own = self.code(layers["own"], i)
        x = np.concatenate([self.state, own, sum(rest, np.zeros(E))])
        return dense(layers[f"head_{i}"], mlp(layers[f"layers_{i}"], x))

    def value(self, name, u):
        if name == "iql":
            return [self.q[i][u[i]] for i in range(N)]
        if name == "vdn":
            return self.total(u)
        if name == "qmix":
            return self.qmix(u)
        if name == "qtran":
            return self.joint("joint", u)
        return np.mean([self.heads(i, u)[u[i]] for i in self.living] or 0)


def qtran(live, held, y):
    """(L_td, L_opt, L_nopt) of a row; what has no gradient is read off `held`."""
    u, best, v = live.u, held.best, live.joint("bias")
    td = (y - live.joint("joint", u)) ** 2
    opt = (live.total(best) - held.joint("joint", best) + v) ** 2
    nopt = min(live.total(u) - held.joint("joint", u) + v, 0) ** 2
    return td, opt, nopt


def qtran_alt(live, held, y):
    u, best, v = live.u, held.best, live.joint("bias")
    td, opt, nopt = [], [], []
    for i in live.living:
        td.append((y - live.heads(i, u)[u[i]]) ** 2)
        opt.append((live.total(best) - held.heads(i, best)[best[i]] + v) ** 2)
        gaps = []
        for a in np.flatnonzero(live.mask[i]):
            other = u.copy()
            other[i] = a
            gaps.append(live.total(other) - held.heads(i, other)[a] + v)
        nopt.append(min(gaps) ** 2)
    return tuple(sum(x) / max(len(x), 1) for x in (td, opt, nopt))


def by_hand(name, live, held, target):
    """[T, B, k] losses in float64; `live` is differentiated, `held` is not."""
    k = N if name == "iql" else 1
    found = np.zeros((T, B, k))
    for t, b in np.ndindex(T, B):
        row, fixed = Row(*live, t, b), Row(*held, t, b)
        y = target[t, b]
        if name in ("iql", "vdn", "qmix"):
            found[t, b] = (y - row.value(name, row.u)) ** 2 / 2
        else:
            td, opt, nopt = (qtran if name == "qtran" else qtran_alt)(row, fixed, y[0])
            found[t, b] = (td + HP.opt_weight * opt + HP.nopt_weight * nopt) / 2
    return found


def case(name):
    """(factorisation, parameters, target)."""
    build, config = BUILDERS[name]
    factors = build(name, ENV, agent_stacks(ENV, "group", False), config)
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda x: 0.5 * rng.normal(size=x.shape), factors.init(jax.random.key(0)))
    return factors, params, rng.normal(size=(T, B, N if name == "iql" else 1))


def as_ours(q, features):
    wrap = lambda leaves: tuple(jnp.float32(x)[:, :, None] for x in leaves)
    return AgentValues(wrap(q), wrap(features))


CENTRAL = CentralInput(
    jnp.float32(STATE),
    jnp.asarray(ALIVE),
    tuple(jnp.asarray(mask)[:, :, None] for mask in MASKS),
)
JOINT_ACTION = tuple(jnp.float32(one_hot(i, ACTION[..., i]))[:, :, None] for i in range(N))


@pytest.mark.parametrize("name", BUILDERS)
def test_losses_and_gradients(name):
    factors, params, target = case(name)
    wrapped = {"mixer": params} if name == "qmix" else params if params else {}
    assert [stack.name for stack in agent_stacks(ENV, "group", False)] == GROUPS

    def ours(params, q, features):
        td, metrics = factors.loss(
            params, as_ours(q, features), JOINT_ACTION, CENTRAL, jnp.float32(target), HP
        )
        return (td.loss * WEIGHT[..., : target.shape[-1]]).sum(), (td, metrics)

    single = jax.tree.map(jnp.float32, (params, Q, FEATURES))
    gradient = jax.jit(jax.value_and_grad(ours, (0, 1, 2), has_aux=True))
    (_, (td, _)), grads = gradient(*single)
    held = (wrapped, Q, FEATURES)
    np.testing.assert_allclose(td.loss, by_hand(name, held, held, target), **CLOSE)

    shapes, tree = jax.tree.flatten(held)
    names = ({"mixer": grads[0]} if name == "qmix" else grads[0] if grads[0] else {}, *grads[1:])
    slopes = np.concatenate([np.float64(x).ravel() for x in jax.tree.leaves(names)])
    start = np.concatenate([x.ravel() for x in shapes])
    cuts = np.cumsum([x.size for x in shapes])[:-1]

    def total(vector):
        parts = [x.reshape(s.shape) for x, s in zip(np.split(vector, cuts), shapes)]
        live = jax.tree.unflatten(tree, parts)
        losses = by_hand(name, live, held, target)
        return (losses * WEIGHT[..., : target.shape[-1]]).sum()

    rng, h = np.random.default_rng(2), 1e-6
    for _ in range(8):
        d = rng.normal(size=start.shape) * (rng.random(start.shape) < 0.3)
        difference = (total(start + h * d) - total(start - h * d)) / (2 * h)
        scale = np.linalg.norm(slopes) * np.linalg.norm(d)
        np.testing.assert_allclose(slopes @ d, difference, rtol=1e-5, atol=1e-6 * scale)


@pytest.mark.parametrize("name", BUILDERS)
def test_values_of_a_joint_action(name):
    """What targets are made of: the joint action's value, by hand."""
    factors, params, _ = case(name)
    wrapped = {"mixer": params} if name == "qmix" else params if params else {}
    single = jax.tree.map(jnp.float32, params)
    found = factors.value(single, as_ours(Q, FEATURES), JOINT_ACTION, CENTRAL)
    for t, b in np.ndindex(T, B):
        row = Row(wrapped, Q, FEATURES, t, b)
        expected = row.value(name, row.u)
        if name == "iql":  # what is to come for the dead is what their mates expect
            mates = np.mean([expected[i] for i in row.living] or 0)
            expected = [expected[i] if row.alive[i] else mates for i in range(N)]
        np.testing.assert_allclose(found[t, b], np.atleast_1d(expected), **CLOSE)


def test_where_they_agree_the_last_two_losses_vanish():
    """Sums that are the payoffs at the best joint action and above them elsewhere (theorem 1)."""
    payoff = np.array([[8.0, -12, -12], [-12, 0, 0], [-12, 0, 0]])
    q = np.array([4.0, 0.5, 0.5])
    total = q[:, None] + q
    opt, nopt = qtran_losses.gaps(total[0, 0], payoff[0, 0], total, payoff, 0.0)
    assert opt == 0 and (nopt == 0).all()
    low = q - np.array([0, 1, 0])  # too low: the bound is broken where the other plays 1, too
    opt, nopt = qtran_losses.gaps(8.0, 8.0, low[:, None] + low, payoff, 0.0)
    np.testing.assert_allclose(nopt, np.diag([0, -1.0, 0]))


def test_the_alternative_wants_the_bound_met_somewhere():
    """Agent 0 plays 1, agent 1 plays 2: the sums float 1 above the row's payoffs, -12, 0, 0."""
    q0, q1 = np.array([4.0, 0.5, 0.5]), np.array([4.0, 0.5, 0.5])
    joint0, joint1 = np.array([-12.0, 0, 0]), np.array([-12.0, 0, 0])
    least = qtran_losses.least_gap(
        jnp.stack([q0, q1]), jnp.array([0.5, 0.5]), jnp.float32(1.0),
        jnp.stack([joint0, joint1]), jnp.float32(0.0), None,
    )  # fmt: skip
    # min(4 + 0.5 + 12, 0.5 + 0.5 - 0, ...) = 1 for both
    np.testing.assert_allclose(least, [1.0, 1.0])
    mask = jnp.array([[True, False, False], [False, False, False]])
    least = qtran_losses.least_gap(
        jnp.stack([q0, q1]), jnp.array([0.5, 0.5]), jnp.float32(1.0),
        jnp.stack([joint0, joint1]), jnp.float32(0.0), mask,
    )  # fmt: skip
    np.testing.assert_allclose(least, [16.5, 0.0])  # only what is legal; nothing for the dead
