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

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.tabular.players import by_group, by_player, legal_actions
from jaxmarl_core.algos.tabular.rates import env_steps
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.functional.exploration import pick
from jaxmarl_core.functional.losses import masked_mean, td_target
from jaxmarl_core.hparams import hparam
from jaxmarl_core.play.rollout import Play, begin
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.recipes import require_own
from jaxmarl_core.solvers.normal_form.correlated import correlated
from jaxmarl_core.solvers.normal_form.zero_sum import outer_and
from jaxmarl_core.spaces import Box, discrete, flat_size, num_values
from jaxmarl_core.types import Algorithm, Environment, Group, Key, Metrics, Policy, TimeStep

MAX_WEIGHTS = 2**20  # of one agent


def utilitarian(q: jax.Array, masks: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
    """Returns the utilitarian correlated equilibrium [A_1, ..., A_N] and whether it was found.

    Where it was not, the joint action with the largest sum of values stands in for it.
    """
    found = correlated(q, "utilitarian", masks)
    best = best_shares(q.sum(axis=0), outer_and(masks))
    return jnp.where(found.converged, found.joint, best), found.converged


def largest_product(q: jax.Array, masks: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
    """Returns the joint actions with the largest product of values, in equal shares, and true."""
    return best_shares(q.prod(axis=0), outer_and(masks)), jnp.isfinite(q).all()


def best_shares(value: jax.Array, legal: jax.Array) -> jax.Array:
    """Returns the legal entries with the largest value, in equal shares; [A_1, ..., A_N]."""
    value = jnp.where(legal, value, -jnp.inf)
    best = (value == value.max()) & legal
    return best / jnp.maximum(best.sum(), 1)


Solve = Callable[[jax.Array, tuple[jax.Array, ...]], tuple[jax.Array, jax.Array]]
# (values [N, A_1, ..., A_N], masks) -> (strategy [A_1, ..., A_N], whether it was found [])
JOINT: dict[str, Solve] = {"correlated": utilitarian, "product": largest_product}


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


class Built(NamedTuple):
    """What is made once of an environment."""

    env: Environment  # resets itself and counts episodes
    groups: dict[str, Group]
    shape: tuple[int, ...]  # of joint actions: A_1, ..., A_N
    num_features: tuple[int, ...]  # of every agent
    solve: Solve
    rollout_length: int


def td_step(
    weights: jax.Array,
    joint: tuple[jax.Array, ...],
    features: jax.Array,
    next_features: jax.Array,
    legal: jax.Array,
    reward: jax.Array,
    discount: jax.Array,
    rate: float | jax.Array,
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
    next_features = jnp.where(discount > 0, next_features, 0)  # of the dead, they may be anything
    next_value = jnp.where(legal, weights @ next_features, -jnp.inf).max()
    next_value = jnp.where(legal.any(), next_value, 0.0)
    error = td_target(reward, discount, next_value) - weights[joint] @ features
    return weights.at[joint].add(rate * error * features)


def annealed_epsilon(hp: Hparams, step: jax.Array | float) -> jax.Array:
    """Returns epsilon [] after so many steps [] f32."""
    share = jnp.exp(-step / hp.epsilon_period)
    return jnp.asarray(hp.final_epsilon + (hp.epsilon - hp.final_epsilon) * share, jnp.float32)


def build(env: Environment, config: Config) -> Built:
    """Returns what the phases of an update work on; raises as `linear_q`."""
    groups = dict(env.groups)
    for name, group in groups.items():
        flat = isinstance(group.observation, Box) and len(group.observation.shape) == 1
        if not flat:
            raise ValueError(
                f'linear_q: needs features, a flat Box, group "{name}" observes {group.observation}'
            )
        discrete(group.action, "linear_q", name)
    agents = [group for group in groups.values() for _ in range(group.size)]
    shape = tuple(num_values(group.action) for group in agents)
    num_features = tuple(flat_size(group.observation) for group in agents)
    size = prod(shape) * max(num_features)
    require(size <= MAX_WEIGHTS, "linear_q", f"at most {MAX_WEIGHTS} weights an agent", size)
    solve = JOINT[config.joint]
    return Built(episodic(env), groups, shape, num_features, solve, config.rollout_length)


def act(
    built: Built, params: Params, key: Key, timestep: TimeStep, exploration: jax.Array | float
) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """Returns everybody's action, N times [] int32, and whether their strategy was found []."""
    masks = by_player(built.groups, legal_actions(built.groups, timestep))
    features = by_player(built.groups, timestep.observation)
    alive = by_player(built.groups, timestep.alive)
    # 1 whatever the dead see: it changes neither a sum's order nor a product's
    q = jnp.stack(
        [
            jnp.where(lives, theta @ phi, 1.0)
            for theta, phi, lives in zip(params.weights, features, alive)
        ]
    )
    strategy, found = built.solve(q, masks)
    legal = outer_and(masks)
    uniform = legal / jnp.maximum(legal.sum(), 1)
    strategy = exploration * uniform + (1 - exploration) * strategy
    drawn = pick(jax.random.uniform(key), strategy.reshape(-1))
    return tuple(a.astype(jnp.int32) for a in jnp.unravel_index(drawn, built.shape)), found


def learn(
    built: Built,
    weights: tuple[jax.Array, ...],
    before: TimeStep,
    joint: tuple[jax.Array, ...],
    after: TimeStep,
    hp: Hparams,
) -> tuple[jax.Array, ...]:
    """Returns everybody's weights after a step.

    Nothing is learnt from the step after an episode's last, which plays nothing, nor by the dead
    to whom no more pay can come.
    """
    players = partial(by_player, built.groups)
    legal = outer_and(players(legal_actions(built.groups, after)))
    return tuple(
        jnp.where(
            (alive | (more > 0)) & ~before.last,
            td_step(theta, joint, phi, next_phi, legal, r, hp.gamma * d, hp.learning_rate),
            theta,
        )
        for theta, phi, next_phi, r, d, alive, more in zip(
            weights,
            players(before.observation),
            players(after.observation),
            players(after.reward),
            players(after.discount),
            players(before.alive),
            players(before.discount),
        )
    )


def play_step(built: Built, state: State, key: Key, env_step: jax.Array, hp: Hparams):
    """Plays one step and learns from it.

    Args:
      built: the agents.
      state: before.
      key: randomness.
      env_step: [] f32, environment steps before this one.
      hp: hparams.

    Returns:
      The state afterwards; the time step the actions answered, the mean reward [], whether the
      joint strategy was not found [], and whether the step counts [] bool.
    """
    key_act, key_env = jax.random.split(key)
    params, before = state.params, state.play.timestep
    joint, found = act(built, params, key_act, before, params.exploration)
    actions = by_group(built.groups, joint)
    env_state, after = built.env.step(key_env, state.play.env_state, actions)
    weights = learn(built, params.weights, before, joint, after, hp)
    params = Params(weights, annealed_epsilon(hp, env_step + 1))
    reward = jnp.stack(by_player(built.groups, after.reward)).mean()
    return State(params, Play(env_state, after, ())), (before, reward, ~found, ~before.last)


def init(built: Built, key: Key, hp: Hparams) -> State:
    """Returns the state before the first update: weights of 0."""
    weights = tuple(jnp.zeros((*built.shape, count)) for count in built.num_features)
    return State(Params(weights, annealed_epsilon(hp, 0.0)), begin(key, built.env, ()))


def update(
    built: Built, key: Key, state: State, hp: Hparams, index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after `rollout_length` steps, and the means over them."""
    length = built.rollout_length

    def step(state, inputs):
        key, t = inputs
        return play_step(built, state, key, env_steps(index, length) + t, hp)

    inputs = jax.random.split(key, length), jnp.arange(length)
    state, (timesteps, reward, failed, played) = jax.lax.scan(step, state, inputs)
    metrics = {
        "reward": masked_mean(reward, played),
        "solver_failure": masked_mean(failed.astype(jnp.float32), played),
        "exploration": state.params.exploration,
    }
    return state, metrics | episode_metrics(built.env, timesteps)


def linear_q(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns linear Q-learning of joint actions for every agent.

    Raises:
      ValueError: a group's observations are not a flat Box, or its actions not Discrete, or there
        are too many joint actions.
    """
    require_own("linear_q", config, Config)
    built = build(env, config)

    def policy_act(learning, params, key, timestep, memory):
        exploration = params.exploration if learning else 0.0
        joint, _ = act(built, params, key, timestep, exploration)
        return by_group(built.groups, joint), memory

    policy = Policy(
        memory=lambda: (), act=partial(policy_act, True), greedy=partial(policy_act, False)
    )
    return Algorithm(
        init=partial(init, built),
        update=partial(update, built),
        policy=policy,
        hparams=Hparams(),
        env_steps=config.rollout_length,
    )
