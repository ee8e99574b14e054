"""The mean-field loss against NumPy in float64, the lagged opponent, and ends."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mean_field_batches import drawn, linear
from probes import ConstantReward

from jaxmarl_core.algos import il
from jaxmarl_core.algos.mean_field.engine import follow
from jaxmarl_core.algos.mean_field.options import Config
from jaxmarl_core.algos.mean_field.td_loss import td_loss
from jaxmarl_core.train import Schedule, make_train

BATCH = 40
TEMPERATURE, GAMMA = 0.3, 0.9
RNG = np.random.default_rng(0)
(STEP, ONLINE), (NEXT, TARGET) = drawn(RNG, BATCH), drawn(RNG, BATCH)


def by_hand(config, online):
    """The loss, one transition at a time, in float64."""
    errors = []
    for i in range(BATCH):
        in_loss = STEP.alive[i] and not STEP.last[i]
        if config.ends == "mask":
            in_loss = in_loss and NEXT.discount[i] > 0 and not NEXT.last[i]
        if not in_loss:
            continue
        beside = NEXT if config.mean_action == "current" else STEP
        q = linear(online, STEP.observation[i], beside.mean_action[i])[STEP.action[i]]
        legal = NEXT.action_mask[i]
        seen = NEXT.observation[i] * NEXT.alive[i]  # the dead see zeros
        next_input = seen, NEXT.mean_action[i]
        next_q = linear(TARGET, *next_input)
        if config.target == "mean_field":
            weight = np.where(legal, np.exp(next_q / TEMPERATURE), 0)
            value = (weight / weight.sum()) @ next_q
        else:
            value = next_q[np.where(legal, linear(ONLINE, *next_input), -np.inf).argmax()]
        target = NEXT.reward[i] + GAMMA * NEXT.discount[i] * value
        errors.append(0.5 * (target - q) ** 2)
    return np.mean(errors)


def loss_of(config, online=ONLINE, step=STEP, next_step=NEXT):
    transition = step.replace(action=step.action.astype("i4")), next_step.replace(action=None)
    args = jax.tree.map(jnp.asarray, (online, TARGET, transition))
    args = jax.tree.map(lambda x: x.astype("f4") if x.dtype == np.float64 else x, args)
    return td_loss(linear, *args, jnp.float32(TEMPERATURE), jnp.float32(GAMMA), config)


MODES = list(
    itertools.product(("mean_field", "double"), ("current", "previous"), ("learn", "mask"))
)


@pytest.mark.parametrize(("target", "mean_action", "ends"), MODES)
def test_loss_equals_numpy(target, mean_action, ends):
    config = Config(target=target, mean_action=mean_action, ends=ends)
    np.testing.assert_allclose(loss_of(config)[0], by_hand(config, ONLINE), rtol=1e-5)


@pytest.mark.parametrize(("target", "mean_action", "ends"), MODES)
def test_gradient_equals_finite_differences_with_the_target_held(target, mean_action, ends):
    config = Config(target=target, mean_action=mean_action, ends=ends)
    gradient = jax.grad(lambda online: loss_of(config, online)[0])(
        jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), ONLINE)
    )
    for name, shape in (("observation", (1, 2)), ("mean_action", (3, 0))):
        change = np.zeros_like(ONLINE[name])
        change[shape] = 1e-5
        up, down = (ONLINE | {name: ONLINE[name] + sign * change} for sign in (1, -1))
        slope = (by_hand(config, up) - by_hand(config, down)) / 2e-5
        np.testing.assert_allclose(gradient[name][shape], slope, rtol=1e-3, atol=1e-5)


def test_the_modes_differ():
    """Else the cases above would prove less than they seem to."""
    figures = [float(loss_of(Config(target=t, mean_action=m, ends=e))[0]) for t, m, e in MODES]
    assert len({round(figure, 5) for figure in figures}) == 8


def test_steps_of_the_dead_and_of_ends_never_matter():
    config = Config(mean_action="current")
    absent = ~STEP.alive | STEP.last
    assert 0 < absent.sum() < BATCH
    spoilt = lambda x: np.where(absent.reshape(-1, *[1] * (x.ndim - 1)), np.nan, x)
    step = STEP.replace(observation=spoilt(STEP.observation))
    following = NEXT.replace(reward=spoilt(NEXT.reward))
    clean, dirty = loss_of(config), loss_of(config, step=step, next_step=following)
    assert np.isfinite(clean).all()
    np.testing.assert_array_equal(clean, dirty)


@pytest.mark.parametrize(
    ("returns", "last", "follows"),
    [
        ([[1.0, 0.0], [3.0, 2.0]], [False, True], True),
        ([[1.0, 0.0], [2.0, 3.0]], [False, True], False),  # lost
        ([[1.0, 0.0], [2.0, 2.0]], [False, True], False),  # drawn
        ([[5.0, 0.0], [6.0, 0.0]], [False, False], False),  # ahead, but not over
        ([[5.0, 0.0], [2.0, 9.0]], [True, True], True),  # one of two won
    ],
)
def test_the_opponent_follows_a_learner_that_won(returns, last, follows):
    old, new = {"w": jnp.float32(2)}, {"w": jnp.float32(12)}
    moved = follow(old, new, jnp.array(returns), jnp.array(last))["w"]
    np.testing.assert_allclose(moved, 11.9 if follows else 2.0, rtol=1e-6)  # 0.99 of the way


@pytest.mark.fast("True-learn-10.0")
@pytest.mark.parametrize(
    ("truncate", "ends", "value"),
    [(True, "learn", 10.0), (False, "learn", 1 / 0.28), (False, "mask", 10.0)],
)
def test_a_time_limit_is_no_end(truncate, ends, value):
    """gamma 0.9. Cut off, or never told of the end: q = 1 / (1 - 0.9).

    Told: one transition in five ends, and all look alike, so q = 1 + 0.9 * 4/5 q.
    """
    env = ConstantReward(1, 5, truncate)
    config = Config(
        num_envs=2, rollout_length=6, buffer_length=48, batch_size=128, num_gradient_steps=8,
        hidden=(4,), head_hidden=(4,), ends=ends,
    )  # fmt: skip
    algorithm = il(env, config)
    train, _ = make_train(algorithm, env, Schedule(300))
    hparams = algorithm.hparams.replace(learning_rate=5e-3, gamma=0.9, tau=0.05, temperature=0.01)
    _, metrics = jax.jit(train)(jax.random.key(0), hparams)
    np.testing.assert_allclose(metrics["q"][-50:].mean(), value, rtol=0.03)
