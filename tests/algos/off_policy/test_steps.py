"""Losses and steps of several agents on a fixed batch, against plain code in double precision.

Two who choose among masked actions and one who aims, in two teams: critics of teams and of agents,
actors at once and in turn.
"""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from probes import MixedGroups

from jaxmarl_core.algos import hasac, hatd3, maddpg
from jaxmarl_core.algos.off_policy.batches import Batch, Observed
from jaxmarl_core.algos.off_policy.engine import (
    Noise,
    actors_step,
    critic_loss,
    critics_step,
    gradient_step,
    targets,
)
from jaxmarl_core.algos.off_policy.options import Config
from jaxmarl_core.algos.off_policy.order import rates_at

B, HIDDEN = 7, (5,)
SMALL = {
    "num_envs": 2,
    "rollout_length": 4,
    "num_gradient_steps": 1,
    "batch_size": B,
    "buffer_length": 8,
    "hidden": HIDDEN,
}
MASK = np.array([True, True, False])
SIZES = {"choosers": (2, 3), "aimer": (1, 1)}  # agents, entries of an action
TEAMS = np.array([0, 0, 1])
ORDER = jnp.array([2, 0, 1])


def observed(rng):
    lives = rng.random((B, 2)) < 0.7  # the dead see 0
    return Observed(
        {
            "choosers": rng.integers(0, 2, (B, 2)) * lives,
            "aimer": rng.normal(size=(B, 1, 2)).astype(np.float32),
        },
        {"choosers": np.broadcast_to(MASK, (B, 2, 3)), "aimer": None},
        {"choosers": lives, "aimer": np.ones((B, 1), bool)},
        rng.normal(size=(B, 1)).astype(np.float32),
        dict.fromkeys(SIZES, ()),
    )


def noise(rng):
    of = lambda n, e: rng.normal(size=(B, n, e)).astype(np.float32)
    return {name: of(*size) for name, size in SIZES.items()}


def batch(rng):
    first = observed(rng)
    choice = np.eye(3, dtype=np.float32)[rng.integers(0, 2, (B, 2))]
    choice *= first.alive["choosers"][..., None]
    aim = rng.uniform(-1, 1, (B, 1, 1)).astype(np.float32)
    reward, discount = rng.normal(size=(B, 3)), rng.random((B, 3))
    return Batch(
        first,
        {"choosers": choice, "aimer": aim},
        observed(rng),
        reward.astype(np.float32),
        discount.astype(np.float32),
        np.arange(B) > 0,
    )


# ---- plain code: agents 0 and 1 choose, 2 aims; everything in double


def net(tree, x):
    hidden, last = tree["params"]["Torso_0"]["MLP_0"]["Dense_0"], tree["params"]["Dense_0"]
    x = jnp.maximum(x @ hidden["kernel"] + hidden["bias"], 0)
    return x @ last["kernel"] + last["bias"]


def inputs_of(observed, i):
    if i == 2:
        return observed.observation["aimer"][:, 0]
    return jnp.eye(2)[observed.observation["choosers"][:, i]]


def alive(observed, i):
    return observed.alive["aimer"][:, 0] if i == 2 else observed.alive["choosers"][:, i]


def own(tree, i):
    """Of agent i, out of what is stored by group."""
    return tree["aimer"][:, 0] if i == 2 else tree["choosers"][:, i]


def action(kind, actor, observed, i, noise, temperature, smooth=None):
    """(vector, log-probability) of agent i, zeros if it is dead."""
    out, z = net(actor, inputs_of(observed, i)), own(noise, i)
    if i == 2 and kind == "soft":
        mean, log_std = out[:, :1], jnp.clip(out[:, 1:], -5, 2)
        vector = jnp.tanh(mean + jnp.exp(log_std) * z)
        log_prob = -0.5 * z**2 - log_std - 0.5 * jnp.log(2 * jnp.pi) - jnp.log(1 - vector**2)
        log_prob = log_prob.sum(-1)
    elif i == 2:
        vector, log_prob = jnp.tanh(out), jnp.zeros(B)
        if smooth:
            scale, clip = smooth
            vector = jnp.clip(vector + jnp.clip(scale * z, -clip, clip), -1, 1)
    else:
        logits = jnp.where(MASK, out, -1e9)
        soft = jax.nn.softmax((logits + z) / temperature)
        hard = jnp.eye(3)[soft.argmax(-1)]
        vector = soft + jax.lax.stop_gradient(hard - soft)
        p = jax.nn.softmax(logits)[:, :2]
        log_prob = (p * jnp.log(p)).sum(-1) if kind == "soft" else jnp.zeros(B)
    lives = alive(observed, i)
    return vector * lives[:, None], log_prob * lives


def central(central_kind, observed, vectors):
    """What a central critic sees."""
    parts = (
        [observed.state] if central_kind == "state" else [inputs_of(observed, i) for i in range(3)]
    )
    return jnp.concatenate([*parts, *vectors], -1)


CASES = {
    "maddpg": (maddpg, {}, "deterministic", 1, "agent", "observations"),
    "hatd3": (hatd3, {"actor_period": 1}, "deterministic", 2, "environment", "state"),
    "hasac": (hasac, {}, "soft", 2, "environment", "state"),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    build, options, kind, num_critics, critic, central_kind = CASES[request.param]
    algorithm = build(MixedGroups(), Config(**SMALL, **options))
    learner = algorithm.update.args[0]
    hp = algorithm.hparams.replace(max_grad_norm=1e6, output_penalty=0.01, gumbel_temperature=0.8)
    state = jax.jit(algorithm.init)(jax.random.key(3), hp)
    rng = np.random.default_rng(5)
    shaken = lambda tree: jax.tree.map(
        lambda x: x + 0.5 * rng.normal(size=x.shape).astype(np.float32), tree
    )
    params = state.params.replace(
        actors=shaken(state.params.actors), critics=shaken(state.params.critics)
    )
    target = shaken(state.target)
    double = lambda tree: jax.tree.map(lambda x: np.asarray(x, np.float64), tree)
    with jax.enable_x64(True):
        of_actor = lambda tree, i: jax.tree.map(
            lambda x: jnp.asarray(x[i % 2]), double(tree["aimer" if i == 2 else "choosers"])
        )
        actors = [of_actor(params.actors, i) for i in range(3)]
        target_actors = [of_actor(target[0], i) for i in range(3)] if target[0] else actors
        of = lambda tree, m, k: jax.tree.map(
            lambda x: jnp.asarray(x[m, k]), double(tree["central"])
        )
        num_valued = 3 if critic == "agent" else 2
        each = lambda tree: [
            [of(tree, m, k) for k in range(num_valued)] for m in range(num_critics)
        ]
        return SimpleNamespace(
            learner=learner,
            hp=hp,
            params=params,
            target=target,
            optimiser=state.optimiser,
            batch=batch(rng),
            noise=Noise(noise(rng), noise(rng)),
            kind=kind,
            central=central_kind,
            teams=critic == "environment",
            actors=actors,
            target_actors=target_actors,
            critics=each(params.critics),
            target_critics=each(target[1]),
            weight=np.exp(np.asarray(params.log_weight, np.float64)) if kind == "soft" else [0] * 3,
        )


def q(case, critics, observed, vectors):
    """[M][K] of [B]."""
    x = central(case.central, observed, vectors)
    return [[net(critic, x)[:, 0] for critic in row] for row in critics]


def wanted_targets(case):
    hp, b = case.hp, case.batch
    smooth = None if hp.target_noise is None else (hp.target_noise, hp.target_clip)
    drawn = [
        action(
            case.kind, actor, b.next_observed, i, case.noise.after, hp.gumbel_temperature, smooth
        )
        for i, actor in enumerate(case.target_actors)
    ]
    values = q(case, case.target_critics, b.next_observed, [vector for vector, _ in drawn])
    entropy = [-case.weight[i] * log_prob for i, (_, log_prob) in enumerate(drawn)]
    columns = []
    for k in range(len(values[0])):
        lowest = jnp.stack([row[k] for row in values]).min(0)
        if case.teams:
            members = [i for i in range(3) if TEAMS[i] == k]
            bonus = sum(entropy[i] for i in members)
            reward = sum(b.reward[:, i] for i in members) / len(members)
            discount = jnp.stack([b.discount[:, i] for i in members]).max(0)
        else:
            # for the dead their living mates' values, 0 if there is none
            lives = [alive(b.next_observed, i) for i in range(3)]
            mates = [i for i in range(3) if TEAMS[i] == TEAMS[k]]
            count = sum(lives[i].astype(float) for i in mates)
            mean = sum(lives[i] * values[0][i] for i in mates) / jnp.maximum(count, 1)
            lowest = jnp.where(lives[k], lowest, mean)
            bonus, reward, discount = entropy[k], b.reward[:, k], b.discount[:, k]
        columns.append(reward + discount * (lowest + bonus))
    return jnp.stack(columns, -1)


def wanted_counts(case):
    lives = np.stack([alive(case.batch.observed, i) for i in range(3)], -1)
    if case.teams:
        lives = np.stack([lives[:, k == TEAMS].any(-1) for k in range(2)], -1)
    return lives & case.batch.counts[:, None]


def mean_over(x, counts):
    return jnp.sum(jnp.where(counts, x, 0)) / jnp.maximum(jnp.sum(counts), 1)


@pytest.mark.fast("hatd3", "hasac")
def test_targets_and_the_critics_loss(case):
    found = jax.jit(partial(targets, case.learner))(
        case.params, case.target, case.batch, case.noise.after, case.hp
    )
    with jax.enable_x64(True):
        wanted = wanted_targets(case)
        counts = wanted_counts(case)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
        vectors = [jnp.asarray(own(case.batch.vectors, i), jnp.float64) for i in range(3)]

        def loss(critics):
            values = q(case, critics, case.batch.observed, vectors)
            return sum(
                mean_over(0.5 * (value - wanted[:, k]) ** 2, counts[:, k])
                for row in values
                for k, value in enumerate(row)
            )

        value, slope = jax.value_and_grad(loss)(case.critics)
    ours = jax.jit(jax.value_and_grad(lambda p: critic_loss(p, case.learner, case.batch, found)[0]))
    our_value, our_slope = ours(case.params.critics)
    np.testing.assert_allclose(our_value, value, rtol=1e-4)
    for m, row in enumerate(slope):
        for k, each in enumerate(row):
            mine = jax.tree.map(lambda x, m=m, k=k: x[m, k], our_slope["central"])
            close = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)
            jax.tree.map(close, mine, each)


@pytest.mark.fast("maddpg", "hatd3")
def test_actors_climb_at_once_or_in_turn(case):
    """One step of Adam of every agent: in turn, with the new actions of those before it."""
    hp, b = case.hp, case.batch
    rates = rates_at(hp, jnp.int32(0))
    found, _, metrics = jax.jit(partial(actors_step, case.learner))(
        case.params, case.optimiser, b, case.noise.now, hp, rates, ORDER
    )
    in_turn = case.teams
    adam = optax.adam(float(hp.learning_rate))
    with jax.enable_x64(True):
        actors = list(case.actors)
        draw = lambda actor, i: action(
            case.kind, actor, b.observed, i, case.noise.now, hp.gumbel_temperature
        )
        replayed = [jnp.asarray(own(b.vectors, i), jnp.float64) for i in range(3)]
        now = [draw(actors[i], i)[0] for i in range(3)] if in_turn else replayed
        losses = []
        for i in map(int, ORDER):

            def loss(actor, i=i, others=tuple(now)):
                vector, log_prob = draw(actor, i)
                vectors = [vector if j == i else others[j] for j in range(3)]
                k = TEAMS[i] if case.teams else i
                values = jnp.stack([row[k] for row in q(case, case.critics, b.observed, vectors)])
                climbed = values.min(0) if case.kind == "soft" else values[0]
                penalty = 0.01 * jnp.mean(net(actor, inputs_of(b.observed, i)) ** 2, -1)
                total = case.weight[i] * log_prob - climbed + penalty
                return mean_over(total, alive(b.observed, i) & b.counts)

            value, grads = jax.value_and_grad(loss)(actors[i])
            losses.append(value)
            changes, _ = adam.update(grads, adam.init(actors[i]))
            actors[i] = optax.apply_updates(actors[i], changes)
            if in_turn:
                now[i] = draw(actors[i], i)[0]
    np.testing.assert_allclose(metrics["policy_loss"], np.mean(losses), rtol=1e-4, atol=1e-5)
    for i, actor in enumerate(actors):
        group, at = ("aimer", 0) if i == 2 else ("choosers", i)
        mine = jax.tree.map(lambda x, at=at: x[at], found.actors[group])
        # of a first step of Adam the size is the rate, whatever the slope's: its sign is compared
        jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=2e-5), mine, actor)


def test_an_entropy_weight_moves_towards_what_is_wanted(case):
    if case.kind != "soft":
        assert case.params.log_weight == ()
        return
    hp, b = case.hp, case.batch
    found, _, _ = jax.jit(partial(actors_step, case.learner))(
        case.params, case.optimiser, b, case.noise.now, hp, rates_at(hp, jnp.int32(0)), ORDER
    )
    for i in range(3):
        with jax.enable_x64(True):
            _, log_prob = action("soft", case.actors[i], b.observed, i, case.noise.now, 0.8)
            counts = alive(b.observed, i) & b.counts
            wanted = -1.0 if i == 2 else 0.98 * np.log(2)  # two actions are legal
            too_sure = mean_over(log_prob + wanted, counts) > 0
        moved = found.log_weight[i] - case.params.log_weight[i]
        np.testing.assert_allclose(moved, 1e-3 if too_sure else -1e-3, rtol=1e-3)


def test_gradients_are_clipped_for_each_network_by_itself(case):
    """A critic whose error is huge takes nothing off another's step, nor an agent off another's."""
    rates = rates_at(case.hp, jnp.int32(0))
    huge = case.batch._replace(reward=case.batch.reward * np.array([1, 1, 1e4], np.float32))

    def moments(batch):
        step = partial(critics_step, case.learner, case.params, case.target)
        hp = case.hp.replace(max_grad_norm=0.1)
        states = jax.jit(step)(case.optimiser.critics, batch, case.noise.after, hp, rates)[1]
        return jax.tree.map(np.asarray, states["central"])

    mine, theirs = jax.tree.leaves(moments(case.batch)), jax.tree.leaves(moments(huge))
    first = [(a[:, 0], b[:, 0]) for a, b in zip(mine, theirs)]
    last = [(a[:, -1], b[:, -1]) for a, b in zip(mine, theirs)]
    assert all((a == b).all() for a, b in first)
    assert any((a != b).any() for a, b in last)


@pytest.mark.fast("hatd3")
def test_delayed_actors_and_targets_wait(case):
    """A step that is not due moves the critics alone."""
    learner = case.learner._replace(
        config=Config(**SMALL, actor_period=2, critic=case.learner.config.critic)
    )
    rates = rates_at(case.hp, jnp.int32(0))
    learnt = case.params, case.target, case.optimiser
    step = jax.jit(
        lambda due: gradient_step(
            learner, learnt, case.batch, case.noise, case.hp, rates, ORDER, due
        )[0]
    )
    for due in (False, True):
        params, target, _ = step(jnp.bool_(due))
        same = lambda a, b: all(
            (x == y).all() for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
        )
        assert same(params.actors, case.params.actors) is not due
        assert same(target, case.target) is not due
        assert not same(params.critics, case.params.critics)
