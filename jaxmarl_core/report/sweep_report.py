"""From the folder of a sweep to what people read: results.csv, report.html, a replay.

Works on a sweep that is finished or not, as often as wanted: all it writes can be made again.
"""

from pathlib import Path

import jax
import numpy as np

from jaxmarl_core.play.evaluate import episode_length
from jaxmarl_core.play.policies import Player, joint, opponent
from jaxmarl_core.report.filming import film
from jaxmarl_core.report.films import Replay
from jaxmarl_core.report.page import write_report
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.checkpoint import saved_steps
from jaxmarl_core.store.tables import Objective, Results, final, table, write_csv
from jaxmarl_core.sweeps.saved_run import load_run
from jaxmarl_core.sweeps.spec import Spec, from_dict, variants
from jaxmarl_core.sweeps.worker import objective, scales
from jaxmarl_core.types import Renderable

MAX_FRAMES = 400


def report_sweep(folder: str | Path) -> tuple[Results, Objective, list[dict]]:
    """Writes results.csv and report.html into the folder; returns results, objective and table.

    The report replays an episode of the best run, where the environment can be drawn and that run
    was saved.
    """
    folder = Path(folder)
    results = sweep_folder.read(folder)
    spec = from_dict(sweep_folder.read_spec(folder))
    goal = objective(spec, results)
    rows = table(results, goal)
    write_csv(folder / "results.csv", rows)
    declared = scales(variants(spec)[0])
    title = spec.title or f"{spec.algorithm} on {spec.environment}"
    replay = _replay(folder, spec, results, goal)
    write_report(folder / "report.html", results, goal, declared, replay, title)
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


def _replay(folder: Path, spec: Spec, results: Results, goal: Objective) -> Replay | None:
    if np.isnan(final(results, goal)).all():
        return None
    try:
        best = load_run(folder)
    except ValueError:  # stopped before its first checkpoint
        return None
    if not isinstance(best.env, Renderable):
        return None
    others = spec.evaluation.opponents
    learner = Player(best.algorithm.policy, best.params)
    players = {name: opponent(others[name], best.env) for name in others}
    player = joint(best.env, dict.fromkeys(best.env.groups, learner) | players)
    length = min(episode_length(best.env, spec.evaluation.length), MAX_FRAMES)
    key = jax.random.key(spec.first_seed)
    found = film(key, best.env, player, length, spec.evaluation.greedy)
    against = ", ".join(f"{name}: {other}" for name, other in others.items())
    who = f"Run {best.description['run']}, the best"
    caption = f"{who}, against {against}." if others else f"{who}, in all roles."
    return found._replace(caption=caption)
