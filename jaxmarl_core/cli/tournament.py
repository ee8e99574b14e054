"""Let the policies of several sweeps play each other, all against all, and rank them."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from jaxmarl_core.cli.running import CONSOLE, begin
from jaxmarl_core.cli.trained import require_same_world, which
from jaxmarl_core.errors import require
from jaxmarl_core.play import tournament as play
from jaxmarl_core.play.evaluate import episode_length
from jaxmarl_core.play.policies import OPPONENTS, Player, opponent
from jaxmarl_core.play.standings import Standings, standings
from jaxmarl_core.play.tournament import Tournament, pair_win_rates
from jaxmarl_core.play.wrappers import num_teams, team_names
from jaxmarl_core.report.tournament_page import write_heat_map, write_tournament_page
from jaxmarl_core.store import atomic, policy_file, sweep_folder
from jaxmarl_core.store.number_formats import plural
from jaxmarl_core.store.tables import key_of, write_rows
from jaxmarl_core.sweeps.saved_run import SavedRun, load_run
from jaxmarl_core.types import Environment, Policy

ALL = "all"
FIGURES = ("elo", "nash_mass", "nash_rating", "alpha_rank")


class Participants(NamedTuple):
    """Who plays, and where."""

    env: Environment
    world: str  # its name
    names: list[str]  # all different
    players: list[Player]


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core tournament`."""
    tyro.cli(tournament, args=arguments, prog="jaxmarl-core tournament")


def tournament(
    folders: Annotated[list[str], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER...")],
    /,
    run: str = "best",
    episodes: int = 100,
    out: Path = Path("tournament"),
    seed: int = 0,
    length: int = 0,
    sample: bool = False,
    alpha: float = 100.0,
    at_once: int = play.GAMES_AT_ONCE,
) -> None:
    """Let the policies of several sweeps play each other, all against all, and rank them.

    Writes `results.csv`, `tournament.json`, `win_rates.svg` and `report.html`.

    Args:
      folders: of sweeps and exported policies, all of one world of two teams; "random" for one who
        acts at random.
      run: of each sweep: "best", "all" of them, a number, or options such as
        learning_rate=3e-4,clip=0.2: the best run with them.
      episodes: of each pair on each side.
      out: the folder to write, new or empty.
      seed: of the episodes.
      length: steps of an episode at most; 0: the environment's own time limit, or 1000.
      sample: draw actions from the policies instead of taking their modes.
      alpha: ranking intensity of alpha-rank, per win rate of 1.
      at_once: episodes that are played side by side; fewer take less memory.
    """
    require(episodes >= 1, "episodes", "at least 1", episodes)
    require(at_once >= 1, "at-once", "at least 1", at_once)
    require(length >= 0, "length", "at least 0", length)
    require(alpha > 0, "alpha", "above 0", alpha)
    free = sweep_folder.is_free(out)
    require(free, "out", "a new or empty folder", out)
    begin()
    who = participants(folders, run)
    steps = episode_length(who.env, length)
    found = play.tournament(
        jax.random.key(seed), who.env, who.players, episodes, steps, not sample, at_once
    )
    table = standings(found, alpha)
    settings = {
        "world": who.world,
        "sides": list(team_names(who.env)),
        "episodes_of_a_pair_on_each_side": episodes,
        "steps_at_most": steps,
        "actions": "drawn" if sample else "modes",
        "seed": seed,
        "alpha": alpha,
        "device": jax.devices()[0].device_kind,
    }
    write(out, who.names, found, table, settings)
    title = f"{who.world}: {plural(episodes, 'episode')} a pair and side"
    CONSOLE.print(terminal_table(title, who.names, table))
    CONSOLE.print(str(out / "report.html"), markup=False, soft_wrap=True)


def participants(folders: Sequence[str], run: str = "best") -> Participants:
    """Returns who plays: the runs asked for of each folder, and opponents by name.

    Raises:
      ValueError: no such folder or run, nobody that tells of a world, other worlds or not of two
        teams, or fewer than two players.
    """
    loaded: list[tuple[str, SavedRun | None]] = []
    for folder in folders:
        if folder in OPPONENTS:
            loaded.append((folder, None))
        else:
            name = Path(folder).resolve().name
            loaded += [(name, load_run(folder, choice)) for choice in _chosen(folder, run)]
    runs = [(folder, found) for folder, found in loaded if found]
    require(bool(runs), "folders", "at least one sweep or policy", " ".join(folders) or "none")
    env, world = runs[0][1].env, runs[0][1].description["environment"]
    teams = num_teams(env)
    require(teams == 2, "folders", "a world of two teams", f"{world} with {teams}")
    for folder, found in runs:
        require_same_world(env, found.env, folder)
        missing = sorted(env.groups.keys() - found.learnt)
        expected = f"a policy that has learnt to play {sorted(env.groups)}"
        require(not missing, f"folders: {folder}", expected, f"one that has not {missing}")
    require(len(loaded) >= 2, "folders", "at least two players", len(loaded))
    policies: dict[str, Policy] = {}
    players = [
        Player(_shared(policies, found), found.params) if found else opponent(name, env)
        for name, found in loaded
    ]
    return Participants(env, world, _names(loaded), players)


def _chosen(folder: str, run: str) -> list[Any]:
    """Returns the runs of a folder that a command was told, as `load_run` takes them."""
    if run != ALL:
        return ["best" if policy_file.holds_policy(Path(folder)) else which(run)]
    if policy_file.holds_policy(Path(folder)):
        return ["best"]
    return [record["run"] for record in sweep_folder.read(folder).runs]


def _shared(policies: dict[str, Policy], found: SavedRun) -> Policy:
    """Returns a run's policy, one object for all who differ by what they learnt alone."""
    told = ("algorithm", "environment", "environment_options", "config", "against")
    key = key_of({name: found.description.get(name) for name in told})
    return policies.setdefault(key, found.policy)


def _names(loaded: Sequence[tuple[str, SavedRun | None]]) -> list[str]:
    """Returns the folders' names, with the run's number where a name comes twice, all different."""
    count = Counter(name for name, _ in loaded)
    names, seen = [], Counter()
    for name, found in loaded:
        full = f"{name}:{found.description['run']}" if found and count[name] > 1 else name
        seen[full] += 1
        names.append(full if seen[full] == 1 else f"{full} ({seen[full]})")
    return names


def terminal_table(title: str, names: Sequence[str], table: Standings) -> Table:
    """Returns the standings for a terminal of 80 columns, the best first."""
    shown = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, width=80)
    shown.add_column("player", overflow="fold", ratio=1)
    for name in ("win rate", "95 % interval", "Elo", "Nash", "alpha-rank"):
        shown.add_column(name, justify="right", no_wrap=True)
    rates = table.win_rates
    for i in map(int, table.order):
        shown.add_row(
            escape(names[i]),
            f"{rates.rate[i]:.3f}",
            f"{rates.low[i]:.3f} to {rates.high[i]:.3f}",
            f"{table.elo[i]:.0f}",
            f"{table.nash_mass[i]:.3f}",
            f"{table.alpha_rank[i]:.3f}",
        )
    return shown


def write(
    folder: Path, names: Sequence[str], found: Tournament, table: Standings, settings: dict
) -> None:
    """Writes results.csv, tournament.json, win_rates.svg and report.html into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_row(place, i, names, found, table) for place, i in enumerate(map(int, table.order), 1)]
    write_rows(folder / "results.csv", rows)
    rates = pair_win_rates(found)
    matrices = {name: getattr(found, name) for name in found._fields} | {
        f"win_{name}": getattr(rates, name) for name in rates._fields
    }
    said = {"players": list(names), "settings": settings, "standings": rows} | {
        name: _listed(x) for name, x in matrices.items()
    }
    atomic.write(folder / "tournament.json", json.dumps(said, indent=1, allow_nan=False) + "\n")
    write_heat_map(folder / "win_rates.svg", names, found, table.order)
    title = f"Tournament on {settings['world']}"
    write_tournament_page(folder / "report.html", names, found, table, title, settings)


def _row(place: int, i: int, names, found: Tournament, table: Standings) -> dict[str, Any]:
    """Returns what results.csv says of a player."""
    rates = table.win_rates
    counts = {name: int(getattr(found, name)[:, i].sum()) for name in ("wins", "draws", "losses")}
    paid = np.nanmean(found.returns[:, i], axis=1)
    return {
        "place": place,
        "player": names[i],
        **counts,
        "win_rate": float(rates.rate[i]),
        "low": float(rates.low[i]),
        "high": float(rates.high[i]),
        "win_rate_first": float(table.side_win_rates.rate[0, i]),
        "win_rate_second": float(table.side_win_rates.rate[1, i]),
        "return_first": float(paid[0]),
        "return_second": float(paid[1]),
        **{name: float(getattr(table, name)[i]) for name in FIGURES},
    }


def _listed(x: np.ndarray) -> list:
    """Returns an array as JSON takes it, no number as null."""
    return np.where(x == x, x.astype(object), np.array(None)).tolist()
