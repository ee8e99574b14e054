"""From the folder of a sweep to what people read: results.csv, report.html, a replay.

Works on a sweep that is finished or not, as often as wanted: all it writes can be made again.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxmarl_core.play.evaluate import episode_length
from jaxmarl_core.play.policies import Player, joint, opponent
from jaxmarl_core.report.filming import film
from jaxmarl_core.report.films import Replay
from jaxmarl_core.report.page import write_report
from jaxmarl_core.report.strategies import Strategy, has_strategies, strategies
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.checkpoint import saved_steps
from jaxmarl_core.store.number_formats import option
from jaxmarl_core.store.tables import Objective, Results, final, table, write_csv
from jaxmarl_core.sweeps.objective import objective
from jaxmarl_core.sweeps.saved_run import (
    SavedRun,
    copied_opponents,
    fixed_opponents,
    load_run,
    trained,
)
from jaxmarl_core.sweeps.spec import Spec, from_dict, variants
from jaxmarl_core.sweeps.worker import scales
from jaxmarl_core.types import Renderable

MAX_FRAMES = 400


def report_sweep(
    folder: str | Path, warn: Callable[[str], None] = warnings.warn
) -> tuple[Results, Objective, list[dict]]:
    """Writes results.csv and report.html into the folder; returns results, objective and table.

    The report replays an episode of the best run, where the environment can be drawn, and shows its
    strategies, where they are tables; both if that run was saved.
    """
    folder = Path(folder)
    results = sweep_folder.read(folder)
    spec = from_dict(sweep_folder.read_spec(folder))
    goal = objective(spec, results)
    rows = table(results, goal)
    write_csv(folder / "results.csv", rows)
    opponents = copied_opponents(spec.against, folder)
    declared = scales(variants(spec, trained(opponents))[0])
    title = spec.title or f"{spec.algorithm} on {spec.environment}"
    best = _best(folder, results, goal, warn)
    replay, found = (_replay(spec, best), _strategies(spec, best)) if best else (None, [])
    path = folder / "report.html"
    write_report(path, results, goal, declared, replay, title, found, str(folder) if best else "")
    return results, goal, rows


def lost_metrics(folder: str | Path, results: Results) -> list[str]:
    """Returns a sentence for each part whose state is further than its metrics: some were lost."""
    done = {run["run"]: int(n) for run, n in zip(results.runs, results.num_updates_done)}
    sentences = []
    for part in sweep_folder.part_folders(folder):
        saved = max(saved_steps(part / "checkpoints"), default=0)
        found = done[sweep_folder.read_runs(part)[0]["run"]]
        if found < saved:
            sentences.append(
                f"{part}: expected metrics of {saved} updates, got those of {found}; the sweep's "
                "command with --resume computes the others again"
            )
    return sentences


def _best(
    folder: Path, results: Results, goal: Objective, warn: Callable[[str], None]
) -> SavedRun | None:
    """Returns the best run, where there is one and it was saved; says why one cannot be read."""
    saved = any(saved_steps(part / "checkpoints") for part in sweep_folder.part_folders(folder))
    if np.isnan(final(results, goal)).all() or not saved:
        return None
    try:
        return load_run(folder)
    except ValueError as error:
        warn(f"no film and no strategies of the best run: {error}")
        return None


def _player(spec: Spec, run: SavedRun) -> Player:
    """Returns the run in the roles it was evaluated in: all, or all but its opponents'."""
    others = spec.evaluation.opponents
    learner = Player(run.algorithm.policy, run.params)
    players = {name: opponent(others[name], run.env) for name in others}
    return joint(run.env, dict.fromkeys(run.env.groups, learner) | players)


def _replay(spec: Spec, best: SavedRun) -> Replay | None:
    if not isinstance(best.env, Renderable):
        return None
    length = min(episode_length(best.env, spec.evaluation.length), MAX_FRAMES)
    key = jax.random.key(spec.first_seed)
    found = film(key, best.env, _player(spec, best), length, spec.evaluation.greedy)
    others = {**fixed_opponents(best), **spec.evaluation.opponents}
    against = ", ".join(f"{name}: {other}" for name, other in others.items())
    who = f"Run {best.description['run']}, the best{_world(spec, best)}"
    caption = f"{who}, against {against}." if others else f"{who}, in all roles."
    return found._replace(caption=caption)


def _world(spec: Spec, best: SavedRun) -> str:
    """Returns in which world a run was, where the sweep has several."""
    options = best.description["environment_options"]
    told = [f"{n} {option(options[n])}" for n in spec.grid.get("environment_options", {})]
    return f" ({', '.join(told)})" if told else ""


def _strategies(spec: Spec, best: SavedRun) -> list[Strategy]:
    if not has_strategies(best.env):
        return []
    return strategies(jax.random.key(spec.first_seed), best.env, _player(spec, best))
