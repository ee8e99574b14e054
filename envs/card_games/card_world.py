"""Kuhn and Leduc poker as worlds: learners play what `solvers.extensive_form` solves."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxmarl_core.envs.card_games.public_tree import NOBODY, PublicTree, public_tree
from jaxmarl_core.errors import lookup
from jaxmarl_core.solvers.extensive_form import kuhn_poker, leduc_poker
from jaxmarl_core.solvers.extensive_form.card_game import CardGame
from jaxmarl_core.spaces import Box, Discrete
from jaxmarl_core.types import Actions, Environment, Group, Key, StateEnvironment, TimeStep

PLAYERS = ("player_0", "player_1")


@struct.dataclass
class CardState:
    """Where the game stands."""

    node: jax.Array  # [] int32, of the public tree
    cards: jax.Array  # [2] int32, each player's


@struct.dataclass
class CardWorld(StateEnvironment):
    """Two players with a card each take turns; all moves are public. Zero-sum.

    - groups: "player_0" and "player_1", one agent each, teams 0 and 1.
    - observation: "index": Discrete(C M), one's own card times M plus the public state;
      "features": [C + M] f32 in {0, 1}, both one-hot.
    - action: [1] int32 of the game's A actions. Who is not to move has one legal action, the first,
      which does nothing; so does everybody at the end.
    - reward: at the end, what the game pays.
    - termination: discount 0 at the end of the game; no time limit is needed.
    - state: both cards and the public state, one-hot, [2 C + M] f32.
    """

    game: CardGame
    tree: PublicTree  # arrays, as JAX has them
    observation: str = struct.field(pytree_node=False)
    max_steps: int = struct.field(pytree_node=False)  # of the longest game

    @property
    def num_nodes(self) -> int:
        """M."""
        return self.tree.player.shape[0]

    @property
    def num_cards(self) -> int:
        """C."""
        return len(self.game.cards)

    @property
    def groups(self) -> Mapping[str, Group]:
        size = self.num_cards, self.num_nodes
        seen = Discrete(size[0] * size[1])
        if self.observation == "features":
            seen = Box((sum(size),), 0.0, 1.0)
        action = Discrete(len(self.game.actions))
        return {name: Group(1, seen, action, team) for team, name in enumerate(PLAYERS)}

    def initial(self, key: Key) -> CardState:
        """Returns the deal."""
        deal = jax.random.categorical(key, jnp.log(self.tree.deal.reshape(-1)))
        cards = jnp.stack([deal // self.num_cards, deal % self.num_cards])
        return CardState(jnp.int32(0), cards.astype(jnp.int32))

    def advance(self, key: Key, state: CardState, actions: Actions) -> CardState:
        """Returns what the move of whoever is to move, and chance, lead to."""
        tree, joint = self.tree, jnp.stack([actions[name][0] for name in PLAYERS])
        action = joint[jnp.maximum(tree.player[state.node], 0)]
        weights = self.game.chance[tree.witness[state.node, action], *state.cards]
        weights = jnp.where(tree.possible[state.node, action], weights, 0.0)
        drawn = jax.random.categorical(key, jnp.log(weights))
        return CardState(tree.following[state.node, action, drawn], state.cards)

    def observe(self, state: CardState) -> TimeStep:
        """Returns what both see: their card and the moves."""
        tree, node = self.tree, state.node
        ended = tree.player[node] == NOBODY
        pay = jnp.where(ended, self.game.payoff[tree.end[node], *state.cards], 0.0)
        public = jax.nn.one_hot(node, self.num_nodes)
        hands = jax.nn.one_hot(state.cards, self.num_cards)
        observation, mask, reward = {}, {}, {}
        for team, name in enumerate(PLAYERS):
            index = state.cards[team] * self.num_nodes + node
            features = jnp.concatenate([hands[team], public])
            observation[name] = (features if self.observation == "features" else index)[None]
            nothing = jnp.arange(len(self.game.actions)) == 0
            mask[name] = jnp.where(tree.player[node] == team, tree.legal[node], nothing)[None]
            reward[name] = (pay if team == 0 else -pay)[None].astype(jnp.float32)

        def everyone(x: jax.Array) -> dict[str, jax.Array]:
            return dict.fromkeys(PLAYERS, x[None])

        return TimeStep(
            observation=observation,
            action_mask=mask,
            alive=everyone(jnp.bool_(True)),
            state=jnp.concatenate([hands.reshape(-1), public]),
            reward=reward,
            discount=everyone(1.0 - ended.astype(jnp.float32)),
            last=ended,
        )


def card_world(game: CardGame, observation: str = "features") -> CardWorld:
    """Returns the world of a game of `solvers.extensive_form.poker` or its relatives.

    Args:
      game: whose moves are all public.
      observation: "features" or "index".

    Raises:
      ValueError: moves are hidden, or another observation.
    """
    lookup(dict.fromkeys(("index", "features")), observation, "observation")
    tree = public_tree(game)
    integer = lambda x: jnp.asarray(x, jnp.int32 if x.dtype.kind == "i" else None)
    return CardWorld(game, jax.tree.map(integer, tree), observation, _depth(tree))


def kuhn(observation: str = "features") -> Environment:
    """Returns Kuhn poker: three cards, one bet, player 0 loses 1/18 a game."""
    return card_world(kuhn_poker(), observation)


def leduc(observation: str = "features") -> Environment:
    """Returns Leduc poker: six cards, two rounds of betting, a public card between them."""
    return card_world(leduc_poker(), observation)


def states(world: CardWorld, player: int) -> CardState:
    """Returns all states [N, C] in which a player decides: its public states, its cards.

    The other holds the first card; no player sees it.
    """
    nodes = np.asarray(world.tree.player) == player
    order = np.argsort(np.asarray(world.tree.decision)[nodes])
    own = np.flatnonzero(nodes)[order]
    node, card = np.broadcast_arrays(own[:, None], np.arange(world.num_cards))
    cards = np.zeros((*node.shape, 2), int)
    cards[..., player] = card
    return CardState(jnp.asarray(node, jnp.int32), jnp.asarray(cards, jnp.int32))


def _depth(tree: PublicTree) -> int:
    """Returns the number of moves in the longest game."""
    depth = np.zeros(len(tree.player), int)
    for node in reversed(range(len(tree.player))):  # children have higher numbers
        children = tree.following[node][tree.possible[node]]
        depth[node] = 1 + depth[children].max() if children.size else 0
    return int(depth[0])
