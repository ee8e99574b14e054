"""A QMIX of one's own, from parts: on the two-step game of its paper the team finds the 8."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from jaxmarl_core import Player, Policy, evaluate, make_environment, rollout, td_target
from jaxmarl_core.functional.exploration import epsilon_greedy, greedy
from jaxmarl_core.functional.losses import chosen, masked_mean, squared
from jaxmarl_core.functional.returns import trajectory_terms
from jaxmarl_core.learners import replay
from jaxmarl_core.learners.mixers import Monotone
from jaxmarl_core.learners.networks import MLP, apply
from jaxmarl_core.play.rollout import begin, joint_rows

NUM_ENVS, CAPACITY, BATCH, GAMMA, TAU = 16, 256, 32, 0.99, 0.05
env = make_environment("two_step_game", observation="features")
agents, mixer = MLP((32, 2), activate_final=False), Monotone(embed=8, hypernet=0)
rule = optax.adam(3e-3)


def utilities(params, timestep):
    """Returns q_i(a) of both agents, [..., 2, 2]; they share a network and know who they are."""
    seen = timestep.observation["agents"]
    number = jnp.broadcast_to(jnp.eye(2), (*seen.shape[:-1], 2))
    return apply(agents, params["agents"], jnp.concatenate([seen, number], -1))


def loss(params, target, episode):
    timestep, actions = episode  # leaves [B, T + 1, ...], [B, T, 2]
    timestep, actions = jax.tree.map(lambda x: x.swapaxes(0, 1), (timestep, actions))
    q, q_target = utilities(params, timestep), utilities(target, timestep)
    mix = lambda params, q: apply(
        mixer, params["mixer"], q, timestep.alive["agents"], timestep.state
    )
    now = jnp.concatenate([chosen(q[:-1], actions), q[-1:].max(-1)])  # nothing is done in row T
    joint, following = mix(params, now), mix(target, chosen(q_target, greedy(q)))
    reward, discount = timestep.reward["agents"].mean(-1), timestep.discount["agents"][..., 0]
    reward, discount, valid = trajectory_terms(reward, GAMMA * discount, timestep.last)
    error = joint[:-1] - td_target(reward, discount, following[1:])
    return masked_mean(squared(error), valid)


def episode(params, epsilon, key):
    def act(key, timestep, memory):
        return {"agents": epsilon_greedy(key, utilities(params, timestep), epsilon)}, memory, ()

    play, steps = rollout(key, env, act, begin(key, env, ()), 2)  # a whole one
    return joint_rows(steps.timestep, play.timestep), steps.actions["agents"]


def update(carry, inputs):
    params, target, opt_state, buffer = carry
    index, key = inputs
    key_play, key_sample = jax.random.split(key)
    epsilon = jnp.maximum(1 - index / 200, 0.1)
    played = jax.vmap(partial(episode, params, epsilon))(jax.random.split(key_play, NUM_ENVS))
    buffer = replay.write_block(buffer, played, index)
    at = replay.sample_uniform(key_sample, buffer, NUM_ENVS, index, BATCH)
    grads = jax.grad(loss)(params, target, replay.gather(buffer, at))
    changes, opt_state = rule.update(grads, opt_state)
    params = optax.apply_updates(params, changes)
    return (params, optax.incremental_update(params, target, TAU), opt_state, buffer), ()


@partial(jax.jit, static_argnames="num_updates")
def train(key, num_updates):
    """Returns the parameters of agents and mixer."""
    key_agents, key_mixer, key_run = jax.random.split(key, 3)
    state = jnp.zeros(4)
    params = {
        "agents": agents.init(key_agents, jnp.zeros(6)),
        "mixer": mixer.init(key_mixer, jnp.zeros(2), jnp.ones(2, bool), state),
    }
    buffer = replay.empty_buffer(
        jax.eval_shape(partial(episode, params, 0.0), key), CAPACITY, NUM_ENVS
    )
    inputs = jnp.arange(num_updates), jax.random.split(key_run, num_updates)
    return jax.lax.scan(update, (params, params, rule.init(params), buffer), inputs)[0][0]


def best(params, key, timestep, memory):
    return {"agents": greedy(utilities(params, timestep))}, memory


def greedy_return(params):
    """Returns what the team earns in an episode of best actions, []."""
    player = Player(Policy(memory=lambda: (), act=best, greedy=best), params)
    return evaluate(jax.random.key(0), env, player, num_episodes=1, length=2).returns[0, 0]


if __name__ == "__main__":
    print("the team earns", greedy_return(train(jax.random.key(0), 1000)))
