"""A sweep as one HTML file to look at, to send to a colleague, or to print.

Everything is inside the file, figures, replay and script: it needs no network and no server.
"""

import base64
import html
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxmarl_core.errors import require
from jaxmarl_core.report import figures, svg
from jaxmarl_core.report.facets import colours, legend
from jaxmarl_core.report.films import Replay, sprite_sheets
from jaxmarl_core.report.importance import importances, sentence
from jaxmarl_core.report.page_elements import (
    cell,
    document,
    facts_table,
    markup_cell,
    number_cell,
    option_cell,
    section,
    sortable_table,
    word_cell,
)
from jaxmarl_core.report.search_section import search_section
from jaxmarl_core.report.strategies import Strategy
from jaxmarl_core.store import atomic
from jaxmarl_core.store.number_formats import count, duration, number, plural
from jaxmarl_core.store.tables import (
    Objective,
    Results,
    divergences,
    final,
    interval,
    swept,
    table,
)

_MOST_OBSERVATIONS = 24  # of an agent, that a table of its strategy shows
_MOST_ROWS = 2000  # of a table; results.csv and `jaxmarl-core results` have all
_PLAYER_WIDTH = 560  # CSS pixels that a small replay is enlarged to


def write_report(
    path: str | os.PathLike,
    results: Results,
    objective: Objective,
    scales: Mapping[str, str] | None = None,
    replay: Replay | None = None,
    title: str = "Sweep",
    strategies: Sequence[Strategy] = (),
    folder: str = "",
) -> None:
    """Writes the report of a sweep, finished or not, as one self-contained HTML file.

    Args:
      path: of the file.
      results: from `sweep_folder.read`.
      objective: what the runs are ranked by.
      scales: hparam -> "log" or "linear", the axis of its effect plot.
      replay: an episode to play in the page.
      title: its heading.
      strategies: those of the best run, to be read.
      folder: of the sweep, for a line that loads its policy.

    Raises:
      ValueError: the objective is no metric, there is no run, or the replay's frames are wrong.
    """
    atomic.write(path, page(results, objective, scales, replay, title, strategies, folder))


def page(
    results: Results,
    objective: Objective,
    scales: Mapping[str, str] | None = None,
    replay: Replay | None = None,
    title: str = "Sweep",
    strategies: Sequence[Strategy] = (),
    folder: str = "",
) -> str:
    """Returns the report as HTML text; see `write_report`."""
    require(len(results.runs) > 0, "results", "at least one run", 0)
    rows = table(results, objective)
    main = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="summary">{_summary(results, objective, rows)}</p>',
        _learning(results, objective, rows),
        _diverged(results, rows),
        _replay(replay) if replay is not None else "",
        _strategies(strategies),
        _load(folder) if folder else "",
        _effects(results, objective, rows, scales or {}),
        _configurations(results, objective, rows),
        search_section(results, objective, scales or {}),
        _other_metrics(results, objective, rows),
        _runs(results, objective, rows),
        _provenance(results),
    ]
    return document(title, main)


def replay_page(replay: Replay, title: str) -> str:
    """Returns an episode to play, and nothing else, as one self-contained HTML file."""
    return document(title, [f"<h1>{html.escape(title)}</h1>", _replay(replay)])


def _summary(results: Results, objective: Objective, rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the sweep in words: its size, its cost, the best configuration, what diverged."""
    num_runs, done = len(results.runs), results.num_updates_done
    size = plural(num_runs, "run")
    if len(rows) > 1:
        size += f" of {plural(len(rows), 'configuration')}"
    each = count(done.max())
    updates = f"{each} updates each" if done.min() == done.max() else f"up to {each} updates"
    sentences = [f"{size}, {updates}{_cost(results)}."]
    best = rows[0]
    if best["rank"]:
        who = f"The best, {best['configuration']}, reached" if len(rows) > 1 else "They reached"
        num = best["num_seeds"] - best["num_diverged"]
        figure = f"a final {html.escape(objective.metric)} of <b>{number(best['iqm'])}</b>"
        spread = f"interquartile mean over {plural(num, 'seed')}"
        if objective.statistic != "iqm":
            spread += f"; ranked by the {objective.statistic}, {number(best[objective.statistic])}"
        if not np.isnan(best["low"]):
            spread += f", 95 % interval {interval(best)}"
        sentences.append(f"{html.escape(who, quote=False)} {figure} ({spread}).")
    num_diverged = int(np.sum(results.diverged_at >= 0))
    if num_diverged:
        verb = "is" if num_diverged == 1 else "are"
        runs = plural(num_diverged, "run").replace(" ", "&nbsp;")
        text = f"{runs} diverged and {verb} left out of the averages."
        sentences.append(f'<span class="warn">{text}</span>')
    else:
        sentences.append("None diverged.")
    return " ".join(sentences)


def _cost(results: Results) -> str:
    """Returns ", 2.1 million environment steps in all, computed in 3 min 12 s", as known."""
    words = ""
    if figures.knows_steps(results):
        words += f", {count(figures.steps_in_all(results))} environment steps in all"
    if results.seconds:
        words += f", computed in {duration(results.seconds)}"
    if results.compile_seconds:
        words += f" after {duration(results.compile_seconds)} of compiling"
    return words


def _learning(results: Results, objective: Objective, rows: Sequence[Mapping[str, Any]]) -> str:
    note = "Lines are interquartile means over seeds, bands their 95 % bootstrap intervals."
    if max(row["num_seeds"] for row in rows) < 5:
        note += " With fewer than five seeds an interval is rough."
    if np.any(results.diverged_at >= 0):
        note += " Broken lines are runs that diverged at the cross."
    if None in colours(results, rows):
        note += f" The best {figures.NUM_HIGHLIGHTED} are in colour, the others grey."
        if len(rows) - figures.NUM_HIGHLIGHTED > figures.MOST_GREY:
            note += f" Of these {figures.MOST_GREY} are drawn, from the best to the worst."
    picture = figures.learning_curves(results, objective, rows)
    return section("Learning", note, _legend(results, rows) + f"<figure>{picture}</figure>")


def _legend(results: Results, rows: Sequence[Mapping[str, Any]]) -> str:
    pairs = legend(results, rows)
    if len(pairs) == 1:
        return ""
    items = (f"<li>{_swatch(colour)}{html.escape(words)}</li>" for colour, words in pairs)
    return f'<ul class="legend">{"".join(items)}</ul>'


def _swatch(colour: str | None) -> str:
    fill = f' style="background:{svg.VARIABLES.get(colour, colour)}"' if colour else ""
    return f'<span class="swatch"{fill}></span>'


def _other_metrics(
    results: Results, objective: Objective, rows: Sequence[Mapping[str, Any]]
) -> str:
    picture = figures.other_metrics(results, objective, rows)
    axis = "environment steps" if figures.knows_steps(results) else "updates"
    body = _legend(results, rows) + f"<figure>{picture}</figure>"
    return section("Other metrics", f"Over {axis}, drawn as above.", body) if picture else ""


def _effects(
    results: Results,
    objective: Objective,
    rows: Sequence[Mapping[str, Any]],
    scales: Mapping[str, str],
) -> str:
    picture = figures.effects(results, objective, scales)
    is_dense = len(results.runs) > figures.MOST_DOTS
    dot = f"one of {figures.MOST_DOTS:,} runs, drawn at random" if is_dense else "a run"
    note = f"Each dot is {dot}; dashes mark the interquartile mean of all runs at a value."
    if np.any(results.diverged_at >= 0):
        note += " A cross at the foot is a run that diverged."
    explained = html.escape(sentence(importances(results, objective, rows, scales)))
    note += f" {explained}" if explained else ""
    return section("What the options do", note, f"<figure>{picture}</figure>") if picture else ""


def _configurations(
    results: Results, objective: Objective, rows: Sequence[Mapping[str, Any]]
) -> str:
    better = "higher" if objective.higher_is_better else "lower"
    note = (
        f"Final {html.escape(objective.metric)}, the mean over the last {100 * objective.last:g} % "
        f"of a run's values; {better} is better. Click a heading to sort."
    )
    if len(rows) > _MOST_ROWS:
        note += f" The best {_MOST_ROWS:,} of {len(rows):,}; results.csv has all."
    names = list(swept(results))
    words = [name for name in names if name in results.runs[0].get("static", {})]
    head = ["", *names, "IQM", "95 % interval", "mean", "s.e.", "seeds", "updates", ""]
    body = []
    for row, colour in list(zip(rows, colours(results, rows)))[:_MOST_ROWS]:
        rank = f"{_swatch(colour)}{row['rank'] or '–'}" if len(rows) > 1 else ""
        cells = [markup_cell(rank, row["rank"] or "")]
        cells += [option_cell(row["options"].get(name), name in words) for name in names]
        cells += [number_cell(row["iqm"])]
        cells += [cell(interval(row), "" if np.isnan(row["low"]) else row["low"])]
        cells += [number_cell(row["mean"]), number_cell(row["standard_error"], 2)]
        cells += [cell(row["num_seeds"]), cell(f"{row['num_updates']:,}", row["num_updates"])]
        status = "" if row["status"] == "ok" else row["status"]
        cells += [f'<td class="word warn">{html.escape(status)}</td>']
        body.append(cells)
    return section("Configurations", note, sortable_table(head, body, {*words, ""} - {head[0]}))


def _runs(results: Results, objective: Objective, rows: Sequence[Mapping[str, Any]]) -> str:
    names, figures_of_runs = list(swept(results)), final(results, objective)
    head = ["run", "seed", *names, objective.metric, "updates", "diverged at"]
    ranked = [int(run) for row in rows for run in row["runs"]]
    body = []
    for place in sorted(ranked[:_MOST_ROWS]):
        run, diverged = results.runs[place], results.diverged_at[place]
        done = results.num_updates_done[place]
        own = {**run.get("static", {}), **run.get("hparams", {})}
        cells = [cell(run["run"]), cell(run["seed"])]
        cells += [option_cell(own.get(name), False) for name in names]
        cells += [number_cell(figures_of_runs[place]), cell(f"{done:,}", done)]
        cells += [cell(f"update {diverged:,}", diverged) if diverged >= 0 else cell("")]
        body.append(cells)
    words = f"All {plural(len(results.runs), 'run')}"
    if len(ranked) > _MOST_ROWS:
        words = f"{_MOST_ROWS:,} of {len(ranked):,} runs, those of the best configurations"
    return (
        f"<h2>Runs</h2>\n<details><summary>{words}</summary>{sortable_table(head, body)}</details>"
    )


def _provenance(results: Results) -> str:
    facts = {k: v for k, v in results.facts.items() if k != "versions"}
    facts |= results.facts.get("versions", {})
    spec = html.escape(json.dumps(dict(results.spec), indent=2, default=str))
    return (
        f"<h2>How it was made</h2>\n{facts_table(facts)}\n"
        f"<details><summary>The spec</summary><pre>{spec}</pre></details>"
    )


def _diverged(results: Results, rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns which configurations lost runs, when, and what was first no number."""
    lost = {run: (update, names) for run, update, names in divergences(results)}
    if not lost:
        return ""
    body = []
    for row in rows:
        own = [lost[run] for run in row["runs"] if run in lost]
        if own:
            updates = sorted(update for update, _ in own)
            when = f"{updates[0]:,}" if len(own) == 1 else f"{updates[0]:,} to {updates[-1]:,}"
            names = dict.fromkeys(name for _, names in own for name in names)
            share = f"{len(own)} of {row['num_seeds']}"
            what = ", ".join(names)
            body.append([word_cell(row["configuration"]), cell(share, len(own))])
            body[-1] += [cell(when, updates[0]), word_cell(what)]
    note = "The update at which a run was first no number, and the metrics that told."
    head = ["configuration", "runs", "at update", "metrics"]
    return section("What diverged", note, sortable_table(head, body, {"configuration", "metrics"}))


def _strategies(found: Sequence[Strategy]) -> str:
    """Returns, for each agent, how often it takes each action where."""
    if not found:
        return ""
    tables = []
    for one in found:
        alone = len(one.observations) == 1
        head = [*([] if alone else ["observation", "visits"]), *one.actions]
        rows = list(zip(one.observations, one.visits, one.shares))[:_MOST_OBSERVATIONS]
        body = [
            [*([] if alone else [cell(seen), cell(f"{100 * visits:.1f} %", visits)]),
             *(cell(f"{share:.3f}", share) for share in shares)]
            for seen, visits, shares in rows
        ]  # fmt: skip
        tables.append(f"<h3>{html.escape(one.agent)}</h3>{sortable_table(head, body)}")
    note = "How often the best run's agents take each action as they play to win, by observation."
    if max(len(one.observations) for one in found) > _MOST_OBSERVATIONS:
        note += f" The {_MOST_OBSERVATIONS} that they meet most."
    return section("Strategies", note, "".join(tables))


def _load(folder: str) -> str:
    """Returns the lines that load, play and export the best run."""
    python = [
        "from jaxmarl_core import load_policy, load_results",
        f"policy, params, env = load_policy({folder!r})",
        f"runs, curves = load_results({folder!r})",
    ]
    word = shlex.quote(folder)
    shell = [f"jaxmarl-core {name} {word}" for name in ("evaluate", "play", "export")]
    text = html.escape("\n".join([*python, "", *(f"$ {line}" for line in shell)]))
    return section(
        "Take it with you", "The best run, in Python and from the shell.", f"<pre>{text}</pre>"
    )


def _replay(replay: Replay) -> str:
    """Returns the player: sprite sheets, a canvas to draw them on, and its controls."""
    sheets = sprite_sheets(replay.frames)
    num_frames, height, width, _ = replay.frames.shape
    fits = len(replay.texts) in (0, num_frames)
    require(fits, "texts", f"one line per frame ({num_frames}), or none", len(replay.texts))
    facts = {
        "frames": num_frames,
        "rate": replay.frames_per_second,
        "texts": list(replay.texts),
        "sheets": [{"columns": s.num_columns, "frames": s.num_frames} for s in sheets],
    }
    images = "".join(
        f'<img hidden alt="" src="data:image/png;base64,{base64.b64encode(s.png).decode()}">'
        for s in sheets
    )
    shown = width * max(1, _PLAYER_WIDTH // width)
    speeds = "".join(
        f'<option value="{s}"{" selected" if s == 1 else ""}>{s:g}×</option>'
        for s in (0.25, 0.5, 1, 2, 4)
    )
    body = (
        '<figure class="player" tabindex="0" aria-label="Replay">'
        f'<canvas width="{width}" height="{height}" style="width:{shown}px"></canvas>'
        '<p class="frame-text"></p>'
        '<div class="controls"><button type="button">Play</button>'
        f'<input type="range" min="0" max="{num_frames - 1}" value="0" aria-label="Frame">'
        f'<span class="where">1 / {num_frames}</span>'
        f'<select aria-label="Speed">{speeds}</select></div>{images}'
        f'<script type="application/json">{_script_json(facts)}</script></figure>'
    )
    note = html.escape(replay.caption)
    return section("Replay", f"{note} Space plays and pauses, arrows step.", body)


def _script_json(value: Any) -> str:
    """Returns JSON that cannot end the script element it stands in."""
    return json.dumps(value).replace("<", "\\u003c")
