"""Tournaments: everybody plays everybody, on both sides of a world of two teams.

Players of one policy, whose parameters differ, are stacked; all games between two kinds of policy
are one program, vmapped over pairs and episodes. A tournament of runs of one sweep is one program.

Games depend on the key and on the numbers of the two who play alone: whoever joins at the end of
the list changes no game of the others.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.functional.statistics import wilson_interval
from jaxmarl_core.play.evaluate import evaluate
from jaxmarl_core.play.policies import Player, joint
from jaxmarl_core.play.wrappers import num_teams
from jaxmarl_core.types import Environment, Key, Params, Policy

GAMES_AT_ONCE = 1024  # episodes that are played side by side


class Tournament(NamedTuple):
    """What came of it, [side, P, P]: row's figure against column, row having that side.

    Side 0 is the world's first team, side 1 its second. Nobody plays itself: the diagonal is 0, and
    NaN in `returns`.
    """

    wins: np.ndarray  # [2, P, P] int
    draws: np.ndarray  # [2, P, P] int; episodes without a winner, those cut off among them
    losses: np.ndarray  # [2, P, P] int
    returns: np.ndarray  # [2, P, P] f64, the row's team's mean return


class WinRates(NamedTuple):
    """Points over games, a draw being half a point, with 95 % Wilson intervals."""

    rate: np.ndarray
    low: np.ndarray
    high: np.ndarray


def tournament(
    key: Key,
    env: Environment,
    players: Sequence[Player],
    num_episodes: int,
    length: int,
    greedy: bool = True,
    games_at_once: int = GAMES_AT_ONCE,
) -> Tournament:
    """Returns what came of the games of all pairs, `num_episodes` of them on either side.

    Args:
      key: randomness.
      env: a bare environment of two teams.
      players: at least two. Those whose `policy` is the same object, and whose parameters have the
        same shapes, share programs.
      num_episodes: of each pair on each side, so twice as many between two players.
      length: steps of an episode at most, see `evaluate.evaluate`.
      greedy: whether players take the mode of their policies or draw from them.
      games_at_once: at most, for memory; a pair's episodes are cut into equal blocks.

    Raises:
      ValueError: too few players, not two teams, or no episodes.
    """
    require(num_teams(env) == 2, "environment", "a world of two teams", num_teams(env))
    require(len(players) >= 2, "players", "at least two", len(players))
    require(num_episodes >= 1, "num_episodes", "at least 1", num_episodes)
    require(games_at_once >= 1, "games_at_once", "at least 1", games_at_once)
    block = max(n for n in range(1, min(num_episodes, games_at_once) + 1) if num_episodes % n == 0)
    kinds = kinds_of(players)
    stacked = [
        jax.tree.map(lambda *x: jnp.stack(x), *(players[i].params for i in kind)) for kind in kinds
    ]
    won, lost = (np.zeros((len(players),) * 2, np.int64) for _ in range(2))
    paid = np.full((2, len(players), len(players)), np.nan)
    for mine, params in zip(kinds, stacked):
        for theirs, other_params in zip(kinds, stacked):
            pairs = [(a, b, r) for a in range(len(mine)) for b in range(len(theirs))
                     for r in range(num_episodes // block) if mine[a] != theirs[b]]  # fmt: skip
            if not pairs:
                continue
            a, b, r = np.array(pairs, np.int32).T
            first, second = np.array(mine)[a], np.array(theirs)[b]
            play = games(
                env, players[mine[0]].policy, players[theirs[0]].policy,
                block, length, greedy, max(1, games_at_once // block),
            )  # fmt: skip
            keys = jax.vmap(partial(_key, key))(*map(jnp.asarray, (first, second, r)))
            wins, losses, returns = map(np.asarray, play(keys, params, other_params, a, b))
            np.add.at(won, (first, second), wins)
            np.add.at(lost, (first, second), losses)
            paid[:, first, second] = np.nan_to_num(paid[:, first, second])
            np.add.at(paid.transpose(1, 2, 0), (first, second), returns / (num_episodes // block))
    draws = num_episodes * (1 - np.eye(len(players), dtype=np.int64)) - won - lost
    both = lambda first, second: np.stack([first, second.T])
    return Tournament(both(won, lost), both(draws, draws), both(lost, won), both(paid[0], paid[1]))


def games(
    env: Environment, first: Policy, second: Policy, num_episodes: int, length: int, greedy: bool,
    pairs_at_once: int,
) -> Callable:  # fmt: skip
    """Returns the program that plays pairs of players of two policies, `num_episodes` a pair.

    It maps (keys [K], the first's params [P, ...], the second's [Q, ...], who of these [K], who of
    those [K]) to how many episodes the first won [K] and lost [K], and the mean returns of both
    [K, 2].
    """

    def one(params, other_params, chosen):
        key, a, b = chosen
        sides = (
            Player(first, jax.tree.map(lambda x: x[a], params)),
            Player(second, jax.tree.map(lambda x: x[b], other_params)),
        )
        both = joint(env, {name: sides[group.team] for name, group in env.groups.items()})
        episode = evaluate(key, env, both, num_episodes, length, greedy)
        wins, losses = ((episode.winner == team).sum() for team in (0, 1))
        return wins, losses, episode.returns.mean(0)

    @jax.jit
    def play(keys, params, other_params, a, b):
        pair = partial(one, params, other_params)
        return jax.lax.map(pair, (keys, a, b), batch_size=pairs_at_once)

    return play


def kinds_of(players: Sequence[Player]) -> list[list[int]]:
    """Returns the numbers of the players, those together whose games are one program."""
    found: list[tuple[Player, list[int]]] = []
    for number, player in enumerate(players):
        for other, numbers in found:
            if player.policy is other.policy and _shapes(player) == _shapes(other):
                numbers.append(number)
                break
        else:
            found.append((player, [number]))
    return [numbers for _, numbers in found]


def _shapes(player: Player) -> Params:
    return jax.tree.map(lambda x: (jnp.shape(x), jnp.result_type(x)), player.params)


def _key(key: Key, first: jax.Array, second: jax.Array, block: jax.Array) -> Key:
    for number in (first, second, block):
        key = jax.random.fold_in(key, number)
    return key


def pair_win_rates(found: Tournament) -> WinRates:
    """Returns win rates [P, P] of row against column, over both sides; NaN on the diagonal."""
    return _rates(found.wins.sum(0), found.draws.sum(0), found.losses.sum(0))


def player_win_rates(found: Tournament) -> WinRates:
    """Returns win rates [P] against all others."""
    return _rates(*(x.sum((0, 2)) for x in found[:3]))


def side_win_rates(found: Tournament) -> WinRates:
    """Returns win rates [2, P] against all others on each side."""
    return _rates(*(x.sum(2) for x in found[:3]))


def _rates(wins: np.ndarray, draws: np.ndarray, losses: np.ndarray) -> WinRates:
    points, num = wins + draws / 2, wins + draws + losses
    low, high = wilson_interval(points, num)
    return WinRates(np.where(num > 0, points / np.maximum(num, 1), np.nan), low, high)
