"""Trained policies as commands take them: which run of a folder, and who plays against whom."""

from pathlib import Path
from typing import NamedTuple

from jaxmarl_core.errors import require
from jaxmarl_core.play.policies import OPPONENTS, Player, joint, opponent
from jaxmarl_core.play.wrappers import num_teams, team_names
from jaxmarl_core.sweeps.saved_run import SavedRun, Which, fixed_opponents, in_world, load_run
from jaxmarl_core.types import Environment


class Match(NamedTuple):
    """Who plays, as a heading and as one player of all groups."""

    title: str
    player: Player


def which(text: str) -> Which:
    """Returns the run that a command was told: "best", a number, or name=value,name=value.

    Raises:
      ValueError: it is none of these.
    """
    if text == "best":
        return text
    if text.isdigit():
        return int(text)
    return _options("run", text, '"best", a number, or options as learning_rate=3e-4,clip=0.2')


def world_options(text: str) -> dict[str, int | float | bool | str]:
    """Returns what a command was told of another world: "", or name=value,name=value.

    Raises:
      ValueError: it is neither.
    """
    return _options("world", text, "options of the environment as map_size=80") if text else {}


def _options(field: str, text: str, expected: str) -> dict[str, int | float | bool | str]:
    """Returns name=value,name=value as a dict; raises ValueError if it is none."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    fits = all(name and sign and value for name, sign, value in pairs)
    require(fits, field, expected, repr(text))
    return {name.strip().replace("-", "_"): _value(value) for name, _, value in pairs}


def _value(text: str) -> int | float | bool | str:
    """Returns a value as a person writes it."""
    if text in ("True", "true", "False", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def load_match(
    folder: Path, run: str, against: str = "", world: str = ""
) -> tuple[Environment, list[Match]]:
    """Returns the environment of a trained policy, and the matches that are to be played.

    Args:
      folder: of a sweep or a policy.
      run: as `which` reads it.
      against: "", the opponents that the sweep was evaluated against, if any, and those it learnt
        against; "random"; or the folder of another sweep or policy, whose best run plays. Each then
        plays the first team once, and the other teams once, where it has learnt to.
      world: options of the environment, as `world_options` reads them, in place of those that were
        learnt with.

    Raises:
      ValueError: no such run, no other team to play, worlds that differ, or another world in which
        the policy's parameters do not fit.
    """
    other_world = world_options(world)
    found = in_world(load_run(folder, which(run)), other_world)
    env, name = found.env, label(folder, found)
    if not against:
        learner = Player(found.algorithm.policy, found.params)
        others = dict(found.description["opponents"])
        players = {group: opponent(kind, env) for group, kind in others.items()}
        met = {**fixed_opponents(found), **others}
        words = ", ".join(f"{group}: {kind}" for group, kind in met.items())
        title = f"{name}, against {words}" if met else f"{name}, in all roles"
        return env, [Match(title, joint(env, dict.fromkeys(env.groups, learner) | players))]
    teams = num_teams(env)
    require(teams > 1, "against", "a world of several teams", f"one of {team_names(env)[0]} alone")
    mine = Side(name, Player(found.policy, found.params), found.learnt)
    if against in OPPONENTS:
        other = Side(against, opponent(against, env), frozenset(env.groups))
    else:
        second = in_world(load_run(against), other_world)
        require_same_world(env, second.env, against)
        player = Player(second.policy, second.params)
        other = Side(label(Path(against), second), player, second.learnt)
    matches = [(mine, other), (other, mine)]
    first = {group for group, each in env.groups.items() if not each.team}
    rest = env.groups.keys() - first
    able = [(a, b) for a, b in matches if first <= a.learnt and rest <= b.learnt]
    expected = f"two policies of which one has learnt to play {sorted(first)}, one {sorted(rest)}"
    learnt = [sorted(mine.learnt), sorted(other.learnt)]
    require(bool(able), f"against {against}", expected, learnt)
    return env, [_match(env, a, b) for a, b in able]


class Side(NamedTuple):
    """Who plays, by which name, and which groups it has learnt to play."""

    name: str
    player: Player
    learnt: frozenset[str]


def _match(env: Environment, first: Side, other: Side) -> Match:
    """Returns the match in which `first` has the first team, and `other` all the rest."""
    players = {
        name: other.player if group.team else first.player for name, group in env.groups.items()
    }
    mine, *rest = team_names(env)
    title = f"{mine}: {first.name}; {', '.join(rest)}: {other.name}"
    return Match(title, joint(env, players))


def label(folder: Path, run: SavedRun) -> str:
    """Returns what a run is called: its algorithm, the folder's name and its number."""
    return f"{run.description['algorithm']} ({folder.resolve().name}, run {run.description['run']})"


def require_same_world(env: Environment, other: Environment, folder: str) -> None:
    """Raises ValueError unless the agents of both worlds have the same groups and spaces."""
    ours, theirs = (
        {name: (g.size, g.observation, g.action, g.team) for name, g in world.groups.items()}
        for world in (env, other)
    )
    for name in ours | theirs:
        same = ours.get(name) == theirs.get(name)
        expected = f'a policy for the same agents, group "{name}" as {ours.get(name)}'
        require(same, f"against {folder}", expected, theirs.get(name))
