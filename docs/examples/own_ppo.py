"""A PPO of one's own, from parts: three agents with one network learn to cover three landmarks."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxmarl_core import AutoReset, gae, make_environment, ppo_clip, rollout
from jaxmarl_core.functional.distributions import categorical
from jaxmarl_core.functional.losses import masked_mean, squared
from jaxmarl_core.functional.returns import over_trajectories, standardise, trajectory_terms
from jaxmarl_core.learners.networks import MLP, apply, head
from jaxmarl_core.play.rollout import begin, joint_rows

NUM_ENVS, NUM_STEPS, NUM_EPOCHS, GAMMA, LAMBDA, CLIP, ENTROPY = 32, 52, 8, 0.95, 0.95, 0.2, 0.01
env = make_environment("simple_spread")
world = AutoReset(env)
rule = optax.adam(3e-3)


class ActorCritic(nn.Module):
    @nn.compact
    def __call__(self, observation):  # [..., 18] -> a distribution over 5 actions, values [...]
        features = MLP((64, 64), name="actor")(observation)
        value = head(1, gain=1.0)(MLP((64, 64), name="critic")(observation))
        return categorical(head(5)(features)), value[..., 0]


network = ActorCritic()


def act(params, key, timestep, memory):
    pi, _ = apply(network, params, timestep.observation["agents"])
    action = pi.sample(seed=key)
    return {"agents": action}, memory, pi.log_prob(action)


def loss(params, observation, action, log_prob, advantage, target, valid):
    pi, value = apply(network, params, observation)
    gain = ppo_clip(jnp.exp(pi.log_prob(action) - log_prob), advantage, CLIP)
    return masked_mean(squared(value - target) - gain - ENTROPY * pi.entropy(), valid)


def update(carry, key):
    params, opt_state, play = carry
    one = lambda key, play: rollout(key, world, partial(act, params), play, NUM_STEPS)
    play, steps = jax.vmap(one, out_axes=(0, 1))(jax.random.split(key, NUM_ENVS), play)
    rows = joint_rows(steps.timestep, play.timestep)  # [T + 1, B, ...]
    seen, paid, going = rows.observation["agents"], rows.reward["agents"], rows.discount["agents"]
    value = apply(network, params, seen)[1]
    reward, discount, valid = trajectory_terms(paid, GAMMA * going, rows.last)
    advantage = over_trajectories(gae)(reward, discount, value[:-1], value[-1], LAMBDA, valid)
    target, advantage = advantage + value[:-1], standardise(advantage, valid)
    batch = seen[:-1], steps.actions["agents"], steps.extras, advantage, target, valid

    def epoch(learner, _):
        changes, opt_state = rule.update(jax.grad(loss)(learner[0], *batch), learner[1])
        return (optax.apply_updates(learner[0], changes), opt_state), ()

    (params, opt_state), _ = jax.lax.scan(epoch, (params, opt_state), length=NUM_EPOCHS)
    return (params, opt_state, play), masked_mean(reward.sum(-1), valid[..., 0])


@partial(jax.jit, static_argnames="num_updates")
def train(key, num_updates):
    """Returns the parameters, and what a step pays the three together, on average, by update."""
    key_network, key_play, key_run = jax.random.split(key, 3)
    params = network.init(key_network, jnp.zeros(18))
    play = jax.vmap(lambda key: begin(key, world, ()))(jax.random.split(key_play, NUM_ENVS))
    start = params, rule.init(params), play
    (params, *_), reward = jax.lax.scan(update, start, jax.random.split(key_run, num_updates))
    return params, reward


if __name__ == "__main__":
    print("the team's return in 25 steps:", 25 * train(jax.random.key(0), 100)[1][::10])
