"""What the engine asks of critics: to estimate advantages, and to learn from what was played.

Critics of returns are in value_critics.py, that of joint actions is in counterfactual.py; how both
learn is in value_learning.py.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.on_policy.learning import Batch
from jaxmarl_core.play.rollout import Step, joint_rows
from jaxmarl_core.types import Actions, Key, Metrics, TimeStep


class Played(NamedTuple):
    """What a rollout gave the critics to estimate advantages from."""

    steps: Step  # leaves [T, B, ...]
    final: TimeStep  # the time step after the last, leaves [B, ...]
    batches: dict[str, Batch]  # stack -> what its actors learn from
    actors: dict[str, Any]  # stack -> the parameters that played
    final_actions: Callable[[], Actions]  # () -> what the actors would do next, [B, n, ...]


class Critics(NamedTuple):
    """The critics' side of a learner."""

    uses_state: bool
    init: Callable[[Key, Any], Any]  # (key, hparams) -> state
    estimate: Callable[[Any, Played, Any], tuple[dict[str, jax.Array], Any, Any]]
    # (state, what was played, hparams) -> advantages [T, B, n] by stack, batches for `learn`, state
    learn: Callable[[Key, Any, Any, Any, jax.Array], tuple[Any, Metrics]]
    # (key, state, batches, hparams, update_index) -> state, metrics


def resets(last: jax.Array) -> jax.Array:
    """Returns where steps begin an episode, [T, B], as far as it was seen to end before them."""
    return jnp.concatenate([jnp.zeros_like(last[:1]), last[:-1]])


def on_arrival(
    field: Callable[[TimeStep, int], jax.Array], timestep: TimeStep, final: TimeStep
) -> jax.Array:
    """Returns a field of a CriticInput on arriving at steps 1 to T, [T, B, k]."""
    return joint_rows(field(timestep, 2)[1:], field(final, 1))
