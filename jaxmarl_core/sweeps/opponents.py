"""Whom a sweep learns against: copies of the learner, scripted players, and trained ones.

    opponents = { blue = "pool", green = "runs/green", grey = "my_module:my_player" }

    [pool]                         # of "self" and "pool": fields of `SelfPlay`
    every = 20
    size = 16

| a group is played by | |
|---|---|
| "self" | the learner as it was up to `pool.every` updates before |
| "pool" | one of its copies, drawn whenever an episode begins |
| "league" | main agents, exploiters and their copies: see `play.league`; options are in [league] |
| "random", and other names of `policies.OPPONENTS` | whom the library scripts |
| "module:function" | the `Player` that this function of the environment returns |
| a folder | the best run of that sweep, or that exported policy, as it is when the sweep begins |

A trained opponent is copied into the folder of the sweep, from which it is read ever after: what
becomes of the folder it came from changes nothing.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxmarl_core import own_names
from jaxmarl_core.errors import require, unknown
from jaxmarl_core.play.league import league_play
from jaxmarl_core.play.matchmaking import League
from jaxmarl_core.play.opponents import with_opponents
from jaxmarl_core.play.policies import OPPONENTS, Player, opponent
from jaxmarl_core.play.self_play import SelfPlay, copies, seats, self_play, train_against
from jaxmarl_core.types import Algorithm, Environment, Params, Policy

COPIES = ("self", "pool", "league")
OWN = re.compile(r"[A-Za-z_][\w.]*:\w+")

Make = Callable[[Environment], Algorithm]


class Trained(NamedTuple):
    """What a trained opponent plays by, and in which world it learnt to."""

    policy: Policy
    params: Params
    env: Environment


@dataclasses.dataclass(frozen=True)
class Opponents:
    """Who plays which group while the others learn, as plain values of a spec file."""

    groups: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pool: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # fields of SelfPlay
    league: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # fields of League

    def __post_init__(self):
        for group, who in self.groups.items():
            require(isinstance(who, str) and who != "", f"opponents.{group}", "a name", repr(who))
        kinds = {who for who in self.groups.values() if who in COPIES}
        one = 'one of "self", "pool" and "league" for all groups that copies play'
        require(len(kinds) <= 1, "opponents", one, sorted(kinds))
        who = sorted(self.groups.values()) or "none"
        if self.pool:
            require(bool(kinds - {"league"}), "pool", 'an opponent "self" or "pool"', who)
        if self.league:
            require("league" in kinds, "league", 'an opponent "league"', who)
        if "self" in kinds:
            for name in self.pool:
                alone = name in ("every", "greedy")
                require(alone, f"pool.{name}", 'an opponent "pool"', '"self", which is one copy')
        _ = self.self_play, self.league_play

    @property
    def self_play(self) -> SelfPlay:
        """How copies are kept and met."""
        one = {"size": 1, "draw": "latest"} if "self" in self.groups.values() else {}
        return _options("pool", SelfPlay, {**one, **self.pool})

    @property
    def league_play(self) -> League:
        """Who learns in a league, and when copies are kept."""
        return _options("league", League, self.league)

    @property
    def folders(self) -> dict[str, str]:
        """Group -> the folder of its trained opponent."""
        return {group: who for group, who in self.groups.items() if _is_folder(who)}

    def to_dict(self) -> dict[str, Any]:
        """Returns what was said, as fields of a spec; nothing where nothing was."""
        said = {"opponents": self.groups, "pool": self.pool, "league": self.league}
        return {name: dict(values) for name, values in said.items() if values}


def _options(kind: str, record: type, values: Mapping[str, Any]) -> Any:
    """Returns a record of options; ValueError and TypeError name the field and its table."""
    types = {field.name: field.type for field in dataclasses.fields(record)}
    told = {}
    for name, value in values.items():
        if name not in types:
            raise ValueError(unknown(kind, name, types))
        wanted: Any = types[name]
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            raise TypeError(f"{kind}.{name}: expected {wanted.__name__}, got {value!r}")
        told[name] = value
    with _prefixed(f"{kind}."):
        return record(**told)


def _is_folder(who: str) -> bool:
    return who not in (*COPIES, *OPPONENTS) and not OWN.fullmatch(who)


@contextmanager
def _prefixed(prefix: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(f"{prefix}{error}") from error


# ---- from names to a learner


def algorithm_against(
    make: Make, env: Environment, told: Opponents, trained: Mapping[str, Trained]
) -> Algorithm:
    """Returns the algorithm that learns against these opponents; it plays all groups of `env`.

    Args:
      make: returns the bare algorithm for an environment.
      env: the bare environment.
      told: who plays which group.
      trained: group -> the trained opponent, of those in `told.folders`.

    Raises:
      ValueError, TypeError: a group or a name is unknown, an opponent is of another world, or the
        algorithm cannot learn against it.
    """
    for group in told.groups:
        if group not in env.groups:
            raise ValueError(unknown("opponents", group, env.groups))
    fixed = _fixed(env, told, trained)
    learner = _learner(make, told)
    if not fixed:
        return learner(env)
    return train_against(learner, env, fixed)


def learnt_policy(
    algorithm: Algorithm,
    make: Make,
    env: Environment,
    told: Opponents,
    trained: Mapping[str, Trained],
) -> tuple[Policy, frozenset[str]]:
    """Returns (a policy by the learner's parameters alone, the groups that it has learnt to play).

    Where fixed opponents have been in the way, it plays their seats too if they are like the
    learner's own. Arguments as of `algorithm_against`, whose parameters it acts by, and what that
    returned.
    """
    fixed = _fixed(env, told, trained)
    if not fixed:
        return algorithm.policy, frozenset(env.groups)
    policy = _learner(make, told)(with_opponents(env, fixed)).policy
    own = {name: name for name in env.groups if name not in told.groups}
    seated = [{name: name for name in env.groups if name not in fixed}]
    with_copies = len(seated[0]) > len(own)
    if not with_copies:
        with suppress(ValueError):  # no copy can take a seat of another kind
            seated += seats(env, list(fixed))
    learnt = frozenset(name for seat in seated for name in seat.values())
    return copies(policy, seated), learnt


def _learner(make: Make, told: Opponents) -> Make:
    """Returns what makes the algorithm in a world without fixed opponents."""
    copied = [group for group, who in told.groups.items() if who in COPIES]
    if not copied:
        return make
    if "league" in told.groups.values():
        return partial(league_play, make, opponents=copied, options=told.league_play)
    return partial(self_play, make, opponents=copied, options=told.self_play)


def _fixed(env: Environment, told: Opponents, trained: Mapping[str, Trained]) -> dict[str, Player]:
    """Returns group -> its player, of those whose opponents are no copies of the learner."""
    return {
        group: _player(env, group, who, trained.get(group))
        for group, who in told.groups.items()
        if who not in COPIES
    }


def _player(env: Environment, group: str, who: str, trained: Trained | None) -> Player:
    field = f"opponents.{group}"
    if trained is not None:
        ours, theirs = (world.groups.get(group) for world in (env, trained.env))
        same = theirs is not None and ours is not None and ours[:3] == theirs[:3]
        expected = f'a policy of a group "{group}" of {ours and ours[:3]}'
        require(same, field, expected, f"{who}, which has {theirs and theirs[:3]}")
        return Player(trained.policy, trained.params)
    if who in OPPONENTS:
        return opponent(who, env)
    if _is_folder(who):
        raise ValueError(_unknown(group, who))
    made = own_names.load(who, field)
    expected = 'a function of an environment that says "-> Player"'
    require(own_names.builds_player(made), f"{field} = {who}", expected, repr(made))
    player = made(env)
    timestep = jax.eval_shape(env.reset, jax.random.key(0))[1]
    given = player.params, jax.random.key(0), timestep, player.policy.memory()
    acts_for = jax.eval_shape(player.policy.act, *given)[0]
    require(group in acts_for, f"{field} = {who}", "a player of that group", sorted(acts_for))
    return player


def check_names(told: Opponents) -> None:
    """Raises ValueError unless who is called a folder is one; before anything is read."""
    for group, who in told.folders.items():
        if not Path(who).is_dir():
            raise ValueError(_unknown(group, who))


def _unknown(group: str, who: str) -> str:
    names = [*COPIES, *OPPONENTS, "module:function", "the folder of a sweep or policy"]
    return unknown(f"opponents.{group}", who, names)
