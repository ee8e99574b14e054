"""From the folder of a sweep to what people read: results.csv, report.html, a replay.

Works on a sweep that is finished or not, as often as wanted: all it writes can be made again.
"""

from pathlib import Path

import jax
import numpy as np

from jaxmarl_core.play.evaluate import record
from jaxmarl_core.play.policies import Player, joint
from jaxmarl_core.play.wrappers import Episode, team_names
from jaxmarl_core.report.films import Replay
from jaxmarl_core.report.page import write_report
from jaxmarl_core.store import sweep_folder
from jaxmarl_core.store.checkpoint import saved_steps
from jaxmarl_core.store.tables import Objective, Results, final, table, write_csv
from jaxmarl_core.sweeps.spec import Spec, from_dict, variants
from jaxmarl_core.sweeps.worker import load_run_state, objective, scales
from jaxmarl_core.types import Environment, Renderable

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
    figures = final(results, goal) * (1 if goal.higher_is_better else -1)
    if np.isnan(figures).all():
        return None
    best = int(np.nanargmax(figures))
    try:
        variant, state = load_run_state(folder, results.runs[best]["run"])
    except ValueError:  # stopped before its first checkpoint
        return None
    env = variant.env
    if not isinstance(env, Renderable):
        return None
    learner = Player(variant.algorithm.policy, state.params)
    opponents = variant.schedule.opponents
    player = joint(env, {name: opponents.get(name, learner) for name in env.groups})
    length = min(variant.schedule.episode_length, MAX_FRAMES)
    film = jax.jit(lambda key, params: record(
        key, env, player._replace(params=params), length, variant.schedule.greedy
    ))  # fmt: skip
    states, episode, last = film(jax.random.key(spec.first_seed), player.params)
    num_frames = int(np.argmax(last)) + 1 if last.any() else len(last)
    states, episode = jax.tree.map(lambda x: x[:num_frames], (states, episode))
    frames = np.asarray(jax.lax.map(env.render, states))
    who = f"Run {results.runs[best]['run']}, the best"
    others = ", ".join(f"{name}: {other}" for name, other in spec.evaluation.opponents.items())
    caption = f"{who}, against {others}." if others else f"{who}, in all roles."
    return Replay(frames, caption, _texts(env, jax.tree.map(np.asarray, episode)))


def _texts(env: Environment, episode: Episode) -> list[str]:
    """Returns a line for each frame: the step, and what each team has earned."""
    names = team_names(env)
    return [
        f"step {length}, return " + ", ".join(f"{n} {r:.1f}" for n, r in zip(names, returns))
        for length, returns in zip(episode.length, episode.returns)
    ]
