"""How an actor's output is an action: deterministic, as DDPG and TD3 have it, or drawn, as SAC.

What is discrete is drawn either way, by Gumbel noise, so that gradients pass (Jang et al., 2017,
arXiv:1611.01144). Actions are vectors, see action_vectors.py.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxmarl_core.algos.off_policy.action_vectors import leaves
from jaxmarl_core.algos.off_policy.options import Config, Hparams
from jaxmarl_core.functional.distributions import masked_logits, perturbed_one_hot
from jaxmarl_core.functional.exploration import ornstein_uhlenbeck
from jaxmarl_core.functional.losses import entropy
from jaxmarl_core.functional.q_policies import smoothed, squashed_draw
from jaxmarl_core.spaces import Discrete, Space, flat_size

LOG_STD_RANGE = (-5.0, 2.0)


class Draw(NamedTuple):
    """An action that gradients pass through."""

    vector: jax.Array  # [..., E]
    log_prob: jax.Array  # [...] of it in half ranges; of what is discrete its mean, known exactly


class PolicyKind(NamedTuple):
    """What an actor's output [..., K] means. Masks are those of legal actions, or None."""

    output_size: Callable[[Space], int]  # K
    greedy: Callable[[Space, jax.Array, Any], jax.Array]  # (space, output, mask) -> vector
    explore: Callable[..., tuple[jax.Array, jax.Array]]
    # (space, output, mask, noise, state, exploration) -> vector, state: what is played
    first_state: Callable[[Space], Any]  # of an agent's exploration where an episode begins
    draw: Callable[[Space, jax.Array, Any, jax.Array, Hparams], Draw]
    # (space, output, mask, noise, hparams): what the actor climbs along
    next_draw: Callable[[Space, jax.Array, Any, jax.Array, Hparams], Draw]
    # the same, of the action that a target follows
    of_critics: Callable[[jax.Array], jax.Array]  # [M, ...] of M critics -> [...], what is climbed
    is_soft: bool  # whether entropy is earned
    has_targets: bool  # whether next actions are of actors that follow, not of those that learn


def hard_choice(logits: jax.Array, mask: Any, noise: jax.Array) -> jax.Array:
    """Returns a one-hot draw from a categorical, [..., A]; the most likely action if noise is 0."""
    return jax.nn.one_hot((masked_logits(logits, mask) + noise).argmax(-1), logits.shape[-1])


def relaxed_choice(
    config: Config, logits: jax.Array, mask: Any, noise: jax.Array, hp: Hparams
) -> jax.Array:
    """Returns a draw that gradients pass through, as `config.gumbel` has it, [..., A]."""
    straight_through = config.gumbel != "relaxed"
    return perturbed_one_hot(logits, noise, hp.gumbel_temperature, mask, straight_through)


# ---- deterministic


def deterministic_greedy(space: Space, output: jax.Array, mask: Any) -> jax.Array:
    """Returns the squashed output of a Box, and the most likely of discrete actions."""
    pieces = []
    for leaf in leaves(space, mask):
        own = output[..., leaf.at]
        discrete = isinstance(leaf.space, Discrete)
        pieces.append(hard_choice(own, leaf.mask, jnp.zeros(())) if discrete else jnp.tanh(own))
    return jnp.concatenate(pieces, -1)


def deterministic_draw(
    config: Config, space: Space, output: jax.Array, mask: Any, noise: jax.Array, hp: Hparams
) -> Draw:
    """Returns the squashed output of a Box, and relaxed draws of what is discrete."""
    pieces = []
    for leaf in leaves(space, mask):
        own = output[..., leaf.at]
        if isinstance(leaf.space, Discrete):
            pieces.append(relaxed_choice(config, own, leaf.mask, noise[..., leaf.at], hp))
        else:
            pieces.append(jnp.tanh(own))
    return Draw(jnp.concatenate(pieces, -1), jnp.zeros(output.shape[:-1]))


def smoothed_draw(
    config: Config, space: Space, output: jax.Array, mask: Any, noise: jax.Array, hp: Hparams
) -> Draw:
    """Returns `deterministic_draw` with a target's noise on a Box, if the hparams have one."""
    draw = deterministic_draw(config, space, output, mask, noise, hp)
    if hp.target_noise is None:
        return draw
    pieces = []
    for leaf in leaves(space):
        own = draw.vector[..., leaf.at]
        if not isinstance(leaf.space, Discrete):
            own = smoothed(own, noise[..., leaf.at], hp.target_noise, hp.target_clip)
        pieces.append(own)
    return draw._replace(vector=jnp.concatenate(pieces, -1))


def noisy(
    correlated: bool,
    space: Space,
    output: jax.Array,
    mask: Any,
    noise: jax.Array,
    state: Any,
    exploration: dict[str, jax.Array],
) -> tuple[jax.Array, Any]:
    """Returns (what is played, the noise's state): a Box with noise, a draw of what is discrete."""
    if correlated:
        state = ornstein_uhlenbeck(state, noise, exploration["rate"], exploration["scale"])
    disturbance = state if correlated else exploration["scale"] * noise
    pieces = []
    for leaf in leaves(space, mask):
        own = output[..., leaf.at]
        if isinstance(leaf.space, Discrete):
            pieces.append(hard_choice(own, leaf.mask, noise[..., leaf.at]))
        else:
            pieces.append(jnp.clip(jnp.tanh(own) + disturbance[..., leaf.at], -1.0, 1.0))
    return jnp.concatenate(pieces, -1), state


def deterministic(config: Config) -> PolicyKind:
    """Returns DDPG's kind of policy, and TD3's where the hparams smooth targets.

    Lillicrap et al., 2016, arXiv:1509.02971; Fujimoto et al., 2018, arXiv:1802.09477.
    """
    correlated = config.exploration == "ornstein_uhlenbeck"
    return PolicyKind(
        flat_size,
        deterministic_greedy,
        partial(noisy, correlated),
        lambda space: jnp.zeros(flat_size(space)) if correlated else (),
        partial(deterministic_draw, config),
        partial(smoothed_draw, config),
        lambda q: q[0],
        is_soft=False,
        has_targets=True,
    )


# ---- soft


def soft_output_size(space: Space) -> int:
    """Returns K: logits and means, and a deviation to each mean."""
    scales = [leaf for leaf in leaves(space) if not isinstance(leaf.space, Discrete)]
    return flat_size(space) + sum(leaf.at.stop - leaf.at.start for leaf in scales)


def soft_greedy(space: Space, output: jax.Array, mask: Any) -> jax.Array:
    """Returns the squashed mean of a Box, and the most likely of discrete actions."""
    return deterministic_greedy(space, output[..., : flat_size(space)], mask)


def soft_draw(
    config: Config, space: Space, output: jax.Array, mask: Any, noise: jax.Array, hp: Hparams
) -> Draw:
    """Returns a draw: of a squashed normal, and relaxed ones of what is discrete.

    The log-probability of what is discrete is minus its entropy, the mean over all draws: no
    noise, and a gradient that needs no relaxation.
    """
    pieces, log_prob, scale_at = [], jnp.zeros(output.shape[:-1]), flat_size(space)
    for leaf in leaves(space, mask):
        own, own_noise = output[..., leaf.at], noise[..., leaf.at]
        if isinstance(leaf.space, Discrete):
            pieces.append(relaxed_choice(config, own, leaf.mask, own_noise, hp))
            log_prob -= entropy(jax.nn.softmax(masked_logits(own, leaf.mask)))
        else:
            log_std = output[..., scale_at : scale_at + own.shape[-1]]
            scale_at += own.shape[-1]
            drawn, density = squashed_draw(own, jnp.clip(log_std, *LOG_STD_RANGE), own_noise)
            pieces.append(drawn)
            log_prob += density
    return Draw(jnp.concatenate(pieces, -1), log_prob)


def soft(config: Config) -> PolicyKind:
    """Returns the kind of policy that SAC has. Haarnoja et al., 2018, arXiv:1812.05905."""
    draw = partial(soft_draw, config)

    def explore(space, output, mask, noise, state, exploration):
        # a temperature of 1: which entry is largest does not depend on it
        return draw(space, output, mask, noise, Hparams()).vector, state

    return PolicyKind(
        soft_output_size,
        soft_greedy,
        explore,
        lambda space: (),
        draw,
        draw,
        lambda q: q.min(0),
        is_soft=True,
        has_targets=False,
    )


def wanted_entropy(space: Space, mask: Any, batch: tuple[int, ...], hp: Hparams) -> jax.Array:
    """Returns the entropy that a soft policy is to have, in nats, [*batch].

    `box_entropy` for each dimension of a Box, in half ranges; `discrete_entropy` times the
    uniform policy's, over what is legal.
    """
    total = jnp.zeros(batch)
    for leaf in leaves(space, mask):
        if isinstance(leaf.space, Discrete):
            legal = leaf.space.num_values if leaf.mask is None else leaf.mask.sum(-1)
            total += hp.discrete_entropy * jnp.log(jnp.maximum(legal, 1))
        else:
            total += hp.box_entropy * (leaf.at.stop - leaf.at.start)
    return total
