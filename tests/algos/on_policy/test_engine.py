"""The phases of an on-policy update, each by itself."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import ConstantReward, DyingAgents, MixedGroups

from jaxmarl_core.algos.on_policy import counterfactual, engine, value_critics, value_learning
from jaxmarl_core.algos.on_policy.critics import Played, on_arrival, resets
from jaxmarl_core.algos.on_policy.learning import (
    ActorUpdate,
    Batch,
    action_distribution,
    gradient_ascent,
    importance_weighted,
)
from jaxmarl_core.algos.on_policy.options import Config, Hparams
from jaxmarl_core.algos.on_policy.order import Actors, ActorState, simultaneous_update
from jaxmarl_core.learners import value_normalisation
from jaxmarl_core.learners.parameter_sharing import agent_stacks

CONFIG = Config(
    num_envs=2,
    rollout_length=5,
    num_epochs=1,
    num_minibatches=1,
    hidden=(4,),
    share="group",
    normalise_value="none",
)
KEY = jax.random.key(0)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def parts_of(env, critics=value_critics.own_critics, **options):
    config = Config(**vars(CONFIG) | options)
    update = gradient_ascent(config, importance_weighted)
    return engine.build(env, config, critics, update, simultaneous_update)


def played(parts, state):
    """(play, steps, batches) of one rollout."""
    play, steps, memory = jax.jit(partial(engine.play_on, parts))(KEY, state)
    return play, steps, engine.actor_batches(parts, state.params, steps, memory, Hparams())


@pytest.mark.parametrize(
    ("option", "critics"),
    [
        *((name, value_critics.own_critics) for name in ("share", "num_epochs", "num_minibatches")),
        ("normalise_value", value_critics.own_critics),
        ("critic", value_critics.central_critics),
        ("target_period", counterfactual.counterfactual_critics),
    ],
)
def test_what_recipes_differ_in_must_be_said(option, critics):
    with pytest.raises(ValueError, match=f"^{option}: expected a value from the recipe, got None"):
        parts_of(ConstantReward(), critics, **{option: None})


@pytest.mark.fast("none")
@pytest.mark.parametrize("share", ["group", "none"])
def test_actions_are_legal_and_told_with_their_log_probability(share):
    """Two kinds of agents; choosers' third action is never legal, and the aimer's is a number."""
    env = MixedGroups()
    parts = parts_of(env, share=share)
    state = engine.init(parts, KEY, Hparams())
    timestep = env.reset(KEY)[1]
    memory = engine.first_memory(parts)
    act = jax.jit(partial(engine.act, parts, False, state.params))
    actions, _, log_probs = jax.vmap(act, (0, None, None))(
        jax.random.split(KEY, 64), timestep, memory
    )
    assert set(np.unique(actions["choosers"])) == {0, 1}
    for stack in parts.actors.stacks:
        actor, params = parts.actors.networks[stack.name], state.params.actors[stack.name]
        mask = timestep.action_mask.get(stack.name)
        for i in range(stack.size):
            own = jax.tree.map(lambda x, i=i: x[i], params) if stack.separate else params
            seen = timestep.observation[stack.name][i]
            pi = actor.policy(own, (), seen, None if mask is None else mask[i])[1]
            for draw in range(4):
                expected = pi.log_prob(actions[stack.name][draw, i])
                np.testing.assert_allclose(log_probs[stack.name][draw, i], expected, **CLOSE)
    greedy = jax.jit(partial(engine.act, parts, True, state.params))
    one, other = (greedy(jax.random.key(k), timestep, memory)[0] for k in (1, 2))
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_batch_is_what_was_played_and_counts_the_living():
    """Agent i of three lives for i + 1 steps; step 3 ends the episode, step 4 begins another."""
    parts = parts_of(DyingAgents(3))
    state = engine.init(parts, KEY, Hparams())
    _, steps, batches = played(parts, state)
    batch = batches["agents"]
    alive = [[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0], [1, 1, 1]]
    for b in range(2):
        np.testing.assert_array_equal(batch.counts[:, b], np.array(alive, bool))
        np.testing.assert_array_equal(batch.reset[:, b], [False, False, False, False, True])
        np.testing.assert_array_equal(batch.observation[:, b], alive)
    living = np.array(alive, bool)[:, None]
    np.testing.assert_array_equal(batch.action, np.where(living, steps.actions["agents"], 0))
    np.testing.assert_array_equal(batch.weight, 1)
    pi = action_distribution(parts.actors.networks["agents"], state.params.actors["agents"], batch)
    log_prob = np.where(batch.counts, pi.log_prob(batch.action), 0)
    np.testing.assert_allclose(np.where(batch.counts, batch.log_prob, 0), log_prob, **CLOSE)


def test_states_weigh_what_sampling_says_of_their_step():
    parts = parts_of(DyingAgents(3))._replace(sampling=lambda step, hp: hp.gamma**step)
    state = engine.init(parts, KEY, Hparams())
    _, steps, memory = jax.jit(partial(engine.play_on, parts))(KEY, state)
    hp = Hparams(gamma=0.5)
    batch = engine.actor_batches(parts, state.params, steps, memory, hp)["agents"]
    for b in range(2):
        expected = np.array([1, 0.5, 0.25, 0.125, 1])[:, None] * np.ones(3)
        np.testing.assert_allclose(batch.weight[:, b], expected)


def test_advantages_of_a_critic_that_knows_nothing_are_discounted_returns():
    """Values of 0: A_t = r_{t+1} + gamma lambda A_{t+1} within an episode; rewards are all 1.

    Episodes of two steps, so that steps 0, 1 and 3, 4 are played, and step 2 is an end: from step 0
    two rewards come, from step 1 one, and so from step 3; step 4's is in the final time step.
    """
    parts = parts_of(ConstantReward(2, 2))
    hp = Hparams(gamma=0.9, gae_lambda=0.5)
    state = engine.init(parts, KEY, hp)
    play, steps, batches = played(parts, state)
    blind = jax.tree.map(jnp.zeros_like, state.params.critics)
    advantages, critic_batches, _ = parts.critics.estimate(
        state.critics.replace(params=blind),
        Played(steps, play.timestep, batches, state.params.actors, dict),
        hp,
    )
    two = 1 + 0.9 * 0.5
    batch = critic_batches["agents"]
    for b in range(2):
        for i in range(2):
            own = np.asarray(advantages["agents"])[:, b, i]
            np.testing.assert_allclose(own[[0, 1, 3, 4]], [two, 1, two, 1], rtol=1e-6)
            np.testing.assert_allclose(batch.target[:, b, i], own, rtol=1e-6)
            np.testing.assert_array_equal(batch.counts[:, b, i], [True, True, False, True, True])


def test_advantages_are_normalised_by_team_or_by_agent():
    """By hand in float64; what does not count changes no mean."""
    rng = np.random.default_rng(0)
    given = {"choosers": rng.normal(size=(5, 2, 2)), "aimer": 9 + 3 * rng.normal(size=(5, 2, 1))}
    counts = {name: rng.random(x.shape) < 0.7 for name, x in given.items()}
    blank = Batch(*[None] * len(Batch._fields))
    batches = {name: blank._replace(counts=jnp.asarray(x)) for name, x in counts.items()}
    advantages = jax.tree.map(jnp.float32, given)

    def by_hand(name, columns):
        x, valid = given[name][..., columns], counts[name][..., columns]
        return (x - x[valid].mean()) / (x[valid].std() + 1e-5), valid

    for how, parted in (("joint", [[0, 1]]), ("agent", [[0], [1]])):
        parts = parts_of(MixedGroups(), normalise_advantage=how)
        found = engine.normalise_advantages(parts, advantages, batches)
        for name, columns in [("aimer", [0]), *(("choosers", own) for own in parted)]:
            expected, valid = by_hand(name, columns)
            ours = np.asarray(found[name])[..., columns]
            np.testing.assert_allclose(ours[valid], expected[valid], rtol=1e-4, atol=1e-5)
    parts = parts_of(MixedGroups(), normalise_advantage="none")
    assert engine.normalise_advantages(parts, advantages, batches) is advantages


@pytest.mark.parametrize("share", ["group", "none"])
def test_all_learn_from_the_batch_that_was_played(share):
    """Each learner is told of its own advantages alone, whatever the others did with theirs."""
    stacks = agent_stacks(MixedGroups(), share, False)
    size = {stack.name: stack.size for stack in stacks}
    advantage = {"choosers": np.arange(20.0).reshape(5, 2, 2), "aimer": np.full((5, 2, 1), 100.0)}
    step = lambda actor, key, params, opt_state, batch, hp, update_index: (
        params + batch.advantage.sum(),
        opt_state + 1,
        {"total": batch.advantage.sum()},
    )
    batches = {
        name: Batch(*[jnp.zeros((5, 2, n))] * 4, jnp.float32(advantage[name]),
                    *[jnp.ones((5, 2, n))] * 2, jnp.zeros((5, 2)), jnp.zeros((1, 2, n, 1)))
        for name, n in size.items()
    }  # fmt: skip
    start = {name: jnp.zeros(n) if share == "none" else jnp.float32(0) for name, n in size.items()}
    actors = Actors(stacks, dict.fromkeys(size), ActorUpdate(None, step))
    (params, opt_state), metrics = simultaneous_update(
        actors, KEY, ActorState(start, start), batches, None, jnp.int32(0)
    )
    axes = (0, 1) if share == "none" else None
    for name in size:
        np.testing.assert_allclose(params[name], advantage[name].sum(axes))
        np.testing.assert_allclose(opt_state[name], jnp.ones_like(start[name]))
        np.testing.assert_allclose(metrics[f"total_{name}"], advantage[name].sum(axes).mean())


def test_fields_on_arrival_are_a_step_ahead():
    env = ConstantReward(2, 2)
    parts = parts_of(env)
    state = engine.init(parts, KEY, Hparams())
    play, steps, _ = played(parts, state)
    reward = lambda timestep, axis: timestep.reward["agents"]
    found = on_arrival(reward, steps.timestep, play.timestep)[:, 0, 0]
    np.testing.assert_array_equal(steps.timestep.reward["agents"][:, 0, 0], [0, 1, 1, 0, 1])
    np.testing.assert_array_equal(found, [1, 1, 0, 1, 1])
    begun = resets(jnp.array([[False], [True], [False]]))
    np.testing.assert_array_equal(begun, [[False], [False], [True]])


@pytest.mark.parametrize("how", ["none", "running", "popart"])
def test_predictions_of_returns_stay_where_their_units_move(how):
    """With popart the last layer, and what was predicted, follow the units; else they stay."""
    rng = np.random.default_rng(0)
    config = Config(**vars(CONFIG) | {"normalise_value": how})
    head = {"kernel": jnp.float32(rng.normal(size=(4, 1))), "bias": jnp.ones(1)}
    feature, target = rng.normal(size=(5, 2, 4)), 50 + 7 * rng.normal(size=(5, 2))
    predict = lambda layer: (jnp.float32(feature) @ layer["kernel"] + layer["bias"])[..., 0]
    scale = value_normalisation.initial_scale()
    if how != "none":  # seen before
        scale = value_normalisation.updated(scale, jnp.arange(6.0), jnp.ones(6, bool), 0.5)
    batch = value_critics.CriticBatch(
        None, predict(head), jnp.float32(target), jnp.ones((5, 2), bool), None, ()
    )
    new, found = value_learning.rescale(config, scale, batch, Hparams())
    params = value_learning.follow_units(config, {"params": {"head": head}}, scale, new)
    returns = partial(value_normalisation.denormalised, new)
    np.testing.assert_allclose(returns(found.target), target, rtol=1e-4)
    after = predict(params["params"]["head"])
    if how == "popart":
        before = value_normalisation.denormalised(scale, batch.value)
        np.testing.assert_allclose(returns(after), before, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(returns(found.value), before, rtol=1e-3, atol=1e-3)
    else:
        np.testing.assert_array_equal(after, batch.value)
        np.testing.assert_array_equal(found.value, batch.value)
    assert (how == "none") == bool(new.mean == scale.mean)


def test_a_counterfactual_critic_sees_the_actions_of_the_others_who_live():
    stacks = agent_stacks(DyingAgents(3), "group", False)
    actions = {"agents": jnp.array([[0, 1, 1], [1, 0, 1]])}  # [B, n]
    alive = {"agents": jnp.array([[True, True, True], [True, False, True]])}
    found = counterfactual.actions_of_others(stacks, stacks[0], actions, alive, 1)
    expected = [
        [[0, 0, 0, 1, 0, 1], [1, 0, 0, 0, 0, 1], [1, 0, 0, 1, 0, 0]],
        [[0, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0]],
    ]
    np.testing.assert_array_equal(found, expected)


def test_the_target_network_is_copied_every_period():
    parts = parts_of(DyingAgents(3), counterfactual.counterfactual_critics, target_period=3)
    hp = Hparams(critic_learning_rate=0.1)
    state = engine.init(parts, KEY, hp)
    play, steps, batches = played(parts, state)
    following = partial(engine.final_actions, parts, KEY, state.params, play)
    before = state.critics.replace(params=state.params.critics)
    rollout = Played(steps, play.timestep, batches, state.params.actors, following)
    _, critic_batches, _ = parts.critics.estimate(before, rollout, hp)
    learn = jax.jit(parts.critics.learn)
    for index, due in ((0, False), (1, False), (2, True), (3, False), (5, True)):
        after, metrics = learn(KEY, before, critic_batches, hp, jnp.int32(index))
        expected = after.params if due else before.target
        jax.tree.map(np.testing.assert_array_equal, after.target, expected)
    moved = zip(jax.tree.leaves(after.params), jax.tree.leaves(before.params))
    assert any((a != b).any() for a, b in moved) and metrics["value_loss"] > 0
