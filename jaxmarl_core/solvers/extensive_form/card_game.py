"""A two-player zero-sum game of private cards and public moves, as dense arrays.

Both players see every move; only their own card is hidden. So a state is a public state and a pair
of cards, and what a player does at a public state is an array over its cards. A player's own
decisions form a tree (a sequence is a decision and the action taken there) that is walked level by
level, all cards and all decisions of a level at once; an iteration of a solver is a few array
operations, whatever the number of histories. This is the vector form of Johanson et al., 2011,
IJCAI, "Accelerating best response calculation in large extensive games", on the sequences of
Koller, Megiddo & von Stengel, 1996.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.errors import require
from jaxmarl_core.functional.shapes import require_shape


@struct.dataclass
class Decisions:
    """The decisions of one player: N public states, A actions, ordered by level.

    Decisions of level l have l decisions of the same player before them. The sequence of decision
    n and action a has the number n A + a; the empty one, before any decision, N A.
    """

    legal: jax.Array  # [N, A] bool
    possible: jax.Array  # [N, C] bool: can the player hold this card here?
    parents: tuple[jax.Array, ...]  # per level, [n]: the sequence before, within the level before
    children: tuple[jax.Array, ...]  # per level, [n A, J]: decisions within the next level; padded
    leaves: jax.Array  # [N A + 1, K] the ends of the game after a sequence, padded with Z
    last: jax.Array  # [Z] the last sequence before each end of the game
    names: tuple[str, ...] = struct.field(pytree_node=False)  # N public states, in words

    @property
    def num_infosets(self) -> int:
        """Pairs of a public state and a card that can be held there; not inside `jit`."""
        return int(np.sum(self.possible))

    def levels(self) -> list[slice]:
        """Returns where each level's decisions stand among all."""
        ends = np.cumsum([len(parent) for parent in self.parents])
        return [slice(end - len(parent), end) for end, parent in zip(ends, self.parents)]


@struct.dataclass
class CardGame:
    """The game: two players' decisions, and what its Z public ends pay for C cards each.

    `payoff` and `chance` are numbers like any other: `jax.vmap` over `payoff` solves many games of
    one tree at once, `cfr(game.replace(payoff=payoff), ...)`.
    """

    payoff: jax.Array  # [Z, C, C] to player 0, by its card and the other's; the other gets -payoff
    chance: jax.Array  # [Z, C, C] the probability that chance deals these and what led here
    decisions: tuple[Decisions, Decisions]
    cards: tuple[str, ...] = struct.field(pytree_node=False)  # C names
    actions: tuple[str, ...] = struct.field(pytree_node=False)  # A names

    @property
    def num_infosets(self) -> int:
        """Of both players; not inside `jit`."""
        return sum(each.num_infosets for each in self.decisions)


def require_shapes(game: CardGame, strategies: tuple[jax.Array, jax.Array]) -> None:
    """Raises ValueError unless there are two strategies [N, A, C]; free in a traced program."""
    require(len(strategies) == 2, "strategies", "one for each of two players", len(strategies))
    for player, (decisions, strategy) in enumerate(zip(game.decisions, strategies)):
        shape = (*decisions.legal.shape, len(game.cards))
        require_shape(f"strategies[{player}]", strategy, shape)


def uniform(game: CardGame) -> tuple[jax.Array, jax.Array]:
    """Returns the strategies that choose among all legal actions alike, each [N, A, C]."""

    def of(decisions):
        legal = decisions.legal.astype(game.payoff.dtype)
        share = legal / legal.sum(1, keepdims=True)
        return jnp.repeat(share[..., None], len(game.cards), axis=-1)

    return of(game.decisions[0]), of(game.decisions[1])


def leaf_matrices(game: CardGame, player: int) -> tuple[jax.Array, jax.Array]:
    """Returns what `counterfactual_values` needs of the game's ends, seen by a player.

    Returns:
      [S, C, K C'] f32, payoff times chance at the K ends after each of S = N A + 1 sequences, own
      card C, the other's C'; and [S, K] i32, the other's last sequence before each of them.
    """
    own, other = game.decisions[player], game.decisions[1 - player]
    weighted = game.payoff * game.chance
    if player == 1:
        weighted = -weighted.swapaxes(1, 2)
    num_cards = weighted.shape[-1]
    weighted = jnp.concatenate([weighted, jnp.zeros_like(weighted[:1])])
    matrices = weighted[own.leaves].swapaxes(1, 2)  # [S, C, K, C']
    last = jnp.append(other.last, 0)  # the padding's payoff is 0, its sequence does not matter
    return matrices.reshape(len(own.leaves), num_cards, -1), last[own.leaves]


def counterfactual_values(leaves: tuple[jax.Array, jax.Array], reach: jax.Array) -> jax.Array:
    """Returns what the ends directly after each sequence are worth, [S, C].

        v(s, c) = sum over ends z after s, the other's cards c' of
                  chance(z, c, c') payoff(z, c, c') reach(the other's sequence before z, c')

    Args:
      leaves: from `leaf_matrices`.
      reach: [S', C'] the other's probability of playing each sequence, by `reach`.
    """
    matrices, sequences = leaves
    arriving = reach[sequences].reshape(len(sequences), -1)  # [S, K C']
    # no tensor core's rounding: regrets are small differences of these
    return jnp.einsum("scj,sj->sc", matrices, arriving, precision=jax.lax.Precision.HIGHEST)


def reach(decisions: Decisions, strategy: jax.Array) -> jax.Array:
    """Returns the player's probability of playing each sequence, [N A + 1, C]; the empty one last.

    Args:
      decisions: of the player.
      strategy: [N, A, C], a distribution over A for each public state and card.
    """
    num_cards = strategy.shape[-1]
    before, reached = jnp.ones((1, num_cards), strategy.dtype), []
    for level, parent in zip(decisions.levels(), decisions.parents):
        before = (before[parent][:, None] * strategy[level]).reshape(-1, num_cards)
        reached.append(before)
    return jnp.concatenate([*reached, jnp.ones((1, num_cards), strategy.dtype)])


def action_values(decisions: Decisions, values: jax.Array, choose) -> tuple[jax.Array, jax.Array]:
    """Returns what every action at every decision is worth from there on, and every decision.

        q(n, a) = v(n a) + sum over decisions m next after n a of w(m),   w(m) = choose(q(m, .))

    Args:
      decisions: of the player.
      values: [N A + 1, C] of the ends directly after each sequence.
      choose: (q [n, A, C], level) -> [n, C], the worth of a level's decisions from their actions'.

    Returns:
      [N, A, C] and [N, C]; counterfactual, that is, weighted by chance's and the other's part in
      reaching the decision.
    """
    num_actions, num_cards = decisions.legal.shape[1], values.shape[-1]
    shaped = values[:-1].reshape(-1, num_actions, num_cards)
    all_q, all_w, w = [], [], None
    for level, children in reversed(list(zip(decisions.levels(), decisions.children))):
        q = shaped[level]
        if w is not None:
            following = jnp.concatenate([w, jnp.zeros_like(w[:1])])[children].sum(1)
            q = q + following.reshape(q.shape)
        w = choose(q, level)
        all_q.append(q)
        all_w.append(w)
    return jnp.concatenate(all_q[::-1]), jnp.concatenate(all_w[::-1])
