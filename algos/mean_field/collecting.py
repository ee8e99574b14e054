"""How a population plays, and what is stored of it: act, collect, store."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.algos.mean_field.drawn_agents import draw_agents, shares
from jaxmarl_core.algos.mean_field.options import Config, Hparams
from jaxmarl_core.algos.mean_field.td_loss import StoredStep, Transition
from jaxmarl_core.functional.packing import packed_scan
from jaxmarl_core.learners import replay
from jaxmarl_core.learners.flat_rows import FlatRows, empty_rows, read_rows, write_rows
from jaxmarl_core.play.rollout import Play
from jaxmarl_core.play.wrappers import AutoReset
from jaxmarl_core.recipes import decided
from jaxmarl_core.types import Actions, Group, Key, Metrics, TimeStep

Weights = Any  # what one policy acts by, and what is learnt beside it


@struct.dataclass
class Params:
    """What the policy needs to act."""

    online: Weights
    opponent: Any  # () unless self_play is "lagged"
    average: Any  # the target network's weights; () unless `acting` is "target"
    temperature: jax.Array

    @property
    def acting(self) -> Weights:
        """Returns the weights by which those who learn play."""
        return self.online if self.average == () else self.average


# (weights, key, observation [n, ...], mean action [n, A], mask, temperature []) -> actions [n]
Choose = Callable[[Weights, Key, Any, jax.Array, Any, jax.Array], jax.Array]
# the weights that learn, their targets, the optimiser's state
Learning = tuple[Weights, Weights, Any]


class Method(NamedTuple):
    """How the agents of a population act and learn; one set of weights serves them all."""

    init: Callable[[Key], Weights]
    start: Callable[[Weights, Hparams], Any]  # -> the optimiser's state
    explore: Choose  # while learning
    exploit: Choose
    gradient_step: Callable[
        [Learning, Transition, jax.Array, Hparams], tuple[Learning, Metrics]
    ]  # (what learns, transitions [batch, ...], temperature [], hparams) -> the same, and metrics


# by group that learns: which of its agents are stored, [m] int32; (): all of them
Stored = tuple[jax.Array, ...]
# (time step, actions) -> group -> [n, A], the neighbours' mean action if these are played now
MeanActionAt = Callable[[TimeStep, Actions], dict[str, jax.Array]]


class Learner(NamedTuple):
    """What the phases of an update are made of."""

    config: Config
    env: AutoReset  # resets itself, and keeps count of its episodes
    mean_action_at: MeanActionAt | None  # of the world, where mean actions are iterated
    groups: dict[str, Group]
    learning_groups: tuple[str, ...]  # all of them, or the first in lagged self-play
    num_actions: int
    method: Method

    @property
    def num_learning(self) -> int:
        """Returns how many agents learn."""
        return sum(self.groups[name].size for name in self.learning_groups)

    @property
    def num_stored(self) -> int:
        """Returns of how many agents the replay buffer keeps what they did."""
        return self.config.stored_agents or self.num_learning


def mean_action_of(learner: Learner, timestep: TimeStep, group_name: str) -> jax.Array:
    """Returns the mean action of each agent's neighbours, [n, A]; 0 if the world has none."""
    none = jnp.zeros((learner.groups[group_name].size, learner.num_actions))
    return timestep.mean_action.get(group_name, none)


def act(
    learner: Learner,
    choose: Choose,
    params: Params,
    key: Key,
    timestep: TimeStep,
    memory: tuple,
    heat: jax.Array | None = None,
) -> tuple[Actions, tuple]:
    """Returns what all agents of one environment do, and their memory, which is empty.

    Args:
      heat: factor of each group's temperature, [groups] f32; None: 1.
    """

    def chosen(key, mean_action):
        actions = {}
        for i, name in enumerate(learner.groups):
            weights = params.acting if name in learner.learning_groups else params.opponent
            actions[name] = choose(
                weights,
                jax.random.fold_in(key, i),
                timestep.observation[name],
                mean_action[name],
                timestep.action_mask.get(name),
                params.temperature if heat is None else params.temperature * heat[i],
            )
        return actions

    mean_action = {name: mean_action_of(learner, timestep, name) for name in learner.groups}
    if learner.mean_action_at is not None:
        key, key_iterations = jax.random.split(key)
        told = partial(learner.mean_action_at, timestep)
        times = decided(learner.config.mean_action_iterations)
        mean_action = iterated(chosen, told, key_iterations, mean_action, times)
    return chosen(key, mean_action), memory


def iterated(
    chosen: Callable[[Key, dict[str, jax.Array]], Actions],
    mean_action_of: Callable[[Actions], dict[str, jax.Array]],
    key: Key,
    mean_action: dict[str, jax.Array],
    times: int,
) -> dict[str, jax.Array]:
    """Returns the mean actions after so many rounds of answering them.

        a_k ~ pi_k(. | s, mean action),   mean action <- mean of the neighbours' a_k

    Yang et al., 2018, arXiv:1802.05438, eq. 11 and 12; where policies are random enough the rounds
    tend to one distribution, whatever they began with.

    Args:
      chosen: maps (key, mean actions) to what agents would do.
      mean_action_of: maps that to the mean actions it makes, group -> [n, A] f32.
      key: randomness.
      mean_action: to begin with.
      times: static.
    """

    def answer(i, mean_action):
        told = mean_action_of(chosen(jax.random.fold_in(key, i), mean_action))
        return {name: told[name].astype(x.dtype) for name, x in mean_action.items()}

    return jax.lax.fori_loop(0, times, answer, mean_action)


def stored_step(
    learner: Learner, group_name: str, timestep: TimeStep, actions: Actions
) -> StoredStep:
    """Returns what is stored of one group in one environment, leaves [n, ...]."""
    alive = timestep.alive[group_name]
    return StoredStep(
        observation=timestep.observation[group_name],
        mean_action=mean_action_of(learner, timestep, group_name),
        action_mask=timestep.action_mask.get(group_name),
        action=actions[group_name],
        reward=timestep.reward[group_name],
        discount=timestep.discount[group_name],
        alive=alive,
        last=jnp.broadcast_to(timestep.last, alive.shape),
    )


def empty_buffer(learner: Learner, play: Play) -> FlatRows:
    """Returns the buffer of stored steps before any was, of environments that play [B, ...]."""
    config, groups = learner.config, learner.groups.items()
    actions = {name: jnp.zeros((config.num_envs, group.size), int) for name, group in groups}
    of_first = partial(stored_step, learner, learner.learning_groups[0])
    step = jax.eval_shape(jax.vmap(of_first), play.timestep, actions)
    entry = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((x.shape[0], learner.num_stored, *x.shape[2:]), x.dtype),
        step,
    )
    return empty_rows(entry, config.buffer_length, config.rollout_length)


def draw_stored(learner: Learner, key: Key) -> Stored:
    """Returns whom of each environment the replay buffer follows through an episode, leaves [B, m].

    Args:
      learner: of which it is.
      key: one from which the environments' own keys may be split: theirs are others.
    """
    config = learner.config
    if not config.stored_agents:
        return ()
    sizes = [learner.groups[name].size for name in learner.learning_groups]
    counts = shares(learner.num_stored, sizes)

    def of_one(key):
        keys = jax.random.split(key, len(sizes))
        return tuple(draw_agents(*each) for each in zip(keys, counts, sizes))

    keys = jax.random.split(jax.random.fold_in(key, config.num_envs), config.num_envs)
    return jax.vmap(of_one)(keys)


def store(
    learner: Learner,
    buffer: FlatRows,
    position: jax.Array,
    timestep: TimeStep,
    actions: Actions,
    stored: Stored = (),
) -> FlatRows:
    """Returns the buffer with one time step of all environments written at `position`.

    The groups that learn lie side by side on the agents' axis; of each, who is `stored`.
    """

    def part(i, name):
        step = jax.vmap(partial(stored_step, learner, name))(timestep, actions)
        if not stored:
            return step
        pick = jax.vmap(lambda leaf, agents: leaf[agents])
        return jax.tree.map(lambda leaf: pick(leaf, stored[i]), step)

    parts = [part(i, name) for i, name in enumerate(learner.learning_groups)]
    return write_rows(buffer, parts, position)


def heats_of(config: Config, num_groups: int) -> jax.Array | None:
    """Returns the temperature's factor by copy and group, [B, groups] f32; None if all are 1."""
    heats = np.asarray(config.heats or (1.0,), np.float32)
    if (heats == 1).all():
        return None
    copies, groups = np.arange(config.num_envs)[:, None], np.arange(num_groups)
    return jnp.asarray(heats[(copies + groups) % len(heats)])


def collect(
    learner: Learner,
    key: Key,
    params: Params,
    play: Play,
    buffer: FlatRows,
    stored: Stored,
    update_index: jax.Array,
) -> tuple[tuple[Play, FlatRows, Stored], TimeStep]:
    """Plays on and writes each step into the buffer.

    Who is stored is drawn anew where an episode ends, so that a step and the one that follows it
    in the same episode are of the same agents.

    Returns:
      ((where play stands, the buffer, who is stored of whom [B, m]), the time steps [T, B, ...]
      without what metrics do not read)
    """
    config = learner.config
    start = replay.block_start(buffer.words, update_index, config.rollout_length)
    heats = heats_of(config, len(learner.groups))

    def one(key, env_state, heat):
        timestep = learner.env.observe(env_state)
        key_act, key_env = jax.random.split(key)
        actions, _ = act(learner, learner.method.explore, params, key_act, timestep, (), heat)
        return learner.env.advance(key_env, env_state, actions), timestep, actions

    def step(carry, inputs):
        env_state, buffer, stored = carry
        t, key, fresh = inputs
        # the observations go from here straight into the buffer: stacked in between they would
        # take fresh memory every update, which costs more than computing them
        keys = jax.random.split(key, config.num_envs)
        following, timestep, actions = jax.vmap(one)(keys, env_state, heats)
        buffer = store(learner, buffer, start + t, timestep, actions, stored)
        anew = timestep.last[:, None]
        stored = tuple(jnp.where(anew, new, old) for new, old in zip(fresh, stored))
        read = dataclasses.replace(timestep, observation={}, mean_action={}, state=())
        return (following, buffer, stored), read

    keys = jax.random.split(key, config.rollout_length)
    fresh = jax.vmap(partial(draw_stored, learner))(keys)  # for whoever begins after each step
    inputs = jnp.arange(config.rollout_length), keys, fresh
    carry = play.env_state, buffer, stored
    (env_state, buffer, stored), timestep = packed_scan(step, carry, inputs)
    following = Play(env_state, jax.vmap(learner.env.observe)(env_state), ())
    return (following, buffer, stored), timestep


def sample(learner: Learner, key: Key, buffer: FlatRows, update_index: jax.Array) -> Transition:
    """Returns a batch of single agents' transitions that were played, leaves [batch_size, ...]."""
    key_step, key_agent = jax.random.split(key)
    size = learner.config.batch_size
    last = buffer.tree.last[:, :, 0]  # the same for all agents
    position, env_index = replay.sample_transitions(
        key_step, last, learner.config.rollout_length, update_index, size
    )
    agent = jax.random.randint(key_agent, (size,), 0, learner.num_stored)
    step = read_rows(buffer, position, env_index, agent)
    return step, read_rows(buffer, position + 1, env_index, agent)
