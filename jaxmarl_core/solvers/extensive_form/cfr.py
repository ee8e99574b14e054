"""Counterfactual regret minimisation: regret matching at every infoset, and the average strategy.

Zinkevich, Johanson, Bowling & Piccione, 2007, NeurIPS, "Regret minimization in games with
incomplete information". CFR+ (Tammelin, 2014, arXiv:1407.5042) forgets negative regret and weighs
strategy t by t; discounted CFR (Brown & Sandholm, 2019, arXiv:1809.04040) has both as limits of
three numbers, so here all of them are one program and a sweep over them is a `vmap`.

In float32 the early iterations are those of float64. Later, rounding decides where regrets tie, and
exploitabilities of the same iteration differ by some per cent, either way.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.errors import require
from jaxmarl_core.solvers.extensive_form.best_responses import exploitability
from jaxmarl_core.solvers.extensive_form.card_game import (
    CardGame,
    Decisions,
    action_values,
    counterfactual_values,
    leaf_matrices,
    reach,
    uniform,
)


class Discounts(NamedTuple):
    """How iteration t forgets; numbers that may be traced.

    Positive regret is multiplied by t^alpha / (t^alpha + 1), negative by t^beta / (t^beta + 1), and
    strategy t weighs t^gamma in the average. Infinite alpha or beta forget nothing, minus infinite
    ones all. Brown & Sandholm, 2019, section 4.
    """

    alpha: float | jax.Array = jnp.inf
    beta: float | jax.Array = jnp.inf
    gamma: float | jax.Array = 0.0


CFR = Discounts()
CFR_PLUS = Discounts(beta=-jnp.inf, gamma=1.0)
LINEAR_CFR = Discounts(1.0, 1.0, 1.0)
DISCOUNTED_CFR = Discounts(1.5, 0.0, 2.0)  # the authors' choice

Pair = tuple[jax.Array, jax.Array]  # of player 0 and player 1


@struct.dataclass
class CFRState:
    """What an iteration carries; [N, A, C] public states, actions and cards of each player."""

    iteration: jax.Array  # [] i32
    regret: Pair  # [N, A, C]
    strategy: Pair  # [N, A, C], from the regrets
    reach: Pair  # [N A + 1, C], from the strategies
    total: Pair  # [N A + 1, C], the sum of reaches, each t weighing t^gamma / (last t)^gamma


class CFRResult(NamedTuple):
    """What `cfr` returns."""

    strategies: Pair  # [N, A, C], average strategies
    exploitability: jax.Array  # [num_iterations // evaluate_every], or [0]
    state: CFRState


@partial(jax.jit, static_argnames=("num_iterations", "alternating", "evaluate_every"))
def cfr(
    game: CardGame,
    num_iterations: int,
    discounts: Discounts = CFR_PLUS,
    *,
    alternating: bool = True,
    evaluate_every: int = 0,
    state: CFRState | None = None,
) -> CFRResult:
    """Returns average strategies after so many iterations; their exploitability goes to 0.

    Args:
      game: from `poker` or its relatives.
      num_iterations: at least 1.
      discounts: which member of the family: CFR, CFR_PLUS, LINEAR_CFR, DISCOUNTED_CFR or your own.
      alternating: player 1 answers player 0's new strategy, as is usual; else both update at once,
        as in the paper of 2007.
      evaluate_every: also return the exploitability every so many iterations, a divisor of
        num_iterations; 0: never.
      state: where to go on from; None: from the beginning.

    Raises:
      ValueError: naming the argument.
    """
    require(num_iterations >= 1, "num_iterations", "at least 1", num_iterations)
    fits = evaluate_every >= 0 and num_iterations % (evaluate_every or 1) == 0
    expected = f"a divisor of num_iterations ({num_iterations}), or 0"
    require(fits, "evaluate_every", expected, evaluate_every)
    step = make_step(game, discounts, alternating=alternating)

    def segment(state, _):
        state, _ = jax.lax.scan(
            lambda s, _: (step(s), None), state, None, evaluate_every or num_iterations
        )
        if not evaluate_every:
            return state, None
        return state, exploitability(game, average_strategies(game, state))

    state = init(game) if state is None else state
    num_segments = num_iterations // (evaluate_every or num_iterations)
    state, curve = jax.lax.scan(segment, state, None, num_segments)
    curve = jnp.zeros(0, game.payoff.dtype) if curve is None else curve
    return CFRResult(average_strategies(game, state), curve, state)


def init(game: CardGame) -> CFRState:
    """Returns the state before the first iteration: no regrets, uniform strategies."""
    strategy = uniform(game)
    reaches = _both(reach, game.decisions, strategy)
    return CFRState(
        iteration=jnp.zeros((), jnp.int32),
        regret=jax.tree.map(jnp.zeros_like, strategy),
        strategy=strategy,
        reach=reaches,
        total=jax.tree.map(jnp.zeros_like, reaches),
    )


def make_step(game: CardGame, discounts: Discounts, *, alternating: bool = True):
    """Returns `step(state) -> state`, one iteration; what is constant in it is computed here."""
    leaves = leaf_matrices(game, 0), leaf_matrices(game, 1)

    def step(state: CFRState) -> CFRState:
        t = (state.iteration + 1).astype(game.payoff.dtype)
        new = state
        for player in (0, 1):
            other = (new if alternating else state).reach[1 - player]
            values = counterfactual_values(leaves[player], other)
            new = _update(game.decisions[player], new, player, values, t, discounts)
        return dataclasses.replace(new, iteration=state.iteration + 1)

    return step


def _update(
    decisions: Decisions,
    state: CFRState,
    player: int,
    values: jax.Array,
    t: jax.Array,
    discounts: Discounts,
) -> CFRState:
    """Returns the state after one player learnt what the ends are worth to it, [S, C]."""
    strategy = state.strategy[player]
    legal = decisions.legal[..., None]
    q, w = action_values(decisions, values, lambda q, level: (strategy[level] * q).sum(1))
    regret = state.regret[player] + jnp.where(legal, q - w[:, None], 0.0)
    kept = jnp.where(regret > 0, _kept(t, discounts.alpha), _kept(t, discounts.beta))
    fading = ((t - 1) / t) ** jnp.asarray(discounts.gamma, t.dtype)
    regret = regret * kept
    strategy = regret_matching(regret, legal)
    return dataclasses.replace(
        state,
        regret=_put(state.regret, player, regret),
        strategy=_put(state.strategy, player, strategy),
        reach=_put(state.reach, player, reach(decisions, strategy)),
        total=_put(state.total, player, state.total[player] * fading + state.reach[player]),
    )


def _kept(t: jax.Array, power: float | jax.Array) -> jax.Array:
    """Returns t^power / (t^power + 1), [] of t's dtype, and its limits also at t = 1."""
    power = jnp.asarray(power, t.dtype)
    finite = jnp.where(jnp.isfinite(power), power, 0.0)
    return jnp.where(jnp.isfinite(power), 1 / (1 + t**-finite), (power > 0).astype(t.dtype))


def regret_matching(regret: jax.Array, legal: jax.Array) -> jax.Array:
    """Returns strategies [N, A, C] in proportion to positive regret, uniform where there is none.

    Hart & Mas-Colell, 2000.

    Args:
      regret: [N, A, C], 0 or less where illegal.
      legal: [N, A, 1] bool.
    """
    positive = jnp.maximum(regret, 0.0)
    return _normalised(positive, legal)


def average_strategies(game: CardGame, state: CFRState) -> Pair:
    """Returns the average strategies [N, A, C] of both; uniform where nobody ever came."""

    def of(decisions, total):
        weights = total[:-1].reshape(*decisions.legal.shape, -1)
        return _normalised(weights, decisions.legal[..., None])

    return _both(of, game.decisions, state.total)


def _both(of: Callable[..., jax.Array], *pairs: Sequence[Any]) -> Pair:
    """Returns what `of` makes of the first of each pair, and of the second."""
    first, second = (of(*each) for each in zip(*pairs))
    return first, second


def _normalised(weights: jax.Array, legal: jax.Array) -> jax.Array:
    total = weights.sum(1, keepdims=True)
    evenly = legal / legal.sum(1, keepdims=True).astype(weights.dtype)
    return jnp.where(total > 0, weights / jnp.where(total > 0, total, 1.0), evenly)


def _put(pair: Pair, player: int, value: jax.Array) -> Pair:
    return (value, pair[1]) if player == 0 else (pair[0], value)
