"""The engine of learning among many: collect, store, learn.

Each agent of a large population acts on its own observation and, if the recipe says so, on the mean
action of its neighbours. One set of weights serves all groups; with lagged self-play the first
learns and the others follow. One update plays `rollout_length` steps of `num_envs` environments,
writes them, or what some of the agents did, into the replay buffer (drawn_agents.py), and takes
`num_gradient_steps` gradient steps. What varies between algorithms is the `Method` handed in:

    Q-learning     value_learning.py, td_loss.py
    actor-critic   actor_critic.py

The choices by which published programs differ are fields of `Config`; their defaults follow the
paper (Yang et al., 2018, arXiv:1802.05438), the alternatives its program.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxmarl_core.algos.mean_field.collecting import (
    Learner,
    MeanActionAt,
    Method,
    Params,
    Stored,
    act,
    collect,
    draw_stored,
    empty_buffer,
    sample,
)
from jaxmarl_core.algos.mean_field.drawn_agents import shares
from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.errors import require
from jaxmarl_core.functional.exploration import exponential
from jaxmarl_core.functional.packing import packed_scan
from jaxmarl_core.functional.trees import select
from jaxmarl_core.learners import replay
from jaxmarl_core.learners.flat_rows import FlatRows
from jaxmarl_core.play.rollout import Play, begin
from jaxmarl_core.play.wrappers import episode_metrics, episodic
from jaxmarl_core.recipes import require_own
from jaxmarl_core.spaces import Space, discrete, num_values
from jaxmarl_core.types import Algorithm, Environment, Key, Metrics, Policy

BuildMethod = Callable[[Space, int, Config], Method]  # (observation, number of actions, config)


@struct.dataclass
class State:
    params: Params
    target: Any
    optimiser: Any
    buffer: FlatRows  # of stored steps [buffer_length, B, n, ...], n over all groups that learn
    stored: Stored  # whom the buffer follows, leaves [B, m]
    play: Play  # leaves [B, ...]


def learn(
    learner: Learner, key: Key, state: State, hp: Hparams, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after all gradient steps of an update, and their mean metrics.

    Until `hp.learning_starts` steps have been played the learner stays as it was, and its metrics
    are 0; `gradient_steps` counts those that were taken.
    """

    def step(weights, key):
        transition = sample(learner, key, state.buffer, update_index)
        return learner.method.gradient_step(weights, transition, state.params.temperature, hp)

    config = learner.config
    keys = jax.random.split(key, config.num_gradient_steps)
    start = state.params.online, state.target, state.optimiser
    learned, metrics = packed_scan(step, start, keys)
    # chosen between, not branched on: the number is one of the run's, and differs within a sweep
    started = replay.learning_has_started(update_index, env_steps(config), hp.learning_starts)
    online, target, opt_state = select(started, learned, start)
    state = dataclasses.replace(
        state,
        params=dataclasses.replace(
            state.params,
            online=online,
            average=target if learner.config.acting == "target" else (),
        ),
        target=target,
        optimiser=opt_state,
    )
    steps = jnp.float32(config.num_gradient_steps)
    metrics = jax.tree.map(jnp.mean, metrics) | {"gradient_steps": steps}
    return state, jax.tree.map(lambda x: jnp.where(started, x, 0.0), metrics)


def follow(opponent: Any, online: Any, returns: jax.Array, last: jax.Array) -> Any:
    """Returns the lagged opponent's weights after a trajectory: it follows a learner that won.

    Args:
      opponent, online: weights.
      returns: [..., teams] f32 of the episodes so far; the learner is team 0.
      last: [...] bool, where an episode ended.
    """
    won = (last & (returns[..., 0] > returns[..., 1:].max(-1))).any()
    return select(won, optax.incremental_update(online, opponent, 0.99), opponent)


# ---- the learner


def env_steps(config: Config) -> int:
    """Returns the steps of an update over all environments, those after an end included."""
    return config.rollout_length * config.num_envs


def init(learner: Learner, key: Key, hp: Hparams) -> State:
    """Returns the state before the first update."""
    key_method, key_play = jax.random.split(key)
    online = learner.method.init(key_method)
    start = jax.vmap(lambda key: begin(key, learner.env, ()))
    play = start(jax.random.split(key_play, learner.config.num_envs))
    opponent = online if learner.config.self_play == "lagged" else ()
    average = online if learner.config.acting == "target" else ()
    params = Params(online, opponent, average, jnp.asarray(hp.temperature, jnp.float32))
    optimiser = learner.method.start(online, hp)
    stored = draw_stored(learner, key_play)
    return State(params, online, optimiser, empty_buffer(learner, play), stored, play)


def update(
    learner: Learner, key: Key, state: State, hp: Hparams, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after an update, and its metrics: collect, store, learn."""
    key_play, key_learn = jax.random.split(key)
    fraction = update_index / hp.anneal_updates
    temperature = exponential(hp.temperature, hp.final_temperature, fraction)
    params = dataclasses.replace(state.params, temperature=jnp.asarray(temperature, jnp.float32))
    (play, buffer, stored), timesteps = collect(
        learner, key_play, params, state.play, state.buffer, state.stored, update_index
    )
    state = dataclasses.replace(state, params=params, buffer=buffer, stored=stored, play=play)
    state, metrics = learn(learner, key_learn, state, hp, update_index)
    if learner.config.self_play == "lagged":
        returns = timesteps.extras["episode"].returns
        opponent = follow(params.opponent, state.params.online, returns, timesteps.last)
        state = dataclasses.replace(
            state, params=dataclasses.replace(state.params, opponent=opponent)
        )
    metrics |= {"temperature": params.temperature}
    return state, metrics | episode_metrics(learner.env, timesteps)


def make_learner(name: str, env: Environment, config: Config, method: BuildMethod) -> Learner:
    """Returns what the phases of an update are made of; raises as `mean_field` does."""
    require_own(name, config, Config)
    groups = dict(env.groups)
    first = next(iter(groups.values()))
    for group_name, group in groups.items():
        discrete(group.action, name, group_name)
        same = (group.observation, group.action) == (first.observation, first.action)
        require(same, name, "groups of equal spaces, as they share one network", groups)
    if config.mean_action is not None and not hasattr(env, "mean_action"):
        raise ValueError(
            f"{name}: needs a mean-field environment, one that answers mean_action; "
            f"got {type(env).__name__}"
        )
    told = iterable_mean_action(name, env, config)
    if config.self_play == "lagged":
        fits = first.team == 0 and len({group.team for group in groups.values()}) > 1
        expected = '"shared", or an environment of several teams, the first group of team 0'
        require(fits, "self_play", expected, f'"lagged" in {type(env).__name__}')
    learning_groups = tuple(groups) if config.self_play == "shared" else tuple(groups)[:1]
    num_actions = num_values(first.action)
    built = method(first.observation, num_actions, config)
    learner = Learner(config, episodic(env), told, groups, learning_groups, num_actions, built)
    most = learner.num_learning
    sizes = [groups[group_name].size for group_name in learning_groups]
    fits = min(shares(learner.num_stored, sizes)) >= 1 and config.stored_agents <= most
    expected = f"0, all, or at most the {most} agents that learn, and some of each group"
    require(fits or replay.only_plays(), "stored_agents", expected, config.stored_agents)
    return learner


def iterable_mean_action(name: str, env: Environment, config: Config) -> MeanActionAt | None:
    """Returns how a time step and actions make mean actions, or None where none are iterated.

    Raises:
      ValueError: they are to be, and nobody acts on them, they are not what is learnt beside, or
        the world does not say.
    """
    times = config.mean_action_iterations
    if not times:
        return None
    field = "mean_action_iterations"
    expected = '0 where what is learnt beside is the mean action seen, "previous"'
    require(config.mean_action == "current", field, expected, times)
    blind = config.actor_mean_action is False
    require(not blind, field, "0 unless actor_mean_action, as nobody acts on it", times)
    expected = f"a world for {name} that answers mean_action_at, or 0"
    require(hasattr(env, "mean_action_at"), field, expected, f"{times} in {type(env).__name__}")
    world: Any = env
    return world.mean_action_at


def mean_field(
    name: str, env: Environment, config: Config, method: BuildMethod, hparams: Hparams
) -> Algorithm:
    """Returns the algorithm.

    Args:
      name: of the algorithm, for messages.
      env: discrete actions; it answers `mean_action` where the config has one.
      config: what shapes the program; what recipes differ in is said.
      method: how agents act and learn, `q_learning` or `actor_critic`.
      hparams: the defaults.

    Raises:
      ValueError: actions are not discrete, the groups that share a network have different spaces,
        the environment has no mean action although it is used, there is nobody to lag behind, mean
        actions cannot be iterated although they should be, more agents would be stored than learn,
        or the replay would not fit in memory.
    """
    learner = make_learner(name, env, config, method)
    policy = Policy(
        memory=lambda: (),
        act=partial(act, learner, learner.method.explore),
        greedy=partial(act, learner, learner.method.exploit),
    )
    start = partial(init, learner)
    shapes = jax.eval_shape(start, jax.random.key(0), hparams)
    replay.require_memory("buffer_length", config.buffer_length, shapes.buffer)
    return Algorithm(start, partial(update, learner), policy, hparams, env_steps(config))
