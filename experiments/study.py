"""Studies: a published experiment done again over many seeds, beside what was published.

A study is a module of `experiments/studies` with a `STUDY`. `jaxmarl-core study NAME` runs it,
prints its claims as a table, and writes the table and a picture into a new folder.
"""

import importlib
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from matplotlib.figure import Figure

from jaxmarl_core import hparams as hp
from jaxmarl_core.errors import lookup, require
from jaxmarl_core.experiments import unfinished
from jaxmarl_core.experiments.studies import names
from jaxmarl_core.report import svg
from jaxmarl_core.store import atomic
from jaxmarl_core.sweeps.batch import sweep
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import Algorithm, Environment

ORIGINS = ("paper", "second-hand", "replicated", "memory", "exact", "claim")
# where the published figure is from: read in the paper, or about it elsewhere; measured by an
# independent replication; remembered; computed exactly; or the paper states it without a figure


class Claim(NamedTuple):
    """A line of a study's table: a published figure, ours, and whether they agree by a rule."""

    what: str
    published: str
    origin: str  # one of ORIGINS
    measured: str
    met: bool | str  # or why it cannot be judged, in a few words


class Findings(NamedTuple):
    claims: Sequence[Claim]
    figure: Figure | None = None


@dataclass(frozen=True)
class Study:
    """A published experiment: what was found then, and the function that does it again."""

    title: str
    source: str  # authors, year, venue
    measure: Callable[[int], Findings]  # from the number of seeds
    published: str  # in a sentence: what was found, after which budget, over how many seeds
    rule: str  # in a sentence: when our figure counts as agreeing with it
    seeds: int = 100

    def __post_init__(self):
        require(self.seeds >= 1, "seeds", "at least 1", self.seeds)


def over_seeds(
    algorithm: Algorithm,
    env: Environment,
    num_steps: int,
    num_seeds: int,
    keep: Callable[[Any, Any], Any] = lambda state, metrics: (state.params, metrics),
    first_seed: int = 0,
    **hparams: float,
) -> Any:
    """Returns what is kept of runs that differ in their seeds alone, leaves [num_seeds, ...].

    Args:
      algorithm: what learns.
      env: the world the algorithm was made for.
      num_steps: of the environment in each run, rounded up to whole updates.
      num_seeds: how many runs, all in one program over all devices.
      keep: maps a run's (state, metrics) to what is returned of it, on the device.
      first_seed: the lowest.
      hparams: those that are not at their defaults.
    """
    train, _ = make_train(algorithm, env, Schedule(-(-num_steps // algorithm.env_steps)))
    keys = jax.vmap(jax.random.key)(first_seed + jnp.arange(num_seeds))
    row = hp.table(algorithm.hparams.replace(**hparams))
    kept = sweep(lambda key, row: keep(*train(key, row)), keys, row)
    return jax.tree.map(lambda leaf: leaf[0], kept)


def over_time(
    algorithm: Algorithm,
    num_steps: int,
    num_seeds: int,
    keep: Callable[[Any], Any],
    first_seed: int = 0,
    **hparams: float,
) -> Any:
    """Returns what is kept of the state after every update, leaves [num_seeds, num_updates, ...].

    Args:
      algorithm: what learns.
      num_steps: of the environment in each run, rounded up to whole updates.
      num_seeds: how many runs, all in one program over all devices.
      keep: maps a run's state to what is returned of it, on the device.
      first_seed: the lowest.
      hparams: those that are not at their defaults.
    """

    def run(key, row):
        key_init, key_run = jax.random.split(key)

        def update(state, update_index):
            key_update = jax.random.fold_in(key_run, update_index)
            state, _ = algorithm.update(key_update, state, row, update_index)
            return state, keep(state)

        updates = jnp.arange(-(-num_steps // algorithm.env_steps))
        return jax.lax.scan(update, algorithm.init(key_init, row), updates)[1]

    keys = jax.vmap(jax.random.key)(first_seed + jnp.arange(num_seeds))
    kept = sweep(run, keys, hp.table(algorithm.hparams.replace(**hparams)))
    return jax.tree.map(lambda leaf: leaf[0], kept)


def learning_curve(
    algorithm: Algorithm,
    env: Environment,
    num_steps: int,
    num_points: int,
    num_seeds: int,
    episodes: tuple[int, int],
    figure: str = "eval_return",
    **hparams: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a learning curve of greedy play: (environment steps [L], figures [num_seeds, L]).

    The steps are those that were played, a mean over seeds: the step after an end is none of them.

    Says on the terminal (stderr) where the curve ended, as a study of many takes an hour.

    Args:
      algorithm: what learns.
      env: the world the algorithm was made for.
      num_steps: of the environment in each run, rounded down to whole evaluations.
      num_points: L evaluations, evenly spaced, the last one at the end.
      num_seeds: how many runs, all in one program over all devices.
      episodes: of an evaluation, how many and how long at most.
      figure: the metric looked at.
      hparams: those that are not at their defaults.
    """
    every = num_steps // num_points // algorithm.env_steps
    require(every >= 1, "num_points", "at least an update to each", num_points)
    train, _ = make_train(algorithm, env, Schedule(every * num_points, every, *episodes))
    keys = jax.random.split(jax.random.key(0), num_seeds)
    row = hp.table(algorithm.hparams.replace(**hparams))
    keep = lambda metrics: (metrics[figure], metrics["env_steps"])
    found, played = sweep(lambda key, row: keep(train(key, row)[1]), keys, row)
    curve = np.asarray(found[0])[:, every - 1 :: every]
    steps = np.asarray(played[0], np.float64).mean(0).cumsum()[every - 1 :: every]
    ended = f"a curve of {num_seeds} seeds ended: {mean_std(curve[:, -1])}"
    print(ended, file=sys.stderr, flush=True)
    return steps, curve


def percentage(hits: ArrayLike) -> str:
    """Returns how many of [R] bool are true, in per cent with the standard error."""
    p = float(jnp.mean(hits))
    return f"{100 * p:.1f} ± {100 * (p * (1 - p) / jnp.size(hits)) ** 0.5:.1f} %"


def mean_std(values: ArrayLike, digits: int = 3) -> str:
    """Returns the mean of values [R] and their standard deviation over runs."""
    return f"{float(jnp.mean(values)):.{digits}f} ± {float(jnp.std(values)):.{digits}f}"


def markdown(claims: Sequence[Claim]) -> str:
    """Returns the claims as a Markdown table.

    Raises:
      ValueError: an origin that is none of `ORIGINS`, or no word on why a line is not judged.
    """
    lines = ["| | published | origin | here | met |", "|---|---|---|---|---|"]
    for claim in claims:
        lookup(dict.fromkeys(ORIGINS), claim.origin, "origin")
        require(claim.met != "", "met", "a verdict, or why there is none", claim.what)
        if isinstance(claim.met, str):
            met = f"not judged: {claim.met}"
        else:
            met = "yes" if claim.met else "**no**"
        cells = (claim.what, claim.published, claim.origin, claim.measured, met)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def module_of(name: str) -> ModuleType:
    """Returns the module of a study; ValueError names the nearest if there is none."""
    lookup(dict.fromkeys(names()), name, "study")
    return importlib.import_module(f"jaxmarl_core.experiments.studies.{name}")


def run(name: str, num_seeds: int | None = None, out: Path | None = None) -> tuple[str, Path]:
    """Does a study and writes `study.md` and `picture.svg`; returns the text and the folder.

    Args:
      name: of a module of experiments/studies.
      num_seeds: None: as many as the study says.
      out: the folder to write, new; None: runs/studies/<name>, numbered if that is taken.

    Raises:
      ValueError: an unknown study, too few seeds, or a folder that exists.
    """
    module = module_of(name)
    study: Study = module.STUDY
    num_seeds = study.seeds if num_seeds is None else num_seeds
    require(num_seeds >= 1, "seeds", "at least 1", num_seeds)
    folder = _free(Path("runs/studies") / name) if out is None else Path(out)
    require(not folder.exists(), "out", "a new folder", f"{folder}, which exists")
    before, began = unfinished.seconds(module.__name__), time.perf_counter()
    with svg.style(name):
        claims, figure = study.measure(num_seeds)
        seconds = before + time.perf_counter() - began
        text = "\n".join(
            (f"## {study.title}", "", f"{study.source}. {num_seeds} seeds, {seconds:.0f} s with")
        )
        text = f"{text} compilation (`jaxmarl-core study {name}`).\n\n"
        text = f"{text}Published: {study.published}\nMet: {study.rule}\n\n{markdown(claims)}\n"
        folder.mkdir(parents=True)
        atomic.write(folder / "study.md", text)
        if figure is not None:
            figure.savefig(folder / "picture.svg", facecolor="white")
            figure.savefig(folder / "picture.png", facecolor="white", dpi=100)
    unfinished.forget(module.__name__)
    return text, folder


def _free(folder: Path) -> Path:
    """Returns the folder, or the first numbered one beside it that does not exist."""
    others = (folder.with_name(f"{folder.name}-{i}") for i in itertools.count(2))
    return next(path for path in itertools.chain([folder], others) if not path.exists())
