"""Policies that need no learning, and policies put together from others, group by group."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Composite, Discrete, Space
from jaxmarl_core.types import Environment, Key, Params, Policy


class Player(NamedTuple):
    """A policy with the parameters it plays by."""

    policy: Policy
    params: Params


def random_policy(env: Environment) -> Policy:
    """Returns the policy that draws uniformly from what is legal; it has no parameters."""
    groups = dict(env.groups)

    def act(params, key, timestep, memory):
        actions = {}
        keys = jax.random.split(key, len(groups))
        for (name, group), key in zip(groups.items(), keys):
            mask = timestep.action_mask.get(name)
            actions[name] = random_actions(key, group.action, group.size, mask)
        return actions, memory

    return Policy(memory=lambda: (), act=act, greedy=act)


def random_actions(key: Key, space: Space, size: int, mask: Any = None) -> Any:
    """Returns uniform draws from what is legal, leaves [size, *space].

    Args:
      key: a PRNG key.
      space: of one action.
      size: how many agents.
      mask: [size, A] bool for a Discrete space, true where legal; for a Composite one a dict that
        may lack parts; None: all is legal.
    """
    if isinstance(space, Discrete):
        logits = jnp.where(jnp.ones((), bool) if mask is None else mask, 0.0, -jnp.inf)
        logits = jnp.broadcast_to(logits, (size, space.num_values))
        return jax.random.categorical(key, logits).astype(jnp.int32)
    if isinstance(space, Composite) and mask:
        keys = jax.random.split(key, len(space.items))
        return {
            name: random_actions(key, part, size, mask.get(name))
            for (name, part), key in zip(space.items, keys)
        }
    return jax.vmap(space.sample)(jax.random.split(key, size))


OPPONENTS = {"random": random_policy}


def opponent(name: str, env: Environment) -> Player:
    """Returns the opponent of that name, without parameters; ValueError names the nearest."""
    return Player(lookup(OPPONENTS, name, "opponent")(env), ())


def joint(env: Environment, players: Mapping[str, Player]) -> Player:
    """Returns one player whose groups are each played by another.

    Args:
      env: the environment they meet in.
      players: group -> who plays it; all groups of `env`.
    """
    missing = sorted(set(env.groups) - set(players))
    require(not missing, "players", f"one for each of {sorted(env.groups)}", f"none for {missing}")
    return player_of_groups(players)


def player_of_groups(players: Mapping[str, Player]) -> Player:
    """Returns one player of some groups, each played by another; parameters and memory by group."""
    policies = {name: player.policy for name, player in players.items()}

    def memory():
        return {name: policy.memory() for name, policy in policies.items()}

    def play(mode):
        def act(params, key, timestep, memory):
            keys = jax.random.split(key, len(policies))
            actions, carried = {}, {}
            for (name, policy), key in zip(policies.items(), keys):
                # what a policy would do for other groups is dropped, and XLA never computes it
                chosen, carried[name] = getattr(policy, mode)(
                    params[name], key, timestep, memory[name]
                )
                actions[name] = chosen[name]
            return actions, carried

        return act

    policy = Policy(memory, play("act"), play("greedy"))
    return Player(policy, {name: player.params for name, player in players.items()})
