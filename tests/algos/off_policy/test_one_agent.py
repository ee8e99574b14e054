"""With one agent HADDPG is DDPG, HATD3 is TD3 and HASAC is SAC: beside plain ones, written here.

The plain learners read the same replay, and are told which transitions and which noise were drawn.
They compute in double precision.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmarl_core.algos import haddpg, hasac, hatd3
from jaxmarl_core.algos.off_policy.batches import positions
from jaxmarl_core.algos.off_policy.engine import drawn_noise
from jaxmarl_core.algos.off_policy.options import Config
from jaxmarl_core.envs import linear_quadratic_players

NUM_UPDATES, STEPS, BATCH = 50, 2, 6
CONFIG = Config(
    num_envs=2,
    rollout_length=5,
    num_gradient_steps=STEPS,
    batch_size=BATCH,
    buffer_length=20,
    hidden=(5,),
)
NUMBERS = {"max_grad_norm": 1e6, "tau": 0.05, "learning_rate": 3e-3, "gamma": 0.9}


def world():
    """One player with two controls; its episodes end by a time limit, inside rollouts."""
    one = (((1.0, 0.0), (0.0, 1.0)),)
    weights = {"B": one, "Q": one, "R": one}
    return linear_quadratic_players(**weights, dt=0.3, max_steps=7, bound=3.0)


# ---- the plain learners


def layers(tree):
    """The weights of a network of one hidden layer, in double."""
    hidden, last = tree["params"]["Torso_0"]["MLP_0"]["Dense_0"], tree["params"]["Dense_0"]
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), [hidden, last])


def forward(weights, x):
    hidden, last = weights
    x = jnp.maximum(x @ hidden["kernel"] + hidden["bias"], 0)
    return x @ last["kernel"] + last["bias"]


def q_of(weights, s, a):
    return forward(weights, jnp.concatenate([s, a], -1))[:, 0]


def adam_start(params):
    return jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params), 0


def adam(params, moments, grads, rate):
    first, second, count = moments
    count += 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, grads)
    step = lambda p, m, v: (
        p - rate * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)
    )
    return jax.tree.map(step, params, first, second), (first, second, count)


def mean_over(x, counts):
    return jnp.sum(jnp.where(counts, x, 0)) / jnp.sum(counts)


def gaussian(actor, s, noise):
    """SAC's squashed draw and its density."""
    mean, log_std = jnp.split(forward(actor, s), 2, -1)
    log_std = jnp.clip(log_std, -5, 2)
    a = jnp.tanh(mean + jnp.exp(log_std) * noise)
    log_prob = -0.5 * noise**2 - log_std - 0.5 * jnp.log(2 * jnp.pi) - jnp.log(1 - a**2)
    return a, log_prob.sum(-1)


class Plain(NamedTuple):
    """What DDPG, TD3 and SAC learn, as their papers write them."""

    actor: Any
    critics: list
    target_actor: Any
    target_critics: list
    actor_moments: Any
    critic_moments: Any
    log_alpha: Any
    alpha_moments: Any


def plain_start(kind, params, hp):
    own = lambda tree: jax.tree.map(lambda x: x[0], tree)  # the one agent, the one team
    actor = layers(own(params.actors["player_0"]))
    of = lambda m: jax.tree.map(lambda x: x[m, 0], params.critics["central"])
    critics = [layers(of(m)) for m in range(1 if kind == "ddpg" else 2)]
    log_alpha = jnp.log(jnp.float64(hp.get("entropy", 1.0)))
    moments = map(adam_start, (actor, critics, log_alpha))
    return Plain(
        actor, critics, actor, critics, next(moments), next(moments), log_alpha, next(moments)
    )


@partial(jax.jit, static_argnums=(0, 1, 2))
def plain_step(kind, numbers, moves_actor, plain, s, a, r, d, s_next, counts, noise, next_noise):
    hp, alpha = dict(numbers), jnp.exp(plain.log_alpha)
    if kind == "sac":
        a_next, log_prob = gaussian(plain.actor, s_next, next_noise)
    else:
        a_next, log_prob = jnp.tanh(forward(plain.target_actor, s_next)), 0.0
    if kind == "td3":
        clip = hp["target_clip"]
        a_next += jnp.clip(hp["target_noise"] * next_noise, -clip, clip)
        a_next = jnp.clip(a_next, -1, 1)
    value = jnp.stack([q_of(w, s_next, a_next) for w in plain.target_critics]).min(0)
    value -= alpha * log_prob if kind == "sac" else 0.0
    y = r + d * value

    def critic_loss(critics):
        return sum(mean_over(0.5 * (q_of(w, s, a) - y) ** 2, counts) for w in critics)

    grads = jax.grad(critic_loss)(plain.critics)
    critics, moments = adam(plain.critics, plain.critic_moments, grads, hp["critic_learning_rate"])
    plain = plain._replace(critics=critics, critic_moments=moments)
    if not moves_actor:
        return plain

    def actor_loss(actor):
        if kind == "sac":
            drawn, log_prob = gaussian(actor, s, noise)
            q = jnp.stack([q_of(w, s, drawn) for w in critics]).min(0)
            return mean_over(alpha * log_prob - q, counts), mean_over(log_prob, counts)
        return mean_over(-q_of(critics[0], s, jnp.tanh(forward(actor, s))), counts), 0.0

    grads, log_prob = jax.grad(actor_loss, has_aux=True)(plain.actor)
    actor, moments = adam(plain.actor, plain.actor_moments, grads, hp["learning_rate"])
    plain = plain._replace(actor=actor, actor_moments=moments)
    if kind == "sac":
        slope = -(log_prob + a.shape[-1] * hp["box_entropy"])
        rate = hp["entropy_learning_rate"]
        log_alpha, moments = adam(plain.log_alpha, plain.alpha_moments, slope, rate)
        plain = plain._replace(log_alpha=log_alpha, alpha_moments=moments)
    tau = hp["tau"]
    follow = lambda old, new: jax.tree.map(lambda x, y: (1 - tau) * x + tau * y, old, new)
    return plain._replace(
        target_critics=follow(plain.target_critics, critics),
        target_actor=follow(plain.target_actor, actor),
    )


def replayed(buffer, start, env, gamma):
    """(s, a, r, d, s', counts) of one-step transitions, out of the replay by hand."""
    timestep, following = buffer.timestep, (start + 1) % len(buffer.timestep.last)
    x = np.asarray(timestep.observation["player_0"])[:, :, 0]
    a = np.asarray(buffer.actions["player_0"])[:, :, 0] / 3.0
    r = np.asarray(timestep.reward["player_0"])[following, env, 0]
    d = gamma * np.asarray(timestep.discount["player_0"])[following, env, 0]
    counts = ~np.asarray(timestep.last)[start, env]
    return x[start, env], a[start, env], r, d, x[following, env], counts


BUILDERS = {"ddpg": haddpg, "td3": hatd3, "sac": hasac}


@pytest.mark.fast("td3")
@pytest.mark.parametrize("kind", [pytest.param("ddpg", marks=pytest.mark.slow), "td3", "sac"])
def test_one_agent_of_a_team_is_the_plain_learner(kind):
    algorithm = BUILDERS[kind](world(), CONFIG)
    learner = algorithm.update.args[0]
    hp = algorithm.hparams.replace(**NUMBERS)
    state = jax.jit(algorithm.init)(jax.random.key(0), hp)
    one_update = jax.jit(algorithm.update)
    start_of = jax.jit(
        lambda key, buffer, index: positions(key, buffer, 5, index, STEPS * BATCH, 1)
    )
    noise_of = jax.jit(partial(drawn_noise, learner))
    with jax.enable_x64(True):
        numbers = {name: float(x) for name, x in vars(hp).items() if x is not None}
        plain = plain_start(kind, jax.device_get(state.params), numbers)
    step = partial(plain_step, kind, tuple(numbers.items()))
    moved = 0
    for index in range(NUM_UPDATES):
        key = jax.random.fold_in(jax.random.key(1), index)
        state, _ = one_update(key, state, hp, jnp.int32(index))
        key_positions, key_noise = jax.random.split(jax.random.split(key)[1])
        start, at = map(np.asarray, start_of(key_positions, state.buffer, jnp.int32(index)))
        noise = jax.device_get(noise_of(key_noise))
        buffer = jax.device_get(state.buffer)
        with jax.enable_x64(True):
            for g in range(STEPS):
                own = slice(g * BATCH, (g + 1) * BATCH)
                drawn = replayed(buffer, start[own], at[own], NUMBERS["gamma"])
                moved += drawn[-1].sum()
                noises = [x["player_0"][g, :, 0] for x in (noise.now, noise.after)]
                double = [np.asarray(x, bool if x.dtype == bool else np.float64) for x in drawn]
                moves_actor = kind != "td3" or (index * STEPS + g) % 2 == 1
                noises = [np.asarray(x, np.float64) for x in noises]
                plain = step(moves_actor, plain, *double, *noises)
    assert moved < NUM_UPDATES * STEPS * BATCH  # ends were drawn, and did not count
    own = lambda tree, *at: layers(jax.tree.map(lambda x: np.asarray(x)[at], tree))
    close = partial(np.testing.assert_allclose, atol=1e-5, rtol=0)
    with jax.enable_x64(True):
        params = state.params
        jax.tree.map(close, own(params.actors["player_0"], 0), plain.actor)
        for m, critic in enumerate(plain.critics):
            jax.tree.map(close, own(params.critics["central"], m, 0), critic)
            jax.tree.map(close, own(state.target[1]["central"], m, 0), plain.target_critics[m])
        if kind == "sac":
            close(params.log_weight[0], plain.log_alpha)
            assert abs(float(plain.log_alpha) - np.log(0.2)) > 0.05
        else:
            jax.tree.map(close, own(state.target[0]["player_0"], 0), plain.target_actor)
