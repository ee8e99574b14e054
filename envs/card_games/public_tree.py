"""The public tree of a card game: who moves where, and what follows, as tables.

`CardGame` holds what a solver needs, sequences of each player; a world needs what follows a move. A
public state is told by the ends of the game that can still come of it: a player's decision by those
after it, a move by those after the move, and what is neither a decision nor an end is chance's.
"""

from typing import NamedTuple

import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.solvers.extensive_form.card_game import CardGame, Decisions

Ends = frozenset[int]
NOBODY = -1


class PublicTree(NamedTuple):
    """M nodes, node 0 the first; A actions. Chance shows at most J things after a move."""

    player: np.ndarray  # [M] int, who moves; NOBODY at an end
    decision: np.ndarray  # [M] int, the number among that player's decisions; 0 at an end
    end: np.ndarray  # [M] int, which end it is; 0 where none
    legal: np.ndarray  # [M, A] bool
    following: np.ndarray  # [M, A, J] int, the nodes that chance chooses from; the first repeated
    witness: np.ndarray  # [M, A, J] int, an end after each, whose chance is that of the node
    possible: np.ndarray  # [M, A, J] bool
    deal: np.ndarray  # [C, C] f32, the probability of both players' cards


def public_tree(game: CardGame) -> PublicTree:
    """Returns the tree of a game in which all moves are public.

    Raises:
      ValueError: moves are hidden, as in a tree whose infosets join several histories; or chance
        shows something twice after a move.
    """
    paths = [paths_of(decisions) for decisions in game.decisions]
    decisions, moves = _sets(game, paths)
    nodes: list[Ends] = [frozenset(range(len(game.payoff)))]
    require(nodes[0] in decisions, "game", "a move before all else but the deal", "others")
    number = {nodes[0]: 0}
    rows: list[dict[int, list[int]]] = []
    for ends in nodes:  # grows as it goes
        following: dict[int, list[int]] = {}
        if ends in decisions:
            for action in range(len(game.actions)):
                after = moves.get((*decisions[ends], action))
                if after is None:
                    continue
                following[action] = []
                for child in _after_chance(after, decisions):
                    if child not in number:
                        number[child] = len(nodes)
                        nodes.append(child)
                    following[action].append(number[child])
        rows.append(following)
    return _tables(game, nodes, rows, decisions, paths)


def paths_of(decisions: Decisions) -> list[list[tuple[int, int]]]:
    """Returns the (decision, action) pairs of a player before each end, the first one first."""
    num_actions = decisions.legal.shape[1]
    empty = len(decisions.names) * num_actions
    parent = np.full(len(decisions.names), empty)
    levels = decisions.levels()
    for before, level, parents in zip(levels, levels[1:], decisions.parents[1:]):
        parent[level] = before.start * num_actions + np.asarray(parents)
    found = []
    for last in np.asarray(decisions.last).tolist():
        path = []
        while last != empty:
            path.append(divmod(last, num_actions))
            last = int(parent[last // num_actions])
        found.append(path[::-1])
    return found


def _sets(game, paths):
    """Returns ends -> (player, decision), and (player, decision, action) -> ends."""
    after: dict[tuple[int, int], set[int]] = {}
    moves: dict[tuple[int, int, int], set[int]] = {}
    for player, own in enumerate(paths):
        for end, path in enumerate(own):
            for decision, action in path:
                after.setdefault((player, decision), set()).add(end)
                moves.setdefault((player, decision, action), set()).add(end)
    decisions = {frozenset(ends): who for who, ends in after.items()}
    one = len(decisions) == len(after)
    require(one, "game", "decisions between at least two actions, all public", "others")
    return decisions, {who: frozenset(ends) for who, ends in moves.items()}


def _after_chance(ends: Ends, decisions) -> list[Ends]:
    """Returns what chance chooses from: the largest public states within; itself if it is one."""
    if ends in decisions or len(ends) == 1:
        return [ends]
    left, found = set(ends), []
    for inside in sorted((d for d in decisions if d < ends), key=len, reverse=True):
        if inside <= left:
            found.append(inside)
            left -= inside
    overlap = any(d & ends and not (d <= ends or d >= ends) for d in decisions)
    require(not overlap, "game", "public moves", "infosets that join several histories")
    return found + [frozenset([end]) for end in sorted(left)]


def _tables(game, nodes, rows, decisions, paths) -> PublicTree:
    num, actions = len(nodes), len(game.actions)
    width = max(len(children) for row in rows for children in row.values())
    player, decision, end = (np.zeros(num, int) for _ in range(3))
    following, witness = (np.zeros((num, actions, width), int) for _ in range(2))
    possible = np.zeros((num, actions, width), bool)
    chance = np.asarray(game.chance)
    for node, (ends, row) in enumerate(zip(nodes, rows)):
        player[node], decision[node] = decisions.get(ends, (NOBODY, 0))
        if not row:
            require(len(ends) == 1, "game", "public moves", f"{len(ends)} ends at once")
            (end[node],) = ends
        for action, children in row.items():
            following[node, action] = children[0]
            for place, child in enumerate(children):
                below = sorted(nodes[child])
                same = len(children) == 1 or bool((chance[below] == chance[below[0]]).all())
                require(same, "game", "chance to move once between the deal and the end", "more")
                following[node, action, place] = child
                witness[node, action, place] = below[0]
                possible[node, action, place] = True
    legal = np.asarray(possible.any(-1))
    # the ends of one way to play, between which chance alone decides
    first = {
        who: int(np.flatnonzero(np.asarray(each.legal[who[1]]))[0])
        for p, each in enumerate(game.decisions)
        for who in ((p, n) for n in range(len(each.names)))
    }
    played = [
        z
        for z in range(len(chance))
        if all(first[p, n] == a for p in (0, 1) for n, a in paths[p][z])
    ]
    return PublicTree(
        player, decision, end, legal, following, witness, possible, chance[played].sum(0)
    )
