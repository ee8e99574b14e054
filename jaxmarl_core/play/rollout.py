"""Playing: an environment and a policy, scanned over time."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.errors import require
from jaxmarl_core.functional.packing import packed_scan
from jaxmarl_core.functional.trees import select
from jaxmarl_core.learners.replay import num_bytes
from jaxmarl_core.play.wrappers import AutoReset, Keeping, Kept, bare, observable
from jaxmarl_core.types import (
    Actions,
    Environment,
    EnvState,
    Key,
    Memory,
    Params,
    Policy,
    StateEnvironment,
    TimeStep,
)


@struct.dataclass
class Play:
    """Where playing stands: what the next step needs."""

    env_state: EnvState
    timestep: TimeStep
    memory: Memory


class Step(NamedTuple):
    """One row of a trajectory: what was seen, what was done, and what `act` said beside it."""

    timestep: TimeStep
    actions: Actions
    extras: Any


Act = Callable[[Key, TimeStep, Memory], tuple[Actions, Memory, Any]]


def begin(key: Key, env: Environment, memory: Memory) -> Play:
    """Returns the start of play in one environment."""
    env_state, timestep = env.reset(key)
    return Play(env_state, timestep, memory)


def begin_anew(key: Key, env: Environment, play: Play, memory: Memory) -> Play:
    """Returns where one environment plays on: where its episode is over, at the start of another.

    A sequence that is collected from there begins with a step that is played, not with the one
    after an end.
    """
    return select(play.timestep.last, begin(key, env, memory), play)


def rollout(
    key: Key,
    env: Environment,
    act: Act,
    play: Play,
    length: int,
    memory: Memory = (),
    keep: Callable[[Step], Step] = lambda step: step,
) -> tuple[Play, Step]:
    """Plays one environment on for `length` steps; `vmap` it for many.

    Args:
      key: randomness for acting and for the environment.
      env: one that resets itself (wrappers.AutoReset). Row t holds time step t; where it is last,
        its action is ignored and row t+1 begins an episode. Reward and discount of the transition
        from t to t+1 are in row t+1; after the last row, in the returned play's time step.
      act: maps (key, time step, memory) to (actions, memory, extras).
      play: where to go on from.
      length: how many steps, static.
      memory: what memory begins an episode with.
      keep: what of a step is to be a row: what nobody reads need not be written.

    Returns:
      Where play stands afterwards, and the rows with leaves [length, ...].
    """
    world = observable(env)
    prepare, go_on = prepared(world)

    def step(carry, draws):
        env_state, before = carry
        key_act, drawn = draws
        timestep = world.observe(env_state)
        actions, carried, extras = act(key_act, timestep, before)
        carried = select(timestep.last, memory, carried)
        row = keep(Step(timestep, actions, extras))
        return (go_on(drawn, env_state, actions), carried), row

    # The loop carries no time step: written to its row and overwritten, each field would be copied.
    kept = isinstance(world, Keeping)
    start = Kept(play.env_state, play.timestep) if kept else play.env_state
    keys = jax.vmap(jax.random.split)(jax.random.split(key, length))
    draws = keys[:, 0], jax.vmap(prepare)(keys[:, 1])
    (env_state, carried), steps = packed_scan(step, (start, play.memory), draws)
    timestep = world.observe(env_state)
    return Play(bare(env_state) if kept else env_state, timestep, carried), steps


def prepared(world: StateEnvironment) -> tuple[Callable, Callable]:
    """Returns (key -> draws, (draws, state, actions) -> the next state): a step of `world` in two.

    What does not depend on the state can then be drawn for many steps at once: the starts of
    episodes, where they take no more memory than the rows.
    """
    if isinstance(world, AutoReset):
        fresh = jax.eval_shape(world.prepare, jax.random.key(0)).fresh
        if num_bytes(fresh) <= num_bytes(jax.eval_shape(world.observe, fresh)):
            return world.prepare, world.go_on
    return lambda key: key, world.advance


def joint_rows(rows: Any, final: Any) -> Any:
    """Returns T rows with the one after them, leaves [T + 1, ...]: what T steps lead from and to.

    A rollout's rows tell what was seen when acting; what the last action led to stands in the play
    that is gone on from. Values, rewards and ends of a trajectory need both. For B environments:

        play, steps = jax.vmap(one, out_axes=(0, 1))(keys, play)  # `rollout`; leaves [B], [T, B]
        timestep = joint_rows(steps.timestep, play.timestep)  # [T + 1, B, ...]
        value = critic(timestep.observation["agents"])  # [T + 1, B, n]
        terms = trajectory_terms(
            timestep.reward["agents"], gamma * timestep.discount["agents"], timestep.last
        )
        reward, discount, valid = terms  # [T, B, n], of the transition that leaves row t
        advantage = over_trajectories(gae)(reward, discount, value[:-1], value[-1], lam, valid)

    with `trajectory_terms`, `over_trajectories` and `gae` from functional.returns.

    Args:
      rows: leaves [T, ...], such as `steps.timestep`.
      final: leaves [...], such as `play.timestep`.

    Raises:
      ValueError: both are no rows of one kind; as where the rows' first axis is not that of time.
    """
    expected, got = jax.tree.structure(rows), jax.tree.structure(final)
    require(expected == got, "final", f"a row's structure, {expected}", got)

    def join(rows, final):
        shape = np.shape(rows)[1:]
        require(np.shape(final) == shape, "final", f"shape {shape}, of a row", np.shape(final))
        return jnp.concatenate([rows, final[None]])

    return jax.tree.map(join, rows, final)


def acting(policy: Policy, params: Params, greedy: bool = False) -> Act:
    """Returns `act` for `rollout` from a policy and its parameters, with no extras."""
    choose = policy.greedy if greedy else policy.act

    def act(key: Key, timestep: TimeStep, memory: Memory):
        return *choose(params, key, timestep, memory), ()

    return act
