"""From lists of what was met while a game was walked through, to the arrays of a `CardGame`."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmarl_core.solvers.extensive_form.card_game import CardGame, Decisions


class Place(NamedTuple):
    """Where a player stands in the tree of its own decisions.

    Sequences within a level count decision by decision, as many each as there are actions.
    """

    level: int = 0  # of its next decision
    sequence: int = 0  # the last one, within the level before


class Met(NamedTuple):
    """A decision of one player, as it stands in its level."""

    name: str
    legal: Sequence[bool]  # [A]
    possible: np.ndarray  # [C] bool, which cards may be held
    before: int  # the sequence that led to it, within the level before


class End(NamedTuple):
    """A public end of the game."""

    payoff: np.ndarray  # [C, C], to player 0
    chance: np.ndarray  # [C, C]
    places: tuple[Place, Place]  # of both players


Levels = list[list[Met]]  # of one player, level by level


def assemble(
    levels: tuple[Levels, Levels],
    ends: list[End],
    cards: tuple[str, ...],
    actions: tuple[str, ...],
) -> CardGame:
    """Returns the game of these decisions and ends."""
    first, second = (
        _decisions(met, [end.places[player] for end in ends], len(actions))
        for player, met in enumerate(levels)
    )
    return CardGame(
        payoff=jnp.asarray(np.stack([end.payoff for end in ends])),
        chance=jnp.asarray(np.stack([end.chance for end in ends])),
        decisions=(first, second),
        cards=cards,
        actions=actions,
    )


def _decisions(levels: Levels, ends: list[Place], num_actions: int) -> Decisions:
    """Returns one player's decisions as arrays; ends tell of its place in them."""
    sizes = [len(level) for level in levels]
    first = [sum(sizes[:i]) * num_actions for i in range(len(levels))]
    num_sequences = sum(sizes) * num_actions
    children = []
    for size, after in zip(sizes, [*levels[1:], []]):
        following = [[] for _ in range(size * num_actions)]
        for number, met in enumerate(after):
            following[met.before].append(number)
        children.append(_padded(following, len(after)))
    last = [
        first[place.level - 1] + place.sequence if place.level else num_sequences for place in ends
    ]
    leaves = [[] for _ in range(num_sequences + 1)]
    for number, sequence in enumerate(last):
        leaves[sequence].append(number)
    everyone = list(itertools.chain.from_iterable(levels))
    return Decisions(
        legal=jnp.asarray([met.legal for met in everyone]),
        possible=jnp.asarray(np.stack([met.possible for met in everyone])),
        parents=tuple(jnp.asarray([met.before for met in level]) for level in levels),
        children=tuple(children),
        leaves=_padded(leaves, len(ends)),
        last=jnp.asarray(last),
        names=tuple(met.name for met in everyone),
    )


def _padded(lists, filler):
    """Returns lists of numbers as an array [len(lists), longest], filled up."""
    longest = max(1, *map(len, lists))
    return jnp.asarray([[*each, *[filler] * (longest - len(each))] for each in lists], jnp.int32)
