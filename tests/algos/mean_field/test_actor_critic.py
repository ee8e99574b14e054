"""MF-AC's losses against NumPy in float64, the policy it climbs to, and what it learns."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mean_field_batches import drawn, linear
from probes import ConstantReward

from jaxmarl_core.algos import ac, ia2c, mfac
from jaxmarl_core.algos.mean_field import actor_critic
from jaxmarl_core.algos.mean_field.actor_critic import Pair
from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.algos.mean_field.td_loss import StoredStep
from jaxmarl_core.algos.on_policy.options import Config as OnPolicyConfig
from jaxmarl_core.envs import torus_coordination
from jaxmarl_core.train import Schedule, make_train

BATCH = 30
TEMPERATURE, GAMMA = 0.3, 0.9


class Linear:
    """The network as flax would have it."""

    def apply(self, weights, observation, mean_action):
        return linear(weights, observation, mean_action)


NETWORKS = Pair(Linear(), Linear())
RNG = np.random.default_rng(0)
(STEP, ACTOR), (NEXT, CRITIC) = drawn(RNG, BATCH), drawn(RNG, BATCH)
TARGET = Pair(drawn(RNG, BATCH)[1], drawn(RNG, BATCH)[1])


def policy(weights, step, i):
    """The policy of one row over legal actions, in float64; the dead see zeros."""
    logits = linear(weights, step.observation[i] * step.alive[i], step.mean_action[i])
    odds = np.where(step.action_mask[i], np.exp(logits), 0)
    return odds / odds.sum()


def critic_loss_by_hand(config, critic):
    errors = []
    for i in range(BATCH):
        in_loss = STEP.alive[i] and not STEP.last[i]
        if config.ends == "mask":
            in_loss = in_loss and NEXT.discount[i] > 0 and not NEXT.last[i]
        if in_loss:
            beside = NEXT if config.mean_action == "current" else STEP
            q = linear(critic, STEP.observation[i], beside.mean_action[i])[STEP.action[i]]
            seen = NEXT.observation[i] * NEXT.alive[i], NEXT.mean_action[i]
            value = policy(TARGET.actor, NEXT, i) @ linear(TARGET.critic, *seen)
            errors.append(0.5 * (NEXT.reward[i] + GAMMA * NEXT.discount[i] * value - q) ** 2)
    return np.mean(errors)


def actor_loss_by_hand(config, actor):
    gains = []
    for i in range(BATCH):
        if STEP.alive[i] and not STEP.last[i]:
            beside = NEXT if config.mean_action == "current" else STEP
            q = linear(CRITIC, STEP.observation[i], beside.mean_action[i])
            pi, legal = policy(actor, STEP, i), STEP.action_mask[i]
            scale = q[legal].std() if config.temperature_unit == "spread" else 1.0
            entropy = -(pi[legal] * np.log(pi[legal])).sum()
            gains.append(pi @ q + TEMPERATURE * scale * entropy)
    return -np.mean(gains)


def as_jax(tree):
    narrow = lambda x: x.astype({"f": "f4", "i": "i4"}.get(x.dtype.kind, x.dtype))
    return jax.tree.map(lambda x: jnp.asarray(narrow(x)), tree)


TRANSITION = as_jax((STEP, NEXT.replace(action=STEP.action)))


@partial(jax.jit, static_argnums=1)
def critic_loss(critic, config):
    args = NETWORKS, critic, as_jax(TARGET), TRANSITION, jnp.float32(GAMMA), config
    return actor_critic.critic_loss(*args)[0]


@partial(jax.jit, static_argnums=1)
def actor_loss(actor, config):
    args = NETWORKS, actor, as_jax(CRITIC), TRANSITION, jnp.float32(TEMPERATURE), config
    return actor_critic.actor_loss(*args)[0]


CASES = {
    "critic, current": (critic_loss, critic_loss_by_hand, CRITIC, {"mean_action": "current"}),
    "critic, masked": (
        *(critic_loss, critic_loss_by_hand, CRITIC),
        {"mean_action": "previous", "ends": "mask"},
    ),
    "actor, current": (actor_loss, actor_loss_by_hand, ACTOR, {"mean_action": "current"}),
    "actor, spread": (
        *(actor_loss, actor_loss_by_hand, ACTOR),
        {"mean_action": "previous", "temperature_unit": "spread"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_losses_and_their_gradients_equal_numpy(case):
    loss, by_hand, weights, options = CASES[case]
    config = Config(**options)
    found, gradient = jax.value_and_grad(loss)(as_jax(weights), config)
    np.testing.assert_allclose(found, by_hand(config, weights), rtol=1e-5)
    for name, entry in (("observation", (1, 2)), ("mean_action", (3, 0))):
        change = np.zeros_like(weights[name])
        change[entry] = 1e-5
        ends = [by_hand(config, weights | {name: weights[name] + s * change}) for s in (1, -1)]
        slope = (ends[0] - ends[1]) / 2e-5
        np.testing.assert_allclose(gradient[name][entry], slope, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "weights", "other"),
    [(actor_critic.critic_loss, CRITIC, TARGET), (actor_critic.actor_loss, ACTOR, CRITIC)],
)
def test_what_the_dead_are_shown_and_did_reaches_no_loss(loss, weights, other):
    absent = ~STEP.alive | STEP.last
    assert 0 < absent.sum() < BATCH
    blind = lambda step: np.where(step.alive[:, None], step.observation, np.nan)
    step = STEP.replace(observation=blind(STEP), action=np.where(absent, 0, STEP.action))
    reward = np.where(absent, np.nan, NEXT.reward)
    following = NEXT.replace(observation=blind(NEXT), reward=reward, action=STEP.action)
    config = Config(mean_action="current")
    slope = jax.grad(lambda w, t: loss(NETWORKS, w, as_jax(other), t, 0.5, config)[0])
    clean, dirty = (slope(as_jax(weights), t) for t in (TRANSITION, as_jax((step, following))))
    for name in weights:
        assert np.isfinite(clean[name]).all() and np.any(clean[name])
        assert np.array_equal(clean[name], dirty[name]), name


def test_an_actor_climbs_to_the_boltzmann_policy_of_its_critic():
    """Equation 12 of the paper: pi proportional to exp(Q / temperature), here at 0.5."""
    q = np.array([1.0, 0.5, -1.0])
    step = StoredStep(
        observation=jnp.ones((1, 1)), mean_action=jnp.zeros((1, 1)), action_mask=None,
        action=jnp.zeros(1, int), reward=jnp.zeros(1), discount=jnp.ones(1),
        alive=jnp.ones(1, bool), last=jnp.zeros(1, bool),
    )  # fmt: skip
    critic = {"observation": jnp.float32(q[None]), "mean_action": jnp.zeros((1, 3))}
    actor = jax.tree.map(jnp.zeros_like, critic)
    slope = jax.grad(
        lambda w: actor_critic.actor_loss(NETWORKS, w, critic, (step, step), 0.5, Config())[0]
    )
    descend = lambda _, w: jax.tree.map(lambda x, g: x - 0.5 * g, w, slope(w))
    actor = jax.lax.fori_loop(0, 3000, descend, actor)
    odds = np.exp(q / 0.5)
    found = jax.nn.softmax(actor["observation"][0])
    np.testing.assert_allclose(found, odds / odds.sum(), rtol=1e-3)


TINY = {
    "num_envs": 2,
    "rollout_length": 8,
    "buffer_length": 64,
    "batch_size": 64,
    "hidden": (8,),
    "head_hidden": (16,),
}


def test_each_network_has_its_rate_and_the_targets_follow_both():
    method = actor_critic.actor_critic(
        torus_coordination().groups["agents"].observation, 2, Config(**TINY)
    )
    online = method.init(jax.random.key(0))
    hp = Hparams(learning_rate=0.0, actor_learning_rate=0.1, tau=0.25)
    rows = lambda x: jnp.full((6, *x.shape), x)
    step = StoredStep(
        observation=rows(jnp.int32(0)), mean_action=rows(jnp.array([0.5, 0.5])), action_mask=None,
        action=rows(jnp.int32(1)), reward=rows(jnp.float32(1)), discount=rows(jnp.float32(1)),
        alive=rows(jnp.bool_(True)), last=rows(jnp.bool_(False)),
    )  # fmt: skip
    start = online, online, method.start(online, hp)
    take = jax.jit(method.gradient_step)
    (after, target, _), metrics = take(start, (step, step), jnp.float32(0.1), hp)
    jax.tree.map(np.testing.assert_array_equal, after.critic, online.critic)
    mix = jax.tree.map(lambda new, old: 0.25 * new + 0.75 * old, after.actor, online.actor)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), target.actor, mix)
    moved = jax.tree.map(lambda x, y: bool((x != y).any()), after.actor, online.actor)
    assert any(jax.tree.leaves(moved))
    np.testing.assert_allclose(metrics["entropy"], np.log(2), rtol=1e-3)  # near uniform at first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "options"),
    [(mfac, {}), (mfac, {"actor_mean_action": True}), (ac, {})],
)
def test_agents_of_a_torus_agree(algorithm, options):
    """From a payoff of 0 on average to 2, the most there is: all chose the same direction."""
    env = torus_coordination()
    learner = algorithm(env, Config(**TINY, **options))
    train, _ = make_train(learner, env, Schedule(150))
    hparams = learner.hparams.replace(
        gamma=0.0, learning_rate=0.01, actor_learning_rate=0.01, final_temperature=0.01
    )
    state, _ = jax.jit(train)(jax.random.key(0), hparams)
    greedy, _ = learner.policy.greedy(
        state.params, jax.random.key(1), jax.tree.map(lambda x: x[0], state.play.timestep), ()
    )
    _, after = env.step(jax.random.key(2), env.reset(jax.random.key(2))[0], greedy)
    assert float(after.reward["agents"].mean()) == 2.0


def test_the_critic_knows_when_pay_ends():
    """gamma 0.9, pay 1 on each of five steps, of which the last ends: see the test of `il`."""
    env = ConstantReward(1, 5, False)
    config = TINY | {"rollout_length": 6, "buffer_length": 48, "batch_size": 128}
    learner = ac(env, Config(**config, num_gradient_steps=8))
    train, _ = make_train(learner, env, Schedule(300))
    hparams = learner.hparams.replace(learning_rate=5e-3, gamma=0.9, tau=0.05)
    _, metrics = jax.jit(train)(jax.random.key(0), hparams)
    np.testing.assert_allclose(metrics["q"][-50:].mean(), 1 / 0.28, rtol=0.03)


def test_what_an_actor_critic_has_not_is_refused():
    env = torus_coordination()
    for algorithm in (ac, mfac):
        with pytest.raises(ValueError, match=r"exploration: .* has no such option"):
            algorithm(env, Config(exploration="greedy"))
    with pytest.raises(ValueError, match="actor_mean_action: ac has no such option"):
        ac(env, Config(actor_mean_action=True))
    with pytest.raises(ValueError, match="mfac: needs a mean-field environment"):
        mfac(ConstantReward(1, 5))


def test_the_docstring_names_an_on_policy_twin_that_is_there():
    assert ia2c(torus_coordination(), OnPolicyConfig(share="all")).env_steps > 0
