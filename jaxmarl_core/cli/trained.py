"""Trained policies as commands take them: which run of a folder, and who plays against whom."""

from pathlib import Path
from typing import NamedTuple

from jaxmarl_core.errors import require
from jaxmarl_core.play.policies import OPPONENTS, Player, joint, opponent
from jaxmarl_core.play.wrappers import num_teams, team_names
from jaxmarl_core.sweeps.saved_run import SavedRun, Which, load_run
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
    pairs = [pair.partition("=") for pair in text.split(",")]
    fits = all(name and sign and value for name, sign, value in pairs)
    require(fits, "run", '"best", a number, or options as learning_rate=3e-4,clip=0.2', repr(text))
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


def load_match(folder: Path, run: str, against: str = "") -> tuple[Environment, list[Match]]:
    """Returns the environment of a trained policy, and the matches that are to be played.

    Args:
      folder: of a sweep or a policy.
      run: as `which` reads it.
      against: "", the opponents that the sweep was evaluated against, if any; "random"; or the
        folder of another sweep or policy, whose best run plays. Each then plays the first team
        once, and the other teams once.

    Raises:
      ValueError: no such run, no other team to play, or worlds that differ.
    """
    found = load_run(folder, which(run))
    env, name = found.env, label(folder, found)
    learner = Player(found.algorithm.policy, found.params)
    if not against:
        others = dict(found.description["opponents"])
        players = {group: opponent(kind, env) for group, kind in others.items()}
        words = ", ".join(f"{group}: {kind}" for group, kind in others.items())
        title = f"{name}, against {words}" if others else f"{name}, in all roles"
        return env, [Match(title, joint(env, dict.fromkeys(env.groups, learner) | players))]
    teams = num_teams(env)
    require(teams > 1, "against", "a world of several teams", f"one of {team_names(env)[0]} alone")
    if against in OPPONENTS:
        other_name, other = against, opponent(against, env)
    else:
        second = load_run(against)
        require_same_world(env, second.env, against)
        other_name = label(Path(against), second)
        other = Player(second.algorithm.policy, second.params)
    sides = [(name, learner, other_name, other), (other_name, other, name, learner)]
    return env, [_match(env, *side) for side in sides]


def _match(env: Environment, first: str, player: Player, second: str, other: Player) -> Match:
    """Returns the match in which `player` has the first team, and `other` all the rest."""
    players = {name: other if group.team else player for name, group in env.groups.items()}
    mine, *rest = team_names(env)
    return Match(f"{mine}: {first}; {', '.join(rest)}: {second}", joint(env, players))


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
