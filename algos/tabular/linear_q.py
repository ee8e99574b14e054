"""Q-learning of joint actions with linear features; a team that acts by an equilibrium of them.

For worlds with too many states for a table. Every agent keeps a weight vector for each joint
action, learnt by Q-learning from its own features and reward; in each state the agents' values are
a game, and a joint action of it is drawn with a coin that all share:

    theta_i(a) += alpha (r_i + gamma max_b phi_i(s')' theta_i(b) - phi_i(s)' theta_i(a)) phi_i(s)

"correlated" draws from the correlated equilibrium with the largest sum of values. "product" takes
the joint action with the largest product of values, as published code for this task does, which
wants values of 0 or more; ties are broken at random. The paper prints its program over each agent's
own actions with the others' held fixed, which is not that of a correlated equilibrium; ours is.

Pham, La, Feil-Seifer & Nefian, 2018, arXiv:1803.07250; Greenwald & Hall, 2003, ICML (CE-Q).
"""

from dataclasses import dataclass
from math import prod

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.functional.exploration import pick
from jaxmarl_core.functional.losses import masked_mean, td_target
from jaxmarl_core.hparams import hparam
from jaxmarl_core.play.rollout import Play, begin
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.solvers.normal_form.correlated import correlated
from jaxmarl_core.solvers.normal_form.zero_sum import outer_and
from jaxmarl_core.spaces import Box, Discrete
from jaxmarl_core.types import Actions, Algorithm, Environment, Policy, TimeStep

MAX_WEIGHTS = 2**20  # of one agent


def most_correlated(q: jax.Array, masks: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
    """Returns the utilitarian correlated equilibrium [A_1, ..., A_N] and whether it was found.

    Where it was not, the joint action with the largest sum of values stands in for it.
    """
    found = correlated(q, "utilitarian", masks)
    best = most(q.sum(axis=0), outer_and(masks))
    return jnp.where(found.converged, found.joint, best), found.converged


def largest_product(q: jax.Array, masks: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
    """Returns the joint actions with the largest product of values, in equal shares, and true."""
    return most(q.prod(axis=0), outer_and(masks)), jnp.isfinite(q).all()


def most(worth: jax.Array, legal: jax.Array) -> jax.Array:
    """Returns the legal entries with the largest worth, in equal shares; [A_1, ..., A_N]."""
    worth = jnp.where(legal, worth, -jnp.inf)
    best = (worth == worth.max()) & legal
    return best / jnp.maximum(best.sum(), 1)


JOINT = {"correlated": most_correlated, "product": largest_product}
# name -> (values [N, A_1, ..., A_N], masks) -> (strategy [A_1, ..., A_N], whether it was found [])


@dataclass(frozen=True)
class Config:
    """What shapes the program: environment steps an update, and how joint actions are chosen."""

    rollout_length: int = 64
    joint: str = "correlated"  # a key of JOINT

    def __post_init__(self):
        require(self.rollout_length >= 1, "rollout_length", "at least 1", self.rollout_length)
        lookup(JOINT, self.joint, "joint")


@struct.dataclass
class Hparams:
    """Traced numbers; epsilon falls as final_epsilon + (epsilon - final_epsilon) e^(-t / period).

    By default those of a published re-implementation of the drones' task.
    """

    learning_rate: float = hparam(0.1, 0.0, 1.0, "log")
    gamma: float = hparam(0.9, 0.0, 1.0)
    epsilon: float = hparam(0.95, 0.0, 1.0)  # how often the joint action is drawn uniformly
    final_epsilon: float = hparam(0.05, 0.0, 1.0)
    epsilon_period: float = hparam(1e4, 1.0, 1e12, "log")  # steps


@struct.dataclass
class Params:
    weights: tuple[jax.Array, ...]  # theta, N times [A_1, ..., A_N, F_i] f32
    exploration: jax.Array  # [] f32


@struct.dataclass
class State:
    params: Params
    play: Play


def td_step(
    weights: jax.Array,
    joint: tuple[jax.Array, ...],
    features: jax.Array,
    next_features: jax.Array,
    legal: jax.Array,
    reward: jax.Array,
    discount: jax.Array,
    rate: jax.Array,
) -> jax.Array:
    """Returns an agent's weights after one transition.

    Args:
      weights: [A_1, ..., A_N, F] f32.
      joint: what was done, N times [] int32.
      features, next_features: [F] f32, before and after.
      legal: [A_1, ..., A_N] bool, joint actions legal afterwards.
      reward, discount: [] f32; discount is gamma, or 0 where the episode ended.
      rate: [] f32.
    """
    ahead = jnp.where(legal, weights @ next_features, -jnp.inf).max()
    ahead = jnp.where(legal.any(), ahead, 0.0)
    error = td_target(reward, discount, ahead) - weights[joint] @ features
    return weights.at[joint].add(rate * error * features)


def linear_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns linear Q-learning of joint actions for every agent.

    Raises:
      ValueError: a group's observations are not a flat Box, or its actions not Discrete, or there
        are too many joint actions.
    """
    groups = dict(env.groups)
    for name, group in groups.items():
        flat = isinstance(group.observation, Box) and len(group.observation.shape) == 1
        if not flat:
            raise ValueError(
                f'linear_q: needs features, a flat Box, group "{name}" observes {group.observation}'
            )
        if not isinstance(group.action, Discrete):
            raise ValueError(f'linear_q: needs discrete actions, group "{name}" has {group.action}')
    seats = [(name, i) for name, group in groups.items() for i in range(group.size)]
    shape = tuple(groups[name].action.num_values for name, _ in seats)
    widths = [groups[name].observation.shape[0] for name, _ in seats]
    size = prod(shape) * max(widths)
    require(size <= MAX_WEIGHTS, "linear_q", f"at most {MAX_WEIGHTS} weights an agent", size)
    world, choose = episodic(env), JOINT[config.joint]

    def players(by_group) -> tuple[jax.Array, ...]:
        return tuple(by_group[name][i] for name, i in seats)

    def masks_of(timestep: TimeStep) -> tuple[jax.Array, ...]:
        every = {n: jnp.ones((g.size, g.action.num_values), bool) for n, g in groups.items()}
        return players(every | timestep.action_mask)

    def decide(params, key, timestep, explore) -> tuple[tuple[jax.Array, ...], jax.Array]:
        """Returns everybody's action, and whether the strategy it was drawn from was found."""
        masks, features = masks_of(timestep), players(timestep.observation)
        q = jnp.stack([theta @ phi for theta, phi in zip(params.weights, features)])
        strategy, found = choose(q, masks)
        legal = outer_and(masks)
        uniform = legal / jnp.maximum(legal.sum(), 1)
        strategy = explore * uniform + (1 - explore) * strategy
        number = pick(jax.random.uniform(key), strategy.reshape(-1))
        return tuple(a.astype(jnp.int32) for a in jnp.unravel_index(number, shape)), found

    def by_group(joint: tuple[jax.Array, ...]) -> Actions:
        return {
            name: jnp.stack([a for (group, _), a in zip(seats, joint) if group == name])
            for name in groups
        }

    def acting(learning):
        def act(params, key, timestep, memory):
            explore = params.exploration if learning else 0.0
            return by_group(decide(params, key, timestep, explore)[0]), memory

        return act

    def epsilon(hp, step):
        share = jnp.exp(-step / hp.epsilon_period)
        return jnp.asarray(hp.final_epsilon + (hp.epsilon - hp.final_epsilon) * share, jnp.float32)

    def init(key, hp):
        weights = tuple(jnp.zeros((*shape, width)) for width in widths)
        return State(Params(weights, epsilon(hp, 0.0)), begin(key, world, ()))

    def update(key, state, hp, index):
        def step(state, inputs):
            key, t = inputs
            key_act, key_env = jax.random.split(key)
            params, before = state.params, state.play.timestep
            joint, found = decide(params, key_act, before, params.exploration)
            env_state, after = world.step(key_env, state.play.env_state, by_group(joint))
            legal = outer_and(masks_of(after))
            counts = players(before.alive)
            weights = [
                jnp.where(
                    alive & ~before.last,
                    td_step(theta, joint, phi, next_phi, legal, r, hp.gamma * d, hp.learning_rate),
                    theta,
                )
                for theta, phi, next_phi, r, d, alive in zip(
                    params.weights,
                    players(before.observation),
                    players(after.observation),
                    players(after.reward),
                    players(after.discount),
                    counts,
                )
            ]
            explore = epsilon(hp, index * config.rollout_length + t + 1.0)
            state = State(Params(tuple(weights), explore), Play(env_state, after, ()))
            reward = jnp.stack(players(after.reward)).mean()
            return state, (before, reward, ~found, ~before.last)

        inputs = jax.random.split(key, config.rollout_length), jnp.arange(config.rollout_length)
        state, (timesteps, reward, failed, counts) = jax.lax.scan(step, state, inputs)
        metrics = {
            "reward": masked_mean(reward, counts),
            "solver_failure": masked_mean(failed.astype(jnp.float32), counts),
            "exploration": state.params.exploration,
        }
        return state, metrics | episode_metrics(world, timesteps)

    policy = Policy(memory=lambda: (), act=acting(True), greedy=acting(False))
    return Algorithm(init, update, policy, Hparams(), config.rollout_length)
