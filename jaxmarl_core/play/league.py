"""A league: main agents, main exploiters and league exploiters, of any algorithm, in one program.

    algorithm = league_play(ippo, battle(), ["blue"], League(main_agents=1, size=16))

All learners are one algorithm with parameters of their own, vmapped; an update is one of each.
Copies of what they were are past players. Whom a learner meets is decided when an episode begins,
by its role and by what came of earlier games: see `matchmaking`. Here who begins anew begins as a
run does, where AlphaStar's go back to what imitation had taught them.

Vinyals et al., 2019, Nature 575.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.errors import require
from jaxmarl_core.play.matchmaking import (
    LEAGUE_EXPLOITER,
    MAIN,
    MAIN_EXPLOITER,
    League,
    Standing,
    is_ready,
    match_weights,
)
from jaxmarl_core.play.opponents import with_pool
from jaxmarl_core.play.pool import EMPTY, Pool
from jaxmarl_core.play.self_play import (
    Build,
    drafted,
    replace_params,
    without_results,
)
from jaxmarl_core.types import Algorithm, Environment, Hparams, Key, Metrics, Params, Policy


@struct.dataclass
class Past:
    """K places for past players, and what all learners know of whom they have met."""

    params: Params  # leaves [K, ...]
    entries: jax.Array  # [K] int32, how many were added before; EMPTY: nobody is there
    owner: jax.Array  # [K] int32, the number of the learner that it is a copy of
    score: jax.Array  # [L, K + L] f32, games won and half of those drawn, older ones counting less
    games: jax.Array  # [L, K + L] f32, against past players and learners as they are
    num_added: jax.Array  # [] int32
    looks: jax.Array  # [L] int32, since the last copy
    lives: jax.Array  # [L] int32, how often a learner has begun anew


@struct.dataclass
class State:
    params: Params  # of the first main agent
    others: Params  # leaves [L - 1, ...], of the other learners
    learners: Any  # leaves [L, ...], their states without `params`
    past: Past


class Parts(NamedTuple):
    """What a league is made of."""

    build: Build
    env: Environment
    opponents: tuple[str, ...]
    options: League
    draft: Algorithm  # built in a world of the same shape
    copies: Policy  # of the opponents' groups, by a learner's parameters


def league_play(
    build: Build, env: Environment, opponents: Sequence[str], options: League = League()
) -> Algorithm:
    """Returns the algorithm whose learners are a league; it has learnt what its main agent has.

    An update is one of every learner, and costs as much as all of them; metrics are the first main
    agent's, but for `env_steps`, which all have played. Beside them there are `league_size`, how
    many past players there are; `league_win_rate`, the main agent's mean against them, and
    `league_worst_win_rate`, the least; and, where there are any, `league_exploiter_win_rate`, the
    main exploiters' mean against the main agent as it is.

    Args:
      build: returns the algorithm for an environment, such as `ippo`; it is called more than once,
        and with tracers among the environment's leaves.
      env: the bare environment.
      opponents: groups that copies play, as of `self_play`.
      options: who learns, and when copies are kept.

    Raises:
      ValueError: a group is unknown or unlike the learner's, the algorithm cannot learn in such a
        world; or, when an update is traced, it tells no results of episodes.
    """
    opponents = tuple(opponents)
    draft, of_opponents, everybody = drafted(build, env, opponents)
    parts = Parts(build, env, opponents, options, draft, of_opponents)
    steps = draft.env_steps * len(options.roles)
    return Algorithm(partial(init, parts), partial(update, parts), everybody, draft.hparams, steps)


def init(parts: Parts, key: Key, hparams: Hparams) -> State:
    """Returns the state before the first update: past players are the main agents' beginnings."""
    options = parts.options
    num, size = len(options.roles), options.size
    keys = jax.random.split(key, num)
    params = jax.vmap(lambda key: parts.draft.init(key, hparams).params)(keys)
    nobody = jnp.zeros((num, size + num), jnp.float32)
    zeros = jnp.zeros(num, jnp.int32)
    places = jax.tree.map(lambda x: jnp.broadcast_to(x[:1], (size, *x.shape[1:])), params)
    empty = jnp.full(size, EMPTY, jnp.int32)
    past = Past(
        places, empty, jnp.zeros(size, jnp.int32), nobody, nobody, jnp.int32(0), zeros, zeros
    )
    for main in range(options.main_agents):
        past = with_copy(past, main, _of(params, main))
    weights = match_weights(options, standing_of(past))
    learners = jax.vmap(partial(_begun, parts, hparams, params, past))(keys, weights)
    return _state(learners.params, replace_params(learners, ()), past)


def update(
    parts: Parts, key: Key, state: State, hparams: Hparams, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after an update of every learner, games counted, and copies when due."""
    options, num = parts.options, len(parts.options.roles)
    key_learn, key_reset = jax.random.split(key)
    params = jax.tree.map(lambda x, y: jnp.concatenate([x[None], y]), state.params, state.others)
    weights = match_weights(options, standing_of(state.past))

    def learn(key, own, learner, weights):
        algorithm = parts.build(_world(parts, params, state.past, weights))
        learner = replace_params(learner, own)
        learner, metrics = algorithm.update(key, learner, hparams, update_index)
        metrics, results = without_results(metrics, options.size + num)
        told = "an algorithm that tells results of episodes"
        require(results is not None, "league", told, sorted(metrics))
        assert results is not None
        return learner, metrics, results

    keys = jax.random.split(key_learn, num)
    learned = jax.vmap(learn)(keys, params, state.learners, weights)
    learners, metrics, (score, games) = learned
    past = recorded(state.past, score, games, options.decay)
    told = {name: x[0] for name, x in metrics.items()}
    if "env_steps" in metrics:
        told["env_steps"] = metrics["env_steps"].sum()
    told |= league_metrics(options, past)
    # the number is the same for all runs of a sweep, so that this stays a branch under vmap
    due = (update_index + 1) % options.every == 0
    look = partial(_look, parts, key_reset, hparams)
    learners, past = jax.lax.cond(due, look, lambda *both: both, learners, past)
    return _state(learners.params, replace_params(learners, ()), past), told


def _look(parts: Parts, key: Key, hparams: Hparams, learners: Any, past: Past):
    """Lets those who are ready leave a copy, and the exploiters among them begin anew."""
    options, num = parts.options, len(parts.options.roles)
    key_draw, key_begin = jax.random.split(key)
    looks = past.looks + 1
    ready = is_ready(options, standing_of(past), looks)
    past = dataclasses.replace(past, looks=jnp.where(ready, 0, looks))
    for number in range(num):
        added = with_copy(past, number, _of(learners.params, number))
        past = jax.tree.map(lambda x, y, r=ready[number]: jnp.where(r, y, x), past, added)
    drawn = jax.random.bernoulli(key_draw, options.reset, (num,))
    anew = ready & (
        (options.roles == MAIN_EXPLOITER) | ((options.roles == LEAGUE_EXPLOITER) & drawn)
    )
    if (options.roles == MAIN).all():
        return learners, past
    past = forgotten(past, anew)
    weights = match_weights(options, standing_of(past))
    begin = partial(_begun, parts, hparams, learners.params, past)
    fresh = jax.vmap(begin)(jax.random.split(key_begin, num), weights)

    def chosen(x, y):
        is_anew = anew.reshape(num, *[1] * (y.ndim - 1))
        return jnp.where(is_anew, y, x)

    return jax.tree.map(chosen, learners, fresh), past


def _begun(
    parts: Parts, hparams: Hparams, params: Params, past: Past, key: Key, weights: jax.Array
) -> Any:
    """Returns a learner's first state, in the world in which it meets whom it should."""
    return parts.build(_world(parts, params, past, weights)).init(key, hparams)


def _world(parts: Parts, params: Params, past: Past, weights: jax.Array) -> Environment:
    """Returns the world of one learner, whose pool are past players and all learners."""
    numbers = jnp.arange(len(past.lives), dtype=jnp.int32)
    present = EMPTY - 1 - numbers - len(past.lives) * past.lives  # another one after a new begin
    members = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), past.params, params)
    nothing = jnp.zeros(len(weights), jnp.float32)
    pool = Pool(members, jnp.concatenate([past.entries, present]), nothing, nothing, jnp.int32(0))
    return with_pool(parts.env, parts.opponents, parts.copies, pool, weights, parts.options.greedy)


# ---- what is known


def standing_of(past: Past) -> Standing:
    """Returns win rates, a half where nobody played, and whose copies the past players are."""
    size, played = past.entries.size, past.games > 0
    rates = jnp.where(played, past.score / jnp.where(played, past.games, 1.0), 0.5)
    there = past.entries != EMPTY
    return Standing(rates[:, :size], rates[:, size:], there, past.owner, past.entries)


def recorded(past: Past, score: jax.Array, games: jax.Array, decay: float) -> Past:
    """Returns the past with games counted, score and games [L, K + L]; see `pool.record`."""
    kept = jnp.power(decay, games)
    return dataclasses.replace(
        past, score=kept * past.score + score, games=kept * past.games + games
    )


def with_copy(past: Past, owner: int, params: Params) -> Past:
    """Returns the past with a copy of a learner in the place of the oldest, nothing played yet."""
    slot = past.num_added % past.entries.size
    put = lambda places, x: places.at[slot].set(x)
    return dataclasses.replace(
        past,
        params=jax.tree.map(put, past.params, params),
        entries=put(past.entries, past.num_added),
        owner=put(past.owner, jnp.int32(owner)),
        score=past.score.at[:, slot].set(0.0),
        games=past.games.at[:, slot].set(0.0),
        num_added=past.num_added + 1,
    )


def forgotten(past: Past, anew: jax.Array) -> Past:
    """Returns the past without what was known of learners [L] that have begun anew."""
    size = past.entries.size
    columns = jnp.concatenate([jnp.zeros(size, bool), anew])
    gone = anew[:, None] | columns
    wiped = lambda x: jnp.where(gone, 0.0, x)
    lives = past.lives + anew.astype(jnp.int32)
    return dataclasses.replace(past, score=wiped(past.score), games=wiped(past.games), lives=lives)


def league_metrics(options: League, past: Past) -> Metrics:
    """Returns how the first main agent stands; see `league_play`."""
    standing = standing_of(past)
    there, rates = standing.there, standing.past[0]
    found = {
        "league_size": there.sum().astype(jnp.float32),
        "league_win_rate": jnp.where(there, rates, 0.0).sum() / there.sum(),
        "league_worst_win_rate": jnp.where(there, rates, 1.0).min(),
    }
    exploiters = options.roles == MAIN_EXPLOITER
    if exploiters.any():
        found["league_exploiter_win_rate"] = standing.now[exploiters, 0].mean()
    return found


def _of(params: Params, number: int) -> Params:
    return jax.tree.map(lambda x: x[number], params)


def _state(params: Params, learners: Any, past: Past) -> State:
    return State(_of(params, 0), jax.tree.map(lambda x: x[1:], params), learners, past)
