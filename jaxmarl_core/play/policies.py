"""Policies that need no learning, and policies put together from others, group by group."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.spaces import Discrete
from jaxmarl_core.types import Environment, Params, Policy


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
            if isinstance(group.action, Discrete):
                legal = timestep.action_mask.get(name, jnp.ones((), bool))
                logits = jnp.where(legal, 0.0, -jnp.inf)
                logits = jnp.broadcast_to(logits, (group.size, group.action.num_values))
                actions[name] = jax.random.categorical(key, logits).astype(jnp.int32)
            else:
                actions[name] = jax.vmap(group.action.sample)(jax.random.split(key, group.size))
        return actions, memory

    return Policy(memory=lambda: (), act=act, greedy=act)


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
