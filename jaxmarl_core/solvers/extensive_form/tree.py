"""A game of one's own, written down as a tree, and whether what was written down is a game.

    pennies = Decision(0, "first", {
        "heads": Decision(1, "second", {"heads": End(1), "tails": End(-1)}),
        "tails": Decision(1, "second", {"heads": End(-1), "tails": End(1)}),
    })
    cfr(from_tree(pennies), 1000)

The second player does not see what the first one did: both of its decisions have one name, and are
an information set. Any game of two players, of whom one wins what the other loses and both remember
what they did and saw, can be so written. In the arrays it is a game of a single card, which nobody
needs, and of public states that are the infosets of whoever moves.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.solvers.extensive_form import assembly
from jaxmarl_core.solvers.extensive_form.assembly import Levels, Met, Place
from jaxmarl_core.solvers.extensive_form.card_game import CardGame, reach, require_shapes, uniform

ROUNDING = 1e-5  # what probabilities may miss of a sum of 1


class End(NamedTuple):
    payoff: float  # to player 0; player 1 gets -payoff


class Chance(NamedTuple):
    branches: "Sequence[tuple[float, Node]]"  # probabilities and what follows


class Decision(NamedTuple):
    player: int  # 0 or 1
    infoset: str  # decisions that the player cannot tell apart have one name
    actions: "Mapping[str, Node]"  # what follows each


Node = End | Chance | Decision


def from_tree(root: Node) -> CardGame:
    """Returns the game of a tree.

    Strategies are arrays [N, A, 1]: infosets in the order of `decisions[player].names`, actions in
    that of `actions`.

    Raises:
      ValueError: naming the infoset or the path to what is wrong: probabilities that do not add up
        to 1, a payoff that is no number, an infoset of two players, with several sets of actions,
        or whose player would have to forget what it did; or a player who never moves.
    """
    walk = _Walk()
    walk.look(root, "root")
    walk.visit(root, "root", 1.0, (Place(), Place()))
    for player, levels in enumerate(walk.levels):
        require(bool(levels), "root", f"a decision of player {player}", "none")
    return assembly.assemble(walk.levels, walk.ends, ("",), tuple(walk.actions))


class _Walk:
    """Goes through a tree twice: for the names of actions, and for what follows what."""

    def __init__(self):
        self.actions: list[str] = []
        self.levels: tuple[Levels, Levels] = ([], [])
        self.ends: list[assembly.End] = []
        self.owner: dict[str, int] = {}
        self.place: dict[str, tuple[Place, int]] = {}  # of an infoset: before it, number in level

    def look(self, node, path):
        if isinstance(node, Decision):
            require(node.player in (0, 1), f"{path}: player", "0 or 1", node.player)
            require(len(node.actions) > 0, f'infoset "{node.infoset}"', "an action", "none")
            self.actions += [name for name in node.actions if name not in self.actions]
            for name, following in node.actions.items():
                self.look(following, f"{path}, {name}")
        elif isinstance(node, Chance):
            chances = [chance for chance, _ in node.branches]
            fits = bool(chances) and min(chances) >= 0 and abs(sum(chances) - 1) <= ROUNDING
            require(fits, f"{path}: chance", "probabilities that sum to 1", chances)
            for number, (_, following) in enumerate(node.branches):
                self.look(following, f"{path}, {number}")
        else:
            require(isinstance(node, End), path, "End, Chance or Decision", type(node).__name__)
            require(math.isfinite(node.payoff), f"{path}: payoff", "a number", node.payoff)

    def visit(self, node, path, chance, places):
        if isinstance(node, Decision):
            self.decide(node, path, chance, places)
        elif isinstance(node, Chance):
            for number, (share, following) in enumerate(node.branches):
                if share > 0:
                    self.visit(following, f"{path}, {number}", chance * share, places)
        else:
            array = lambda x: np.full((1, 1), float(x))
            self.ends.append(assembly.End(array(node.payoff), array(chance), places))

    def decide(self, node, path, chance, places):
        player, place, name = node.player, places[node.player], f'infoset "{node.infoset}"'
        owner = self.owner.setdefault(node.infoset, player)
        require(owner == player, name, f"player {owner}, as elsewhere", f"{player} at {path}")
        levels, legal = self.levels[player], [action in node.actions for action in self.actions]
        if place.level == len(levels):
            levels.append([])
        new = (place, len(levels[place.level]))
        before, number = self.place.setdefault(node.infoset, new)
        same = "what its player did before to be the same (perfect recall)"
        require(before == place, name, same, f"another way to it, {path}")
        level = levels[place.level]
        if number == len(level):
            level.append(Met(node.infoset, legal, np.ones(1, bool), place.sequence))
        known = [action for action, yes in zip(self.actions, level[number].legal) if yes]
        require(
            level[number].legal == legal,
            name,
            f"the actions {known}",
            f"{[*node.actions]} at {path}",
        )
        for action, following in node.actions.items():
            there = Place(place.level + 1, number * len(self.actions) + self.actions.index(action))
            both = (there, places[1]) if player == 0 else (places[0], there)
            self.visit(following, f"{path}, {action}", chance, both)


def require_game(game: CardGame) -> None:
    """Raises ValueError, saying what is wrong, unless the arrays are those of a game; on the host.

    Chance has probabilities that sum to 1 whatever is played, every end can be reached and follows
    one sequence of each player, and every sequence of legal actions leads somewhere.
    """
    payoff, chance = np.asarray(game.payoff), np.asarray(game.chance)
    num_cards = len(game.cards)
    shape = (len(payoff), num_cards, num_cards)
    for name, table in (("payoff", payoff), ("chance", chance)):
        require(table.shape == shape, name, f"shape {shape}", table.shape)
        require(bool(np.isfinite(table).all()), name, "finite numbers", "others")
    require(bool((chance >= 0).all()), "chance", "probabilities of at least 0", float(chance.min()))
    unreached = np.flatnonzero(chance.sum((1, 2)) == 0)
    require(unreached.size == 0, "chance", "every end to be possible", f"not {unreached[:5]}")
    for player, decisions in enumerate(game.decisions):
        _require_decisions(decisions, f"decisions[{player}]", len(payoff), len(game.actions))
    for strategies in (uniform(game), _random(game)):
        first, second = (
            np.asarray(reach(each, jnp.asarray(strategy)), np.float64)[np.asarray(each.last)]
            for each, strategy in zip(game.decisions, strategies)
        )
        total = float((first[:, :, None] * second[:, None] * chance).sum())
        wanted = "probabilities that sum to 1 whatever is played"
        require(abs(total - 1) <= 10 * ROUNDING, "chance", wanted, total)


def _random(game: CardGame) -> tuple[np.ndarray, np.ndarray]:
    """Returns strategies that make errors unlikely to cancel."""
    rng, found = np.random.default_rng(0), []
    for decisions in game.decisions:
        legal = np.asarray(decisions.legal)[..., None]
        weights = rng.uniform(0.1, 1, (*legal.shape[:2], len(game.cards))) * legal
        found.append((weights / weights.sum(1, keepdims=True)).astype(game.payoff.dtype))
    return found[0], found[1]


def _require_decisions(decisions, name, num_ends, num_actions):
    legal = np.asarray(decisions.legal)
    num_decisions = len(decisions.names)
    require(legal.shape == (num_decisions, num_actions), f"{name}.legal", "[N, A]", legal.shape)
    require(bool(legal.any(1).all()), f"{name}.legal", "an action at every decision", "none")
    last, leaves = np.asarray(decisions.last), np.asarray(decisions.leaves)
    require(last.shape == (num_ends,), f"{name}.last", f"shape ({num_ends},)", last.shape)
    rows, _ = np.nonzero(leaves < num_ends)
    ends = leaves[leaves < num_ends]
    fits = np.array_equal(np.sort(ends), np.arange(num_ends)) and np.array_equal(last[ends], rows)
    require(fits, f"{name}.leaves", "every end once, after its last sequence", "others")
    leads = np.zeros(legal.size + 1, bool)
    leads[rows] = True
    levels = decisions.levels()
    for before, children, level, parents in zip(
        levels, decisions.children, levels[1:], decisions.parents[1:]
    ):
        children, parents = np.asarray(children), np.asarray(parents)
        leads[before.start * num_actions + parents] = True
        rows, _ = np.nonzero(children < len(parents))
        numbers = children[children < len(parents)]
        fits = np.array_equal(np.sort(numbers), np.arange(level.stop - level.start))
        fits = fits and np.array_equal(parents[numbers], rows)
        require(fits, f"{name}.children", "every decision once, after its parent", "others")
    blind = np.flatnonzero(leads[:-1] != legal.reshape(-1))
    wrong = [f"{decisions.names[i // num_actions]}, action {i % num_actions}" for i in blind[:3]]
    expected = "legal sequences, and no others, to lead to an end or a decision"
    require(not wrong, name, expected, "; ".join(wrong))


def require_strategies(game: CardGame, strategies: tuple[jax.Array, jax.Array]) -> None:
    """Raises ValueError unless strategies are distributions over legal actions; on the host."""
    require_shapes(game, strategies)
    for player, (decisions, strategy) in enumerate(zip(game.decisions, strategies)):
        name, strategy = f"strategies[{player}]", np.asarray(strategy)
        illegal = strategy[~np.asarray(decisions.legal)]
        require(not illegal.any(), name, "0 where an action is not legal", "more")
        sums = strategy.sum(1)
        fits = (strategy >= 0).all() and (np.abs(sums - 1) <= ROUNDING).all()
        require(bool(fits), name, "probabilities that sum to 1 over actions", sums.reshape(-1)[:5])
