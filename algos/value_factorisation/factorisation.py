"""What joint actions are worth, made of what agents' actions are worth, and the error of that.

A `Factorisation` is what tells the algorithms of this family apart. It sees what the agents'
networks say along sequences (`Outlook`) and what else a centralised learner may know (`Sight`), and
answers two questions: what is the joint action worth that the target network is asked about, and
how wrong is the live network about the ones that were taken.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.value_factorisation.networks import agent, num_features
from jaxmarl_core.algos.value_factorisation.options import Config
from jaxmarl_core.algos.value_factorisation.payoffs import (
    Payoffs,
    require_one_team,
    team_payoffs,
)
from jaxmarl_core.functional.exploration import greedy
from jaxmarl_core.functional.losses import squared
from jaxmarl_core.learners.parameter_sharing import AgentStack, state_space
from jaxmarl_core.spaces import Box
from jaxmarl_core.types import Environment, Key, Metrics

Choice = tuple[jax.Array, ...]  # by stack: [T, B, n, A] f32, one-hot, an action of every agent


class Outlook(NamedTuple):
    """What the agents' networks say along sequences, by stack, in the order of the stacks."""

    q: tuple[jax.Array, ...]  # [T, B, n, A] f32
    features: tuple[jax.Array, ...]  # [T, B, n, F] f32


class Sight(NamedTuple):
    """What a central learner sees beside them."""

    state: Any  # [T, B, S] f32; () if it is not used
    alive: jax.Array  # [T, B, N] bool
    mask: tuple[Any, ...]  # by stack: [T, B, n, A] bool, legal actions; None: all are


class Verdict(NamedTuple):
    """How wrong a network is, entry by entry of T steps, B sequences and k payees."""

    loss: jax.Array  # [T, B, k] f32, what to minimise, before any averaging
    error: jax.Array  # [T, B, k] f32, the size of target less prediction
    q: jax.Array  # [T, B, k] f32, the prediction


class Factorisation(NamedTuple):
    """The centralised part of a learner."""

    payoffs: Payoffs
    init: Callable[[Key], Any]  # -> parameters beside the agents'
    value: Callable[[Any, Outlook, Choice, Sight], jax.Array]
    # (parameters, outlook, choice, sight) -> what the joint actions are worth, [T, B, k]
    loss: Callable[[Any, Outlook, Choice, Sight, jax.Array, Any], tuple[Verdict, Metrics]]
    # (parameters, outlook, actions taken, sight, target [T, B, k], hparams) -> how wrong that was,
    # and figures [T, B, k] whose means are reported
    uses_state: bool


Factorise = Callable[[str, Environment, list[AgentStack], Config], Factorisation]


class Mixer(NamedTuple):
    """What makes one network of the agents'."""

    init: Callable[[Key], Any]
    mix: Callable[[Any, Outlook, Choice, Sight], jax.Array]  # -> [T, B, k]
    uses_state: bool = True


BuildMixer = Callable[[Environment, list[AgentStack], Config], Mixer]


def best(q: tuple[jax.Array, ...], mask: tuple[Any, ...]) -> Choice:
    """Returns each agent's best legal action, one-hot and without gradient."""
    one_hot = lambda q, mask: jax.nn.one_hot(greedy(jax.lax.stop_gradient(q), mask), q.shape[-1])
    return tuple(map(one_hot, q, mask))


def taken(q: tuple[jax.Array, ...], choice: Choice) -> jax.Array:
    """Returns the utilities of a choice, [T, B, N], agents in the order of their stacks."""
    # a product with one-hot actions: the derivative of a gather is a scatter
    return jnp.concatenate([(x * u).sum(-1) for x, u in zip(q, choice)], -1)


def rows(tree: Any, part: slice) -> Any:
    """Returns some rows of sequences, of an Outlook or a Sight."""
    return jax.tree.map(lambda leaf: leaf[part], tree)


def one_network(payoffs: Payoffs, mixer: Mixer) -> Factorisation:
    """Returns agents and mixer as one network that learns by temporal differences.

    (y - Q(u))^2 / 2
    """

    def loss(params, outlook, actions, sight, target, hp):
        q = mixer.mix(params, outlook, actions, sight)
        return Verdict(squared(target - q), jnp.abs(target - q), q), {}

    return Factorisation(payoffs, mixer.init, mixer.mix, loss, mixer.uses_state)


def mixed(build: BuildMixer) -> Factorise:
    """Returns the factorisation of a team whose joint value a mixer makes of its agents'."""

    def factorise(name, env, stacks, config):
        require_one_team(name, env)
        return one_network(team_payoffs(stacks), build(env, stacks, config))

    return factorise


def examples(
    env: Environment, stacks: list[AgentStack], config: Config
) -> tuple[list[jax.Array], list[jax.Array], jax.Array, jax.Array]:
    """Returns (features, actions, alive, state) of zeros, for building networks; lists by stack."""
    features = [jnp.zeros((stack.size, num_features(agent(stack, config)))) for stack in stacks]
    actions = [jnp.zeros((stack.size, stack.action.num_values)) for stack in stacks]
    alive = jnp.ones(sum(stack.size for stack in stacks), bool)
    return features, actions, alive, jnp.zeros(flat_state(env).shape)


def flat_state(env: Environment) -> Box:
    """Returns the space of the environment's state as a vector."""
    space = state_space(env)
    if len(space.shape) != 1:
        raise ValueError(f"env: expected a state of one axis for the mixer, got {space.shape}")
    return space
