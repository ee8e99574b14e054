"""What joint actions are worth, made of what agents' actions are worth, and the error of that.

A `Factorisation` is what tells the algorithms of this family apart. It is given what the agents'
networks say along sequences (`AgentValues`) and what else a centralised learner may know
(`CentralInput`), and says two things: the value of a joint action, by which targets are made, and
the loss of a network at the joint actions that were taken.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.value_factorisation.networks import agent_network, num_features
from jaxmarl_core.algos.value_factorisation.options import Config
from jaxmarl_core.algos.value_factorisation.rewards import (
    ReadRewards,
    require_one_team,
    team_reward,
)
from jaxmarl_core.functional.exploration import greedy
from jaxmarl_core.functional.losses import squared
from jaxmarl_core.learners.parameter_sharing import AgentStack, state_space
from jaxmarl_core.spaces import Box, num_values
from jaxmarl_core.types import Environment, Key, Metrics

JointAction = tuple[jax.Array, ...]  # by stack: [T, B, n, A] f32, one-hot, an action of every agent


class AgentValues(NamedTuple):
    """What the agents' networks say along sequences, by stack, in the order of the stacks."""

    q: tuple[jax.Array, ...]  # [T, B, n, A] f32, utilities
    features: tuple[jax.Array, ...]  # [T, B, n, F] f32, of which utilities are linear


class CentralInput(NamedTuple):
    """What a centralised learner is given beside them."""

    state: Any  # [T, B, S] f32; () if it is not used
    alive: jax.Array  # [T, B, N] bool
    mask: tuple[Any, ...]  # by stack: [T, B, n, A] bool, legal actions; None: all are


class TDLoss(NamedTuple):
    """The loss of T steps of B sequences, of each agent (k is N) or of the team (k is 1)."""

    loss: jax.Array  # [T, B, k] f32, what to minimise, before any averaging
    error: jax.Array  # [T, B, k] f32, the size of the TD error, target less prediction
    q: jax.Array  # [T, B, k] f32, the prediction


class Factorisation(NamedTuple):
    """The centralised part of a learner."""

    rewards: ReadRewards
    init: Callable[[Key], Any]  # -> parameters beside the agents'
    value: Callable[[Any, AgentValues, JointAction, CentralInput], jax.Array]
    # (parameters, agents' values, joint action, central input) -> its value, [T, B, k]
    loss: Callable[
        [Any, AgentValues, JointAction, CentralInput, jax.Array, Any], tuple[TDLoss, Metrics]
    ]
    # (parameters, agents' values, actions taken, central input, target [T, B, k], hparams) ->
    # the loss, and metrics [T, B, k] whose means are reported
    uses_state: bool


Factorise = Callable[[str, Environment, list[AgentStack], Config], Factorisation]


class Mixer(NamedTuple):
    """What makes one network of the agents'."""

    init: Callable[[Key], Any]
    mix: Callable[[Any, AgentValues, JointAction, CentralInput], jax.Array]  # -> [T, B, k]
    uses_state: bool = True


BuildMixer = Callable[[Environment, list[AgentStack], Config], Mixer]


def greedy_actions(q: tuple[jax.Array, ...], mask: tuple[Any, ...]) -> JointAction:
    """Returns each agent's best legal action, one-hot and without gradient."""
    one_hot = lambda q, mask: jax.nn.one_hot(greedy(jax.lax.stop_gradient(q), mask), q.shape[-1])
    return tuple(map(one_hot, q, mask))


def chosen_utilities(q: tuple[jax.Array, ...], joint_action: JointAction) -> jax.Array:
    """Returns the utilities of a joint action, [T, B, N], agents in the order of their stacks."""
    # a product with one-hot actions: the derivative of a gather is a scatter
    return jnp.concatenate([(x * u).sum(-1) for x, u in zip(q, joint_action)], -1)


def td_factorisation(rewards: ReadRewards, mixer: Mixer) -> Factorisation:
    """Returns agents and mixer as one network that learns by temporal differences.

    (y - Q(u))^2 / 2
    """

    def loss(params, values, actions, central, target, hp):
        q = mixer.mix(params, values, actions, central)
        return TDLoss(squared(target - q), jnp.abs(target - q), q), {}

    return Factorisation(rewards, mixer.init, mixer.mix, loss, mixer.uses_state)


def with_mixer(build: BuildMixer) -> Factorise:
    """Returns the factorisation of a team whose joint value a mixer makes of its agents'."""

    def factorise(name, env, stacks, config):
        require_one_team(name, env)
        return td_factorisation(team_reward(stacks), build(env, stacks, config))

    return factorise


def examples(
    env: Environment, stacks: list[AgentStack], config: Config
) -> tuple[list[jax.Array], list[jax.Array], jax.Array, jax.Array]:
    """Returns (features, actions, alive, state) of zeros, for building networks; lists by stack."""
    features = [
        jnp.zeros((stack.size, num_features(agent_network(stack, config)))) for stack in stacks
    ]
    actions = [jnp.zeros((stack.size, num_values(stack.action))) for stack in stacks]
    alive = jnp.ones(sum(stack.size for stack in stacks), bool)
    return features, actions, alive, jnp.zeros(flat_state(env).shape)


def flat_state(env: Environment) -> Box:
    """Returns the space of the environment's state as a vector."""
    space = state_space(env)
    if len(space.shape) != 1:
        raise ValueError(f"env: expected a state of one axis for the mixer, got {space.shape}")
    return space
