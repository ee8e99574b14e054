"""Critics in units of the returns: advantages beside time limits, and units that move."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from probes import ClockState, ConstantReward

from jaxmarl_core.algos import ippo
from jaxmarl_core.algos.on_policy import counterfactual, engine, value_critics, value_learning
from jaxmarl_core.algos.on_policy.critics import Played
from jaxmarl_core.algos.on_policy.learning import gradient_ascent, importance_weighted
from jaxmarl_core.algos.on_policy.networks import Critic
from jaxmarl_core.algos.on_policy.options import Config, Hparams
from jaxmarl_core.algos.on_policy.order import simultaneous_update
from jaxmarl_core.learners import value_normalisation
from jaxmarl_core.learners.value_normalisation import Scale, denormalised, updated
from jaxmarl_core.spaces import Box, Discrete
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import Group, StateEnvironment, TimeStep

KEY = jax.random.key(0)


@struct.dataclass
class Limited(StateEnvironment):
    """Two agents who see the step and their number and are paid by both; a time limit of 4 steps.

    Agent 1 falls on arriving at step 2, after which nothing is paid to it.
    """

    @property
    def groups(self):
        return {"agents": Group(2, Box((2,)), Discrete(2))}

    def initial(self, key):
        return ClockState(jnp.int32(0))

    def advance(self, key, state, actions):
        return ClockState(state.step + 1)

    def observe(self, state):
        step = state.step.astype(jnp.float32)
        alive = jnp.stack([jnp.bool_(True), state.step < 2])
        paid = jnp.stack([state.step > 0, (state.step > 0) & (state.step <= 2)])
        return TimeStep(
            observation={"agents": jnp.array([[1.0, 0.0], [1.0, 1.0]]) * (1 + step)},
            action_mask={},
            alive={"agents": alive},
            state=step[None],
            reward={"agents": jnp.where(paid, jnp.array([3.0, -7.0]) * step, 0.0)},
            discount={"agents": alive.astype(jnp.float32)},
            last=state.step >= 4,
        )


def parts_of(env, critics, **options):
    config = Config(
        num_envs=2,
        rollout_length=7,
        num_epochs=1,
        num_minibatches=1,
        hidden=(4,),
        target_period=2,
        **{"share": "group", "normalise_value": "popart"} | options,
    )
    step = gradient_ascent(config, importance_weighted)
    return engine.build(env, config, critics, step, simultaneous_update)


def rollout(parts, state):
    play, steps, memory = jax.jit(partial(engine.play_on, parts))(KEY, state)
    batches = engine.actor_batches(parts, state.params, steps, memory, Hparams())
    following = partial(engine.final_actions, parts, KEY, state.params, play)
    return Played(steps, play.timestep, batches, state.params.actors, following)


@pytest.mark.fast("none")
@pytest.mark.parametrize("share", ["group", "none"])
def test_advantages_in_units_of_return_beside_a_time_limit(share):
    """A loop over rows 6 ... 0; row 4 is the final observation, which is bootstrapped from."""
    parts = parts_of(Limited(), value_critics.own_critics, share=share)
    hp = Hparams(gamma=0.9, gae_lambda=0.7)
    state = engine.init(parts, KEY, hp)
    mean, deviation = np.array([20.0, -4.0]), np.array([5.0, 0.5])
    if share == "group":
        mean, deviation = mean[:1], deviation[:1]
    of_all = lambda x: jnp.float32(x if share == "none" else x[0])
    scale = {"agents": Scale(of_all(mean), of_all(deviation**2), of_all(np.ones(2)))}
    critics = state.critics.replace(params=state.params.critics, scale=scale)
    seen = rollout(parts, state)
    advantages, batches, _ = parts.critics.estimate(critics, seen, hp)

    timestep, final = seen.steps.timestep, seen.final
    join = lambda name: np.concatenate(
        [getattr(timestep, name)["agents"], getattr(final, name)["agents"][None]]
    )
    observation, reward, discount = join("observation"), join("reward"), join("discount")
    observation = np.where(join("alive")[..., None], observation, 0)
    last = np.asarray(timestep.last)
    network = Critic(Box((2,)), parts.config)
    for i in range(2):
        own = jax.tree.map(lambda x, i=i: x[i] if share == "none" else x, critics.params["agents"])
        k = i if share == "none" else 0
        value = np.float64(network.apply(own, (), jnp.float32(observation[:, :, i]))[1][..., 0])
        value = mean[k] + deviation[k] * value
        for b in range(2):
            advantage = 0.0
            for t in reversed(range(7)):
                keep = 0.9 * discount[t + 1, b, i]
                delta = reward[t + 1, b, i] + keep * value[t + 1, b] - value[t, b]
                advantage = 0.0 if last[t, b] else delta + keep * 0.7 * advantage
                close = {"rtol": 1e-4, "atol": 1e-4}
                np.testing.assert_allclose(advantages["agents"][t, b, i], advantage, **close)
                target = advantage + value[t, b]
                np.testing.assert_allclose(batches["agents"].target[t, b, i], target, **close)
                counts = not last[t, b] and discount[t, b, i] > 0
                assert batches["agents"].counts[t, b, i] == counts


@pytest.mark.parametrize("how", ["running", "popart"])
def test_a_critic_says_nothing_before_there_is_a_unit(how):
    """The first targets are lambda-returns of values of 0, and no units move."""
    parts = parts_of(ConstantReward(1, 4, True), value_critics.own_critics, normalise_value=how)
    hp = Hparams(gamma=0.9, gae_lambda=0.7)
    state = engine.init(parts, KEY, hp)
    critics = state.critics.replace(params=state.params.critics)
    _, batches, _ = parts.critics.estimate(critics, rollout(parts, state), hp)
    four = [1, 1.63, 2.0269, 2.276947]  # 1 + 0.63 G of one step more, gamma lambda being 0.63
    expected = [*four[::-1], 0, *four[1::-1]]
    for b in range(2):
        np.testing.assert_allclose(batches["agents"].target[:, b, 0], expected, rtol=1e-5)
    scale = value_normalisation.initial_scale()
    new, batch = value_learning.rescale(parts.config, scale, batches["agents"], hp)
    np.testing.assert_array_equal(batch.value, batches["agents"].value)
    moved = value_learning.follow_units(parts.config, critics.params["agents"], scale, new)
    jax.tree.map(np.testing.assert_array_equal, moved, critics.params["agents"])


@pytest.mark.fast("popart")
@pytest.mark.parametrize("how", ["running", "popart"])
def test_the_value_beyond_a_time_limit_is_found_in_any_units(how):
    """1 / (1 - 0.9) = 10, though returns hardly vary in the end, and the units with them."""
    env = ConstantReward(1, 5, True)
    config = {"num_envs": 4, "rollout_length": 6, "num_minibatches": 1, "hidden": (4,)}
    algorithm = ippo(env, Config(**config, normalise_value=how))
    train, _ = make_train(algorithm, env, Schedule(150))
    hp = algorithm.hparams.replace(gamma=0.9, gae_lambda=1.0, critic_learning_rate=3e-2)
    state, _ = jax.jit(train)(KEY, hp)
    critic = Critic(env.groups["agents"].observation, Config(**config))
    value = critic.apply(state.params.critics["agents"], (), jnp.zeros(1, jnp.int32))[1][0, 0]
    np.testing.assert_allclose(denormalised(state.critics.scale["agents"], value), 10, rtol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["running", "popart"])
def test_a_counterfactual_critic_and_its_target_keep_what_they_say_where_units_move(how):
    """At a learning rate of 0: with popart both say the same returns after as before."""
    parts = parts_of(Limited(), counterfactual.counterfactual_critics, normalise_value=how)
    hp = Hparams(critic_learning_rate=0.0)
    state = engine.init(parts, KEY, hp)
    before = state.critics.replace(params=state.params.critics)
    before = before.replace(
        target=jax.tree.map(lambda x: x + 0.1, before.target),
        scale={"agents": Scale(jnp.float32(0), jnp.float32(1), jnp.float32(0.5))},
    )
    advantages, batches, _ = parts.critics.estimate(before, rollout(parts, state), hp)
    after, _ = jax.jit(parts.critics.learn)(KEY, before, batches, hp, jnp.int32(0))
    batch = batches["agents"]
    targets = np.asarray(batch.target)[np.asarray(batch.counts)]
    scale = after.scale["agents"]
    expected = updated(
        before.scale["agents"], jnp.asarray(targets), jnp.ones(targets.shape, bool), hp.scale_rate
    )
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4), scale, expected)
    network = Critic(counterfactual_space(parts), parts.config, num_values=2)
    for params in ("params", "target"):
        said = [
            denormalised(
                critics.scale["agents"],
                network.apply(getattr(critics, params)["agents"], (), batch.observation)[1],
            )
            for critics in (before, after)
        ]
        same = np.allclose(*said, rtol=1e-3, atol=1e-3)
        assert same == (how == "popart")
    # what an action adds is told in units of return
    doubled = before.replace(
        scale={"agents": Scale(jnp.float32(0), jnp.float32(4), jnp.float32(1))}
    )
    again, _, _ = parts.critics.estimate(doubled, rollout(parts, state), hp)
    np.testing.assert_allclose(again["agents"], 2 * advantages["agents"], rtol=1e-3, atol=1e-5)


def counterfactual_space(parts):
    """What the critic of the only stack sees."""
    return parts.critics.estimate.args[0].spaces["agents"]


def test_a_counterfactual_critic_minds_the_value_clip():
    """Of two epochs the second starts where the first led; a tight clip holds it there."""
    options = {"normalise_value": "running", "num_critic_epochs": 8}
    parts = parts_of(Limited(), counterfactual.counterfactual_critics, **options)
    moved = {}
    for clip in (1e-3, 1e6):
        hp = Hparams(critic_learning_rate=0.1, value_clip=clip)
        state = engine.init(parts, KEY, hp)
        before = state.critics.replace(params=state.params.critics)
        _, batches, _ = parts.critics.estimate(before, rollout(parts, state), hp)
        _, metrics = jax.jit(parts.critics.learn)(KEY, before, batches, hp, jnp.int32(0))
        moved[clip] = metrics["value_loss"]
    assert moved[1e6] < 0.9 * moved[1e-3]
