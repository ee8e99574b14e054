"""PSRO whose oracles are learners: any algorithm, in any world of two teams.

    found = train_psro(jax.random.key(0), env, build, Psro(num_iterations=8, num_updates=50))
    found.mixtures[0].weights  # how often the first team plays by each of its policies

An oracle trains the algorithm of one team against the other team's population, of which one is
drawn by the meta-strategy whenever an episode begins; then episodes of all new pairs say what they
earn. The loop is `solvers.population.psro`; places for the populations are kept free from the
start, so that each team's learner, and the games, are compiled once.

Lanctot et al., 2017, arXiv:1711.00832.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import lookup, require
from jaxmarl_core.play.evaluate import episode_length, evaluate
from jaxmarl_core.play.opponents import with_opponents, with_pool
from jaxmarl_core.play.policies import Player, joint, random_policy
from jaxmarl_core.play.pool import Pool
from jaxmarl_core.play.self_play import Build, alone, copies, seats
from jaxmarl_core.play.wrappers import num_teams
from jaxmarl_core.solvers.population.loop import RECTIFIED, Mixture, Population, psro
from jaxmarl_core.solvers.population.meta_solvers import META_SOLVERS
from jaxmarl_core.types import Algorithm, Environment, Key, Params, Policy


@dataclasses.dataclass(frozen=True)
class Psro:
    """How populations grow.

    num_iterations: how many policies are added to each.
    num_updates: of the learner that is to be an answer.
    meta_solver: how populations are mixed: "nash", "uniform", "alpha_rank", "prd", or
      "rectified_nash" of symmetric worlds.
    symmetric: whether both teams are alike and one population plays both; the learner is the first.
    num_episodes: of each pair, to see what they earn.
    greedy: whether members of a population take the mode of their policy or draw from it.
    capacity: of a population, at most; 0: num_iterations + 1, four times that if rectified.
    """

    num_iterations: int = 8
    num_updates: int = 100
    meta_solver: str = "nash"
    symmetric: bool = False
    num_episodes: int = 256
    greedy: bool = False
    capacity: int = 0

    def __post_init__(self):
        for field, low in (("num_iterations", 1), ("num_updates", 1), ("num_episodes", 1),
                           ("capacity", 0)):  # fmt: skip
            value = getattr(self, field)
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= low
            require(whole, field, f"a whole number, at least {low}", repr(value))
        lookup({**META_SOLVERS, RECTIFIED: None}, self.meta_solver, "meta_solver")

    @property
    def places(self) -> int:
        """Of a population."""
        rectified = self.meta_solver == RECTIFIED
        return self.capacity or (self.num_iterations + 1) * (4 if rectified else 1)


class Team(NamedTuple):
    """What one team learns by."""

    groups: tuple[str, ...]
    algorithm: Algorithm  # in a world of the same shape
    policy: Policy  # of its groups, in the whole world


class Trained(NamedTuple):
    """The populations, and the policies that their members are parameters of."""

    population: Population  # members are parameters
    policies: tuple[Policy, Policy]  # of each team's groups

    @property
    def mixtures(self) -> tuple[Mixture, Mixture]:
        """How each team plays in the end."""
        return self.population.mixtures


def train_psro(
    key: Key,
    env: Environment,
    build: Build,
    options: Psro = Psro(),
    hparams: Any = None,
    nash_conv: Callable[[tuple[Mixture, Mixture]], float] | None = None,
) -> Trained:
    """Returns populations of an algorithm's policies; each is an answer to those before it.

    Args:
      key: randomness.
      env: the bare environment of two teams. Its returns should be zero-sum for "nash".
      build: returns the algorithm for an environment, such as `ippo`; it is called more than once,
        and with tracers among the environment's leaves.
      options: how populations grow.
      hparams: the learners' numbers; None: the algorithm's defaults.
      nash_conv: what both could gain, given mixtures of parameters, where that can be computed.

    Raises:
      ValueError: not two teams, or of a symmetric game teams that are not alike.
    """
    teams = num_teams(env)
    require(teams == 2, "environment", "a world of two teams", teams)
    first = _team(env, build, 0)
    if options.symmetric:
        (seat,) = seats(env, _groups(env, 1))
        second = Team(_groups(env, 1), first.algorithm, copies(first.policy, [seat]))
    else:
        second = _team(env, build, 1)
    sides = first, second
    hparams = sides[0].algorithm.hparams if hparams is None else hparams
    keys = _Keys(key)
    learn = [
        jax.jit(partial(answer, env, build, sides[1 - team], options, team))
        for team in range(1 if options.symmetric else 2)
    ]
    begin = [jax.jit(lambda key, side=side: side.algorithm.init(key, hparams).params)
             for side in sides]  # fmt: skip
    meet = jax.jit(partial(returns, env, sides, options.num_episodes, options.greedy))

    def oracle(team: int, start: Params, mixture: Mixture) -> Params:
        members, weights = filled(mixture, options.places)
        return learn[team](keys.next(), hparams, members, weights)

    def payoff(first: Params, second: Params) -> tuple[float, float]:
        earned = np.asarray(meet(keys.next(), first, second), np.float64)
        return float(earned[0]), float(earned[1])

    found = psro(
        payoff, oracle, (begin[0](keys.next()), begin[1](keys.next())),
        num_iterations=options.num_iterations, meta_solver=options.meta_solver,
        symmetric=options.symmetric, nash_conv=nash_conv, capacity=options.places,
    )  # fmt: skip
    return Trained(found, (sides[0].policy, sides[1].policy))


def answer(
    env: Environment, build: Build, other: Team, options: Psro, team: int,
    key: Key, hparams: Any, members: Params, weights: jax.Array,
) -> Params:  # fmt: skip
    """Returns what a learner of a team has learnt against a mixture of the other's policies.

    Args:
      env, build, other, options, team: see `train_psro`; static.
      key: randomness.
      hparams: the learner's numbers.
      members: leaves [K, ...], the other team's.
      weights: [K] f32, how often each is drawn when an episode begins.
    """
    numbers, nothing = jnp.arange(len(weights), dtype=jnp.int32), jnp.zeros(len(weights))
    pool = Pool(members, numbers, nothing, nothing, jnp.int32(len(weights)))
    world = with_pool(env, other.groups, other.policy, pool, weights, options.greedy)
    algorithm = build(world)
    key_init, key_run = jax.random.split(key)
    state = algorithm.init(key_init, hparams)

    def update(state, index):
        key_update = jax.random.fold_in(key_run, index)
        return algorithm.update(key_update, state, hparams, index)[0], None

    indices = jnp.arange(options.num_updates, dtype=jnp.int32)
    return jax.lax.scan(update, state, indices)[0].params


def returns(
    env: Environment, sides: tuple[Team, Team], num_episodes: int, greedy: bool,
    key: Key, first: Params, second: Params,
) -> jax.Array:  # fmt: skip
    """Returns the mean return of both teams, [2] f32, over episodes of two policies."""
    players = {}
    for side, params in zip(sides, (first, second)):
        players |= dict.fromkeys(side.groups, Player(side.policy, params))
    length = episode_length(env)
    return evaluate(key, env, joint(env, players), num_episodes, length, greedy).returns.mean(0)


def filled(mixture: Mixture, places: int) -> tuple[Params, jax.Array]:
    """Returns a mixture's members as leaves [places, ...], and their weights [places] f32."""
    members = list(mixture.strategies)
    missing = places - len(members)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *members, *[members[0]] * missing)
    return stacked, jnp.asarray(np.pad(mixture.weights, (0, missing)), jnp.float32)


class _Keys:
    """A key that is never used twice."""

    def __init__(self, key: Key):
        self._key, self._count = key, 0

    def next(self) -> Key:
        self._count += 1
        return jax.random.fold_in(self._key, self._count)


def _groups(env: Environment, team: int) -> tuple[str, ...]:
    return tuple(name for name, group in env.groups.items() if group.team == team)


def _team(env: Environment, build: Build, team: int) -> Team:
    others = dict.fromkeys(_groups(env, 1 - team), Player(random_policy(env), ()))
    algorithm = build(with_opponents(env, others))
    return Team(_groups(env, team), algorithm, alone(algorithm.policy, _groups(env, team)))
