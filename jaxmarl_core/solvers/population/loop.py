"""Policy-space response oracles: populations grow by answers to how they are mixed.

Each iteration mixes both populations by a meta-solver, and adds to each what an oracle finds
against the other's mixture. With exact best responses and the equilibrium of the meta-game that is
the double oracle, which ends at an equilibrium; with learners for oracles, PSRO.

McMahan, Gordon & Blum, 2003, ICML (double oracle); Lanctot et al., 2017, arXiv:1711.00832 (PSRO);
Balduzzi et al., 2019, arXiv:1901.08106 (the rectified Nash response).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.solvers.population.exact_games import ExactGame, Mixture
from jaxmarl_core.solvers.population.meta_solvers import META_SOLVERS, meta_strategies

RECTIFIED = "rectified_nash"
Payoff = Callable[[Any, Any], tuple[float, float]]
Oracle = Callable[[int, Any, Mixture], Any]
SUPPORT = 1e-4  # what a strategy has at least that counts as being in the mixture


class Population(NamedTuple):
    """Two populations, and how they are mixed; of a symmetric game both are the same."""

    mixtures: tuple[Mixture, Mixture]  # of the meta-game as it is in the end
    payoffs: np.ndarray  # [2, n, m] f64, to both, of each pair
    weights: list[tuple[np.ndarray, np.ndarray]]  # before each iteration, and in the end
    nash_conv: np.ndarray  # [as many] f64, of the mixtures in the whole game; NaN where not known
    converged: bool  # nothing is left to be gained, or nobody new was found


def psro(
    payoff: Payoff,
    oracle: Oracle,
    first: tuple[Any, Any],
    *,
    num_iterations: int,
    meta_solver: str = "nash",
    symmetric: bool = False,
    nash_conv: Callable[[tuple[Mixture, Mixture]], float] | None = None,
    tolerance: float = 0.0,
    same: Callable[[Any, Any], bool] = lambda a, b: False,
    capacity: int = 0,
) -> Population:
    """Returns the populations after some iterations of PSRO.

    Args:
      payoff: what two strategies, one of each player, earn: (to player 0, to player 1).
      oracle: (player, a strategy of its own to begin with, the other's `Mixture`) -> a strategy.
      first: a strategy of each player. Of a symmetric game the first alone is used.
      num_iterations: how often populations grow, at least 1.
      meta_solver: a key of `META_SOLVERS`, or "rectified_nash" of symmetric zero-sum games: each
        member of the equilibrium's support finds an answer to those whom it does not lose to.
      symmetric: whether roles may be exchanged, so that one population will do.
      nash_conv: what both could gain in the whole game, given both mixtures, where that can be
        computed; the loop ends where it is at most `tolerance`.
      tolerance: at least 0.
      same: whether two strategies are one and the same; the loop ends where nobody new is found.
      capacity: of a population, at most; 0: num_iterations + 1, or for the rectified response
        four times that. Payoffs are [2, capacity, capacity].

    Raises:
      ValueError: an unknown meta-solver, or options out of range.
    """
    rectified = meta_solver == RECTIFIED
    lookup({**META_SOLVERS, RECTIFIED: None}, meta_solver, "meta_solver")
    require(num_iterations >= 1, "num_iterations", "at least 1", num_iterations)
    require(not rectified or symmetric, "meta_solver", "a symmetric game for it", meta_solver)
    capacity = capacity or (num_iterations + 1) * (4 if rectified else 1)
    require(capacity >= 1, "capacity", "at least 1", capacity)
    members = [[first[0]], [first[0 if symmetric else 1]]]
    if symmetric:
        members[1] = members[0]  # one list: who joins it joins both
    payoffs = np.zeros((2, capacity, capacity))
    _play(payoff, members, payoffs, (0, 0), symmetric)
    history, gaps, converged = [], [], False
    for iteration in range(num_iterations + 1):
        weights = _mixed(payoffs, members, "nash" if rectified else meta_solver)
        mixtures = Mixture(members[0], weights[0]), Mixture(members[1], weights[1])
        history.append(weights)
        gaps.append(np.nan if nash_conv is None else float(nash_conv(mixtures)))
        converged = bool(gaps[-1] <= tolerance)
        if converged or iteration == num_iterations:
            break
        before, is_full = [len(own) for own in members], False
        found = [
            _answers(oracle, player, members, payoffs, weights, rectified)
            for player in range(1 if symmetric else 2)
        ]
        for own, new in zip(members, found):
            for strategy in new:
                if any(same(strategy, other) for other in own):
                    continue
                if len(own) < capacity:
                    own.append(strategy)
                else:
                    is_full = True
        if before == [len(own) for own in members]:
            converged = not is_full
            break
        _play(payoff, members, payoffs, (before[0], before[1]), symmetric)
    sizes = [len(own) for own in members]
    kept = payoffs[:, : sizes[0], : sizes[1]]
    return Population((mixtures[0], mixtures[1]), kept, history, np.array(gaps), converged)


def double_oracle(
    game: ExactGame, num_iterations: int = 100, tolerance: float = 1e-5
) -> Population:
    """Returns the populations of the double oracle: their mixtures are an equilibrium.

    McMahan, Gordon & Blum, 2003. Ends where nothing above `tolerance` is left to be gained, at the
    latest when all pure strategies are in.

    Args:
      game: with exact best responses, see `from_payoffs` and `from_cards`.
      num_iterations: at most.
      tolerance: of NashConv, in units of payoff; single precision computes it.
    """
    oracle = lambda player, start, mixture: game.best_response(player, mixture)[0]
    return psro(
        game.payoff, oracle, game.first, num_iterations=num_iterations,
        nash_conv=game.nash_conv, tolerance=tolerance, same=game.same,
    )  # fmt: skip


def rectified_targets(payoff: np.ndarray, weights: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Returns (who is to improve, [n] how its opponents are mixed) for all in the support.

    Balduzzi et al., 2019, algorithm 4: whom it loses to, it does not play.

    Args:
      payoff: [n, n], what the row earns against the column.
      weights: [n], of the equilibrium.
    """
    found = []
    for own in np.flatnonzero(weights > SUPPORT):
        kept = np.where(payoff[own] >= 0, weights, 0)
        found.append((int(own), kept / kept.sum() if kept.sum() > 0 else weights))
    return found


def _mixed(payoffs, members: Sequence[list], meta_solver: str) -> tuple[np.ndarray, np.ndarray]:
    present = [np.arange(payoffs.shape[1]) < len(own) for own in members]
    row, column = meta_strategies(payoffs, meta_solver, *present)
    return row[: len(members[0])], column[: len(members[1])]


def _answers(oracle: Oracle, player: int, members, payoffs, weights, rectified: bool) -> list:
    own, others = members[player], members[1 - player]
    if rectified:
        n = len(own)
        targets = rectified_targets(payoffs[0, :n, :n], weights[0])
    else:
        targets = [(len(own) - 1, weights[1 - player])]
    return [oracle(player, own[start], Mixture(list(others), w)) for start, w in targets]


def _play(payoff: Payoff, members, payoffs, before: tuple[int, int], symmetric: bool) -> None:
    """Fills in what newcomers earn; before: how many of each population have played."""
    rows, columns = members
    for i in range(len(rows)):
        for j in range(len(columns)):
            if i < before[0] and j < before[1]:
                continue
            if symmetric and j < i:
                payoffs[:, i, j] = payoffs[::-1, j, i]
                continue
            earned = payoff(rows[i], columns[j])
            # against itself both earn the same, whatever some episodes say
            payoffs[:, i, j] = np.mean(earned) if symmetric and i == j else earned
