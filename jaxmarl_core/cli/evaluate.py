"""Play episodes with a policy that a sweep has trained, and say how it did."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from jaxmarl_core.cli.running import CONSOLE, begin
from jaxmarl_core.cli.trained import Match, load_match
from jaxmarl_core.errors import require
from jaxmarl_core.functional import statistics
from jaxmarl_core.play.evaluate import episode_figures, episode_length
from jaxmarl_core.play.evaluate import evaluate as play_episodes
from jaxmarl_core.store.number_formats import number, plural
from jaxmarl_core.types import Environment


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core evaluate`."""
    tyro.cli(evaluate, args=arguments, prog="jaxmarl-core evaluate")


def evaluate(
    folder: Annotated[Path, tyro.conf.Positional],
    run: str = "best",
    episodes: int = 100,
    against: str = "",
    world: str = "",
    seed: int = 0,
    length: int = 0,
    sample: bool = False,
) -> None:
    """Play episodes with a policy that a sweep has trained, and say how it did.

    Args:
      folder: of the sweep, or of an exported policy.
      run: "best", a number, or options such as learning_rate=3e-4,clip=0.2: the best run with them.
      episodes: how many.
      against: who plays the other teams: the folder of another sweep or policy, or "random". Sides
        are then changed. By default those who did in the sweep's own evaluations.
      world: options of the environment, in place of those it learnt with: map_size=80 for a larger
        battle. The policy must be one that fits.
      seed: of the episodes.
      length: steps of an episode at most; 0: the environment's own time limit, or 1000.
      sample: draw actions from the policy instead of taking its mode.
    """
    require(episodes >= 1, "episodes", "at least 1", episodes)
    begin()
    env, matches = load_match(folder, run, against, world)
    for match in matches:
        found = figures(env, match, episodes, seed, length, greedy=not sample)
        CONSOLE.print(_table(match.title, found, episodes))


def figures(
    env: Environment, match: Match, episodes: int, seed: int = 0, length: int = 0, greedy=True
) -> dict[str, np.ndarray]:
    """Returns what came of the episodes of a match, figure -> [episodes]."""
    steps = episode_length(env, length)

    @jax.jit
    def play(key, params):
        player = match.player._replace(params=params)
        return episode_figures(env, play_episodes(key, env, player, episodes, steps, greedy))

    return jax.tree.map(np.asarray, play(jax.random.key(seed), match.player.params))


def _table(title: str, found: Mapping[str, np.ndarray], episodes: int) -> Table:
    shown = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD)
    shown.add_column(plural(episodes, "episode"))
    for name in ("mean", "95 % interval", "least", "most"):
        shown.add_column(name, justify="right")
    for name, values in found.items():
        low, high = statistics.bootstrap_interval(values, statistics.mean)
        spread = "–" if np.isnan(low) else f"{number(float(low))} to {number(float(high))}"
        ends = (number(float(values.min())), number(float(values.max())))
        shown.add_row(name, number(float(values.mean())), spread, *ends)
    return shown
