"""A policy as one function of named arrays, which other formats and other programs can hold.

    outputs = function.call(inputs)

Both are flat dicts. `inputs` are what the policy reads, of B environments at once: parts of a time
step ("observation.agents", "action_mask.agents", "alive.agents"), what the agents remember
("memory...") and, where actions are drawn, "key" [B, 2] uint32. `outputs` are the actions
("action.agents") and what they remember then ("next_memory..."), to be handed in next time; an
episode begins with `memory`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.play.rollout import Step, begin, rollout
from jaxmarl_core.play.wrappers import AutoReset
from jaxmarl_core.store.named_leaves import named_leaves
from jaxmarl_core.types import Environment, Key, Params, Policy

Arrays = dict[str, Any]
KEY = "key"


class PolicyFunction(NamedTuple):
    """See the module; shapes are those of one environment, without the axis B."""

    call: Callable[[Arrays], Arrays]
    inputs: dict[str, jax.ShapeDtypeStruct]
    outputs: dict[str, jax.ShapeDtypeStruct]
    memory: Arrays  # what an episode begins with


def policy_function(
    policy: Policy, params: Params, env: Environment, greedy: bool = True
) -> PolicyFunction:
    """Returns the policy with these parameters as a function of what it reads.

    Args:
      policy: any.
      params: what it acts by; constants of the function.
      env: the environment, whose time steps say what there is to be read.
      greedy: whether it takes the mode of the policy, or draws from it.
    """
    choose = policy.greedy if greedy else policy.act
    first = replace(jax.eval_shape(env.reset, jax.random.key(0))[1], extras={})
    memory = policy.memory()

    def one(arrays: Arrays) -> Arrays:
        key = jax.random.wrap_key_data(arrays[KEY])
        timestep, carried = _filled(first, "", arrays), _filled(memory, "memory", arrays)
        actions, carried = choose(params, key, timestep, carried)
        return _prefixed(actions, "action") | _prefixed(carried, "next_memory")

    shapes = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in _all(first, memory)}
    shapes = {name: x for name, x in shapes.items() if x.size}
    known = {name: jnp.zeros(x.shape, x.dtype) for name, x in _all(first, memory) if not x.size}
    everything = jax.vmap(lambda arrays: one(arrays | known))
    used = _read(everything, shapes) or [min(shapes)]  # one, to say how many environments there are
    unread = {name: x for name, x in shapes.items() if name not in used}

    def call(arrays: Arrays) -> Arrays:
        size = arrays[used[0]].shape[0]
        rest = {name: jnp.zeros((size, *x.shape), x.dtype) for name, x in unread.items()}
        return everything({name: arrays[name] for name in used} | rest)

    inputs = {name: shapes[name] for name in used}
    found = jax.eval_shape(call, batched(inputs, 1))
    outputs = {name: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for name, x in found.items()}
    return PolicyFunction(call, inputs, outputs, _prefixed(memory, "memory"))


def batched(shapes: Mapping[str, jax.ShapeDtypeStruct], size: Any) -> Arrays:
    """Returns the shapes with a leading axis of this size, a number or a symbol."""
    return {n: jax.ShapeDtypeStruct((size, *x.shape), x.dtype) for n, x in shapes.items()}


def observed(
    policy: Policy, params: Params, env: Environment, function: PolicyFunction, key: Key, num: int
) -> Arrays:
    """Returns what the function is told at `num` steps of play by the policy, leaves [num, ...].

    Episode follows episode, so that beginnings, deaths and ends are among the steps.
    """

    def act(key, timestep, memory):
        actions, carried = policy.act(params, key, timestep, memory)
        return actions, carried, memory

    key_begin, key_play, key_draws = jax.random.split(key, 3)
    world, memory = AutoReset(env), policy.memory()

    @jax.jit
    def played() -> Step:
        play = begin(key_begin, world, memory)
        return rollout(key_play, world, act, play, num, memory)[1]

    steps = played()
    keys = jax.random.key_data(jax.random.split(key_draws, num))
    arrays = dict(_all(replace(steps.timestep, extras={}), steps.extras)) | {KEY: keys}
    return {name: np.asarray(arrays[name]) for name in function.inputs}


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, float]:
    """Returns output -> the largest distance of two answers."""
    far = lambda a, b: float(np.max(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))))
    return {name: far(x, theirs[name]) for name, x in ours.items() if np.size(x)}


def _all(timestep: Any, memory: Any) -> list[tuple[str, Any]]:
    """Returns everything there is to be read, by name; the key as its data."""
    key = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
    named = {**_prefixed(timestep, ""), **_prefixed(memory, "memory"), KEY: key}
    return list(named.items())


def _joined(prefix: str, name: str) -> str:
    return ".".join(part for part in (prefix, name) if part)


def _prefixed(tree: Any, prefix: str) -> Arrays:
    return {_joined(prefix, name): x for name, x in named_leaves(tree).items()}


def _filled(tree: Any, prefix: str, arrays: Arrays) -> Any:
    leaves = [arrays[name] for name in _prefixed(tree, prefix)]
    return jax.tree.unflatten(jax.tree.structure(tree), leaves)


def _read(call: Callable, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> list[str]:
    """Returns the names of what outputs depend on: the inputs that a lowered program keeps."""
    exported = jax.export.export(jax.jit(call))(batched(shapes, 1))
    names = sorted(shapes)  # the order of a dict's leaves
    return [names[i] for i in exported.module_kept_var_idx]
