"""Learners against opponents: fixed ones, or copies of what the learner was, for any algorithm.

    algorithm = self_play(ippo, battle(), ["blue"], SelfPlay(every=10, size=8, draw="hard"))
    algorithm = train_against(ippo, battle(), {"blue": Player(policy, params)})

Both hand an algorithm's builder the world as its groups see it (`opponents.WithOpponents`) and
return an algorithm of the bare world, in which it can be evaluated, filmed and shipped: its policy
plays all groups, the opponents' by the opponents.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.play.opponents import WithOpponents, require_others, with_opponents, with_pool
from jaxmarl_core.play.policies import Player, player_of_groups, random_policy
from jaxmarl_core.play.pool import (
    BY_WIN_RATE,
    DRAWS,
    EMPTY,
    Pool,
    add,
    draw_weights,
    new_pool,
    record,
    win_rates,
)
from jaxmarl_core.types import (
    Actions,
    Algorithm,
    Environment,
    Hparams,
    Key,
    Memory,
    Metrics,
    Params,
    Policy,
    TimeStep,
)

Build = Callable[[Environment], Algorithm]


@dataclasses.dataclass(frozen=True)
class SelfPlay:
    """How copies of the learner are kept and met.

    every: updates between two copies that are added to the pool.
    size: places in the pool. When all are taken, a copy replaces the oldest; with 1 there is the
      last copy alone, whose parameters all environments share, which is faster.
    draw: who is drawn when an episode begins: "uniform", "latest", or by win rate, "hard" or
      "even"; see `pool.draw_weights`.
    power: of "hard".
    decay: what a game counts less in a win rate for each that follows it.
    greedy: whether copies take the mode of their policy or draw from it.
    """

    every: int = 10
    size: int = 8
    draw: str = "hard"
    power: float = 2.0
    decay: float = 0.99
    greedy: bool = False

    def __post_init__(self):
        for field in ("every", "size"):
            value = getattr(self, field)
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            require(whole, field, "a whole number, at least 1", repr(value))
        lookup(DRAWS, self.draw, "draw")
        require(self.power >= 0, "power", "at least 0", self.power)
        require(0 < self.decay <= 1, "decay", "in (0, 1]", self.decay)


# ---- a policy in another's place


def seats(env: Environment, opponents: Sequence[str]) -> list[dict[str, str]]:
    """Returns whom a copy of the learner plays, learner's group -> opponents' group, copy by copy.

    Each team of opponents is played by one copy, its groups in the order of the learner's.

    Raises:
      ValueError: a team's groups have not the sizes and spaces of the learner's.
    """
    own = {name: group for name, group in env.groups.items() if name not in opponents}
    teams: dict[int, list[str]] = {}
    for name in opponents:
        teams.setdefault(env.groups[name].team, []).append(name)
    kind = lambda name: env.groups[name][:3]
    for names in teams.values():
        fits = list(map(kind, names)) == list(map(kind, own))
        expected = f"groups of the sizes and spaces of {list(own)}, whose copy plays them"
        require(fits, "opponents", expected, names)
    return [dict(zip(own, names)) for names in teams.values()]


def observed_from(timestep: TimeStep, seat: Mapping[str, str]) -> TimeStep:
    """Returns the time step with the rows of `seat[group]` for those of each group, alone."""

    def turned(by_group):
        return {name: by_group[other] for name, other in seat.items() if other in by_group}

    names = ("observation", "action_mask", "alive", "reward", "discount", "mean_action")
    rows = {name: turned(getattr(timestep, name)) for name in names}
    return dataclasses.replace(timestep, **rows)


def copies(policy: Policy, seated: Sequence[Mapping[str, str]]) -> Policy:
    """Returns the policy that plays several teams, each as if it were the learner's.

    Args:
      policy: of the learner's groups. It must act on what agents observe, not on the state for a
        central critic, which is not seen from the other side.
      seated: see `seats`; all copies play by the same parameters, and remember for themselves.
    """

    def memory() -> Memory:
        return [policy.memory() for _ in seated]

    def play(choose, params: Params, key: Key, timestep: TimeStep, memory: Memory):
        actions: Actions = {}
        carried = []
        for i, seat in enumerate(seated):
            seen = observed_from(timestep, seat)
            chosen, kept = choose(params, jax.random.fold_in(key, i), seen, memory[i])
            actions |= {other: chosen[name] for name, other in seat.items()}
            carried.append(kept)
        return actions, carried

    return Policy(memory, partial(play, policy.act), partial(play, policy.greedy))


def alone(policy: Policy, groups: Sequence[str]) -> Policy:
    """Returns the policy of some groups, as one of the world in which there are more."""
    own = {name: name for name in groups}

    def play(choose, params: Params, key: Key, timestep: TimeStep, memory: Memory):
        return choose(params, key, observed_from(timestep, own), memory)

    return Policy(policy.memory, partial(play, policy.act), partial(play, policy.greedy))


def _side_by_side(first: Policy, second: Policy) -> Policy:
    """Returns the policy of both's groups; its parameters are (the first's, the second's)."""

    def play(mode: str, params: Params, key: Key, timestep: TimeStep, memory: Memory):
        actions: Actions = {}
        carried = []
        for i, policy in enumerate((first, second)):
            choose = getattr(policy, mode)
            chosen, kept = choose(params[i], jax.random.fold_in(key, i), timestep, memory[i])
            actions |= chosen
            carried.append(kept)
        return actions, tuple(carried)

    memory = lambda: (first.memory(), second.memory())
    return Policy(memory, partial(play, "act"), partial(play, "greedy"))


def _with_params(policy: Policy, complete: Callable[[Params], Params]) -> Policy:
    """Returns the policy whose parameters are `complete(params)`."""
    of = lambda choose: lambda params, *rest: choose(complete(params), *rest)
    return Policy(policy.memory, of(policy.act), of(policy.greedy))


# ---- against fixed opponents


def train_against(
    build: Build, env: Environment, players: Mapping[str, Player], greedy: bool = False
) -> Algorithm:
    """Returns the algorithm that learns against opponents who stay as they are.

    Its state is the learner's own; its policy plays all groups of `env`.

    Args:
      build: returns the algorithm for an environment, such as `ippo`.
      env: the bare environment.
      players: group -> who plays it; see `opponents.with_opponents`.
      greedy: whether opponents take the mode of their policy or draw from it.

    Raises:
      ValueError: as `with_opponents` does, or the algorithm cannot learn in such a world.
    """
    world = with_opponents(env, players, greedy)
    algorithm = build(world)
    others = player_of_groups(players)
    joint = _side_by_side(alone(algorithm.policy, list(world.groups)), others.policy)
    return algorithm._replace(policy=_with_params(joint, lambda params: (params, others.params)))


# ---- against copies


@struct.dataclass
class State:
    params: Params  # of the learner
    learner: Any  # its state, without `params`
    pool: Pool


class Parts(NamedTuple):
    """What self-play is made of."""

    build: Build
    env: Environment
    opponents: tuple[str, ...]
    options: SelfPlay
    draft: Algorithm  # built in a world of the same shape, for all that hangs on no numbers
    copies: Policy  # of the opponents' groups, by the learner's parameters


def self_play(
    build: Build, env: Environment, opponents: Sequence[str], options: SelfPlay = SelfPlay()
) -> Algorithm:
    """Returns the algorithm that learns against copies of itself.

    After every `options.every` updates the learner's parameters are added to a pool that is part of
    the state; a full one loses its oldest. Whenever an episode begins, one of the pool is drawn and
    plays every group of `opponents` to the end of the episode. It all happens inside the update,
    so that sweeps, checkpoints and resumption are as with any algorithm: the algorithm is built
    again while an update is traced, in the world whose leaves are the pool's.

    The policy plays all groups by the learner's parameters. Beside the learner's metrics there are
    `pool_size`, how many are in it, and `pool_win_rate`, the mean of the learner's against them.

    Args:
      build: returns the algorithm for an environment, such as `ippo`; it is called more than once,
        and with tracers among the environment's leaves.
      env: the bare environment.
      opponents: groups that copies play; those of each team have the sizes and spaces of the
        learner's groups, in the same order. They observe the world as the learner would in their
        place, where the environment shows everybody their own view.
      options: how copies are kept and met.

    Raises:
      ValueError: a group is unknown or unlike the learner's, the algorithm cannot learn in such a
        world; or, when an update is traced, it tells no results of episodes and they are needed.
    """
    opponents = tuple(opponents)
    draft, of_opponents, everybody = drafted(build, env, opponents)
    parts = Parts(build, env, opponents, options, draft, of_opponents)
    return Algorithm(
        partial(init, parts), partial(update, parts), everybody, draft.hparams, draft.env_steps
    )


def drafted(
    build: Build, env: Environment, opponents: tuple[str, ...]
) -> tuple[Algorithm, Policy, Policy]:
    """Returns what learning against copies of oneself is built on.

    The algorithm as `build` makes it in a world of the same shape; and by a learner's parameters,
    the policies of the opponents' groups, and of all. Arguments and errors as of `self_play`.
    """
    require_others(env, opponents)
    seated = seats(env, opponents)
    anybody = Player(random_policy(env), ())
    draft = build(with_opponents(env, dict.fromkeys(opponents, anybody)))
    own = {name: name for name in env.groups if name not in opponents}
    return draft, copies(draft.policy, seated), copies(draft.policy, [own, *seated])


def world_of(parts: Parts, pool: Pool) -> WithOpponents:
    """Returns the world in which the pool's members play."""
    options = parts.options
    weights = draw_weights(pool, options.draw, options.power)
    return with_pool(parts.env, parts.opponents, parts.copies, pool, weights, options.greedy)


def init(parts: Parts, key: Key, hparams: Hparams) -> State:
    """Returns the state before the first update: the pool holds what the learner begins with."""
    first = parts.draft.init(key, hparams).params  # of all this only the parameters are computed
    pool = new_pool(first, parts.options.size)
    learner = parts.build(world_of(parts, pool)).init(key, hparams)
    return State(learner.params, replace_params(learner, ()), pool)


def update(
    parts: Parts, key: Key, state: State, hparams: Hparams, update_index: jax.Array
) -> tuple[State, Metrics]:
    """Returns the state after the learner's update, its results recorded, and a copy when due."""
    options, pool = parts.options, state.pool
    algorithm = parts.build(world_of(parts, pool))
    learner = replace_params(state.learner, state.params)
    learner, metrics = algorithm.update(key, learner, hparams, update_index)
    metrics, results = without_results(metrics, options.size)
    if results is None:
        needed = options.draw in BY_WIN_RATE
        require(
            not needed, "draw", "one without win rates, as episodes' are not told", options.draw
        )
    else:
        pool = record(pool, *results, options.decay)
    there = pool.entries != EMPTY
    metrics["pool_win_rate"] = jnp.where(there, win_rates(pool), 0.0).sum() / there.sum()
    metrics["pool_size"] = there.sum().astype(jnp.float32)
    # the number is the same for all runs of a sweep, so that this stays a branch under vmap
    due = (update_index + 1) % options.every == 0
    pool = jax.lax.cond(due, add, lambda pool, _: pool, pool, learner.params)
    return State(learner.params, replace_params(learner, ()), pool), metrics


def without_results(
    metrics: Metrics, size: int
) -> tuple[Metrics, tuple[jax.Array, jax.Array] | None]:
    """Returns (the metrics, (score [K], games [K])) apart; None where they are not among them."""
    told = ("opponent_games_", "opponent_score_")
    own = {name: x for name, x in metrics.items() if not name.startswith(told)}
    if "opponent_games_0" not in metrics:
        return own, None
    stacked = lambda kind: jnp.stack([metrics[f"opponent_{kind}_{k}"] for k in range(size)])
    return own, (stacked("score"), stacked("games"))


def replace_params(state: Any, params: Params) -> Any:
    """Returns a learner's state with other parameters."""
    is_tuple = hasattr(state, "_replace")
    return state._replace(params=params) if is_tuple else dataclasses.replace(state, params=params)
