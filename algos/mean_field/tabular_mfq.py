"""Tabular MF-Q: a table over what an agent sees, its neighbours' mean action, and its own action.

Observations are Discrete, and the mean action is told by one number, the neighbours' mean action as
an index, 0 ... A - 1, rounded to one of `levels`: with two actions and four neighbours, five levels
lose nothing. Agents play the Boltzmann policy of their table at the mean action of the step before,

    pi(a) proportional to exp(Q(s, a, mean action) / temperature),

and learn beside the mean action of their own step, or beside the one they saw, as `mean_action`
says. One level is a Boltzmann Q-learner that is blind to the others.

Yang, Luo, Li, Zhou, Zhang & Wang, 2018, arXiv:1802.05438, eq. 8 to 12; figure 2 is an example.
Their program of the Ising model learns beside the one seen: what an agent earned after everybody
had moved is put down to where its neighbours were before.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.algos.mean_field.collecting import iterated
from jaxmarl_core.algos.mean_field.options import CHOICES
from jaxmarl_core.algos.tabular.rates import env_steps
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.functional.exploration import boltzmann, boltzmann_probs, exponential, greedy
from jaxmarl_core.functional.losses import masked_mean, mean_field_value, td_target
from jaxmarl_core.hparams import hparam
from jaxmarl_core.play.rollout import Play, begin
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.recipes import require_kinds, require_own
from jaxmarl_core.spaces import discrete, num_values
from jaxmarl_core.types import (
    Actions,
    Algorithm,
    Environment,
    Group,
    Key,
    Metrics,
    Policy,
    TimeStep,
)

SHARING = ("none", "group")


@dataclass(frozen=True)
class Config:
    """What shapes the program.

    levels: of the mean action; 1: blind to it.
    mean_action_iterations: rounds in which agents answer the mean action before they act, see
      `collecting.iterated`; 0: they act on that of the step before.
    mean_action: Q(s, a, .) is learned beside "current", that of the step's own actions, as the
      paper; or "previous", the one seen when acting, as its program.
    share: "none", a table each; "group", one for a group, which moves by the mean of what its
      agents in the same entry learn.
    """

    rollout_length: int = 64
    levels: int = 5
    mean_action: str = "current"
    mean_action_iterations: int = 0
    share: str = "none"

    def __post_init__(self):
        require_kinds(self)
        for field in ("rollout_length", "levels"):
            require(getattr(self, field) >= 1, field, "at least 1", getattr(self, field))
        lookup(dict.fromkeys(CHOICES["mean_action"]), self.mean_action, "mean_action")
        lookup(dict.fromkeys(SHARING), self.share, "share")
        times = self.mean_action_iterations
        fits = times == 0 or (times > 0 and self.mean_action == "current" and self.levels > 1)
        expected = 'at least 0, and 0 beside the "previous" mean action or with one level'
        require(fits, "mean_action_iterations", expected, times)


@struct.dataclass
class Hparams:
    """Traced numbers; the temperature falls geometrically over the first `anneal_steps`."""

    learning_rate: float = hparam(0.1, 0.0, 1.0, "log")
    gamma: float = hparam(0.0, 0.0, 1.0)  # the paper's games have no state
    temperature: float = hparam(1.0, 1e-6, 1e6, "log")  # in units of reward
    final_temperature: float = hparam(0.1, 1e-6, 1e6, "log")
    anneal_steps: float = hparam(3000.0, 1.0, 1e12, "log")
    first_value: float = hparam(0.0, -1e9, 1e9)


@struct.dataclass
class Params:
    """What the policy needs to act."""

    q: dict[str, jax.Array]  # group -> [n, S, levels, A] f32; n is 1 where a group shares
    temperature: jax.Array  # [] f32


@struct.dataclass
class State:
    params: Params
    play: Play


class Learner(NamedTuple):
    """What the phases of an update are made of."""

    config: Config
    world: Environment
    env: Environment  # the same, which resets itself and keeps count of its episodes
    groups: dict[str, Group]


class Entries(NamedTuple):
    """Where each agent of a group stands in its table, each [n] int32; an action ends the index."""

    table: jax.Array
    observation: jax.Array
    level: jax.Array


def level_of(mean_action: jax.Array, levels: int) -> jax.Array:
    """Returns the level [...] int32 of a mean one-hot action [..., A]; 0 before anybody acted."""
    num_actions = mean_action.shape[-1]
    mean_index = mean_action @ jnp.arange(num_actions, dtype=mean_action.dtype)
    share = mean_index / max(num_actions - 1, 1)
    return jnp.round(share * (levels - 1)).astype(jnp.int32)


def entries_of(
    learner: Learner, name: str, timestep: TimeStep, mean_action: dict[str, jax.Array]
) -> Entries:
    """Returns where a group's agents stand who observe `timestep`, beside a mean action."""
    observation = timestep.observation[name]
    table = jnp.zeros_like(observation)
    if learner.config.share == "none":
        table = jnp.arange(len(observation), dtype=observation.dtype)
    level = level_of(mean_action[name], learner.config.levels)
    return Entries(table, observation, level)


def act(
    learner: Learner, exploring: bool, params: Params, key: Key, timestep: TimeStep, memory: tuple
) -> tuple[Actions, tuple]:
    """Returns what all agents do, and their memory, which is empty."""

    def chosen(key, mean_action):
        actions = {}
        for i, name in enumerate(learner.groups):
            q = params.q[name][tuple(entries_of(learner, name, timestep, mean_action))]
            mask = timestep.action_mask.get(name)
            drawn = partial(boltzmann, jax.random.fold_in(key, i), q, params.temperature)
            actions[name] = drawn(mask) if exploring else greedy(q, mask)
        return actions

    mean_action = {name: timestep.mean_action[name] for name in learner.groups}
    if learner.config.mean_action_iterations:
        key, key_iterations = jax.random.split(key)
        world: Any = learner.world
        told = partial(world.mean_action_at, timestep)
        times = learner.config.mean_action_iterations
        mean_action = iterated(chosen, told, key_iterations, mean_action, times)
    return chosen(key, mean_action), memory


def learn(
    learner: Learner,
    params: Params,
    name: str,
    before: TimeStep,
    action: jax.Array,
    after: TimeStep,
    hp: Hparams,
) -> tuple[jax.Array, jax.Array]:
    """Returns (a group's tables after a step, the mean squared error).

        Q(s, a, mean action) += rate (r + gamma discount v(s') - Q(s, a, mean action)),

    v(s') being the Boltzmann policy's mean at the mean action seen in s', on which it acts unless
    mean actions are iterated. Those learn who decided in a step of an episode; its end is learnt
    from.
    """
    q = params.q[name]
    beside = after if learner.config.mean_action == "current" else before
    at = (*entries_of(learner, name, before, beside.mean_action), action)
    next_q = q[tuple(entries_of(learner, name, after, after.mean_action))]
    pi = boltzmann_probs(next_q, params.temperature, after.action_mask.get(name))
    learns = before.alive[name] & ~before.last
    reward = jnp.where(learns, after.reward[name], 0.0)
    target = td_target(reward, hp.gamma * after.discount[name], mean_field_value(next_q, pi))
    error = jnp.where(learns, target - q[at], 0.0)
    # agents who share a table may stand in one entry: it moves by the mean of their errors
    count = jnp.zeros_like(q).at[at].add(learns.astype(q.dtype))
    moved = q.at[at].add((hp.learning_rate * error / jnp.maximum(count[at], 1)).astype(q.dtype))
    return moved, masked_mean(error**2, learns)


def init(learner: Learner, key: Key, hp: Hparams) -> State:
    """Returns the state before the first update."""
    config = learner.config

    def table(group):
        size = group.size if config.share == "none" else 1
        shape = size, num_values(group.observation), config.levels, num_values(group.action)
        return jnp.full(shape, hp.first_value, jnp.float32)

    q = {name: table(group) for name, group in learner.groups.items()}
    params = Params(q, jnp.asarray(hp.temperature, jnp.float32))
    return State(params, begin(key, learner.env, ()))


def play_step(
    learner: Learner, hp: Hparams, state: State, inputs: tuple[Key, jax.Array]
) -> tuple[State, tuple[TimeStep, jax.Array]]:
    """Returns the state after a step and what was learnt, (the time step, mean squared error)."""
    (key_act, key_env), env_step = jax.random.split(inputs[0]), inputs[1]
    temperature = exponential(hp.temperature, hp.final_temperature, env_step / hp.anneal_steps)
    params = dataclasses.replace(state.params, temperature=jnp.asarray(temperature, jnp.float32))
    before = state.play.timestep
    actions, _ = act(learner, True, params, key_act, before, ())
    env_state, after = learner.env.step(key_env, state.play.env_state, actions)
    learned = {
        name: learn(learner, params, name, before, actions[name], after, hp)
        for name in learner.groups
    }
    q = {name: table for name, (table, _) in learned.items()}
    error = jnp.stack([error for _, error in learned.values()]).mean()
    state = State(dataclasses.replace(params, q=q), Play(env_state, after, ()))
    return state, (before, error)


def update(
    learner: Learner, key: Key, state: State, hp: Hparams, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after `rollout_length` steps, and its metrics."""
    length = learner.config.rollout_length
    steps = env_steps(update_index, length) + jnp.arange(length)
    inputs = jax.random.split(key, length), steps
    state, (timesteps, error) = jax.lax.scan(partial(play_step, learner, hp), state, inputs)
    metrics = {"td_error": jnp.sqrt(error.mean()), "temperature": state.params.temperature}
    return state, metrics | episode_metrics(learner.env, timesteps)


def tabular_mfq(env: Environment, config: Config = Config()) -> Algorithm:
    """Returns tabular mean-field Q-learning.

    Raises:
      ValueError: observations or actions are not Discrete, or the world has no mean action, or none
        that can be iterated.
    """
    require_own("tabular_mfq", config, Config)
    groups = dict(env.groups)
    for owner, group in groups.items():
        for kind, space in (("observations", group.observation), ("actions", group.action)):
            discrete(space, "tabular_mfq", owner, kind)
    if not hasattr(env, "mean_action"):
        raise ValueError(
            "tabular_mfq: needs a mean-field environment, one that answers mean_action; "
            f"got {type(env).__name__}"
        )
    if config.mean_action_iterations:
        expected = "a world that answers mean_action_at, or 0"
        told = hasattr(env, "mean_action_at")
        require(told, "mean_action_iterations", expected, type(env).__name__)
    learner = Learner(config, env, episodic(env), groups)
    policy = Policy(
        memory=lambda: (), act=partial(act, learner, True), greedy=partial(act, learner, False)
    )
    return Algorithm(
        partial(init, learner), partial(update, learner), policy, Hparams(), config.rollout_length
    )
