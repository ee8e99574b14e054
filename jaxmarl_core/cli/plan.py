"""Say what a sweep would ask of a device: parts, memory, kernels, arithmetic; nothing is run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from jaxmarl_core import hparams as hp
from jaxmarl_core.cli.running import CONSOLE, use_all_cores
from jaxmarl_core.store.number_formats import count, duration, number, option, plural
from jaxmarl_core.sweeps.devices import Device, describe, mesh_of
from jaxmarl_core.sweeps.forecast import Forecast, forecast, roofline_seconds
from jaxmarl_core.sweeps.saved_run import named_opponents, trained
from jaxmarl_core.sweeps.search.rungs import Course, courses, full_steps, total_updates
from jaxmarl_core.sweeps.spec import Spec, check_objective, load, naming, variants


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core plan`."""
    tyro.cli(plan, args=arguments, prog="jaxmarl-core plan")


def plan(
    spec: Annotated[Path, tyro.conf.Positional], device: str = "", loops: bool = False
) -> None:
    """Say what a sweep would ask of a device: parts, memory, kernels, arithmetic; nothing is run.

    Args:
      spec: the file.
      device: h200, a100 or v5e, compiled for without one; by default the devices that are here.
      loops: list the loops of a segment, too, and the kernels in each.
    """
    use_all_cores()
    asked = load(spec)
    mesh, known = mesh_of(device)
    with naming(spec):
        found = forecast(asked, mesh, known)
    CONSOLE.print(f"{spec} on {describe(mesh, known)}", markup=False, soft_wrap=True)
    show_search(asked)
    for one in found:
        CONSOLE.print(table(one, known))
        if loops:
            CONSOLE.print(loop_table(one))


def table(found: Forecast, device: Device | None) -> Table:
    """Returns what is known of a variant, a line each."""
    static = ", ".join(f"{name} {option(value)}" for name, value in found.static.items())
    shown = Table(title=static or None, title_justify="left", box=SIMPLE_HEAD, show_header=False)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for name, words in lines(found, device):
        shown.add_row(name, words)
    return shown


def show_size(spec: Spec, source: Path) -> None:
    """Prints how many runs a spec asks for and what they cost; nothing is compiled."""
    with naming(source):
        choices = variants(spec, trained(named_opponents(spec.against)))
        check_objective(spec, choices)
        total = total_updates(spec, choices)
    rows = sum(hp.num_rows(variant.hparams) for variant in choices)
    words = f"{plural(rows * spec.seeds, 'run')} of {plural(rows, 'configuration')}"
    programs = f"{plural(len(choices), 'program')}, {count(total)} updates"
    steps = f"{count(full_steps(spec, choices))} env steps"
    told = f"{words}, {programs}" + ("" if spec.halving else f", {steps}")
    CONSOLE.print(told, markup=False, soft_wrap=True)
    show_search(spec)


def show_search(spec: Spec) -> None:
    """Prints what a search plans, if the spec has one: its stages, and what they save."""
    if spec.asking is not None:
        asked = spec.random["num"] // spec.asking.batch
        words = f"{spec.asking.sampler} is asked {asked} times for {spec.asking.batch} of them"
        CONSOLE.print(words, markup=False, soft_wrap=True)
    if spec.halving is None:
        return
    choices = variants(spec, trained(named_opponents(spec.against)))
    found, full = courses(spec, choices), full_steps(spec, choices)
    CONSOLE.print(course_table(found))
    steps = sum(one.env_steps for one in found)
    share = f"{100 * steps / full:.0f} %" if full else "none"
    words = f"{count(steps)} env steps, {share} of the {count(full)} of all runs to the end"
    CONSOLE.print(words, markup=False, soft_wrap=True)


def course_table(found: Sequence[Course]) -> Table:
    """Returns the stages of a search as a table for a terminal, the first of each bracket first."""
    shown = Table(title="halving", title_justify="left", box=SIMPLE_HEAD)
    several = len({one.world for one in found}) > 1
    for name in (["world"] if several else []) + ["bracket"]:
        shown.add_column(name, overflow="fold")
    for name in ("updates", "configurations", "runs", "env steps"):
        shown.add_column(name, justify="right")
    for one in found:
        stage = one.stage
        cells = [escape(one.world)] if several else []
        cells += [str(stage.bracket), f"{stage.start:,} to {stage.end:,}"]
        cells += [f"{stage.num_configurations:,}", f"{one.num_runs:,}", count(one.env_steps)]
        shown.add_row(*cells)
    return shown


def loop_table(found: Forecast) -> Table:
    """Returns the loops of a segment: how often each goes round, and what its kernels are."""
    shown = Table(box=SIMPLE_HEAD)
    shown.add_column("loop", overflow="fold")
    for name in ("trips", "kernels"):
        shown.add_column(name, justify="right")
    shown.add_column("of them", overflow="fold")
    for loop in (loop for loop in found.loops if loop.kernels):
        trips = "open" if loop.trips is None else str(loop.trips)
        kinds = ", ".join(f"{count} {kind}" for kind, count in loop.kinds.items())
        name = escape("  " * loop.depth + loop.name)
        shown.add_row(name, trips, str(len(loop.kernels)), kinds)
    return shown


def lines(found: Forecast, device: Device | None) -> list[tuple[str, str]]:
    """Returns (what, in words) for each figure."""
    each = found.runs_per_device
    parts = f"{found.num_parts} of {plural(found.runs_per_part, 'run')}, {found.num_runs} in all"
    shared = found.devices_per_run
    devices = "devices" if shared == 1 else f"groups of {shared} devices"
    parts += f", over {found.num_devices} {devices}" if found.num_devices * shared > 1 else ""
    told = [
        ("parts", parts),
        ("state of a run", size(found.state_bytes)),
        ("a device holds", f"{size(found.held_bytes)}, {size(found.held_bytes / each)} a run"),
        ("and needs to learn", f"{size(found.temporary_bytes)} of temporaries"),
        ("in all", size(found.num_bytes)),
        ("compiled in", duration(found.compile_seconds)),
        ("an update: products", f"{number(found.product_flops / 1e9, 3)} GFLOP"),
        ("an update: moved", f"{size(found.bytes_moved)}, were nothing cached"),
    ]
    if found.kernels:
        told.append(("an update: kernels", f"{found.kernels:,.0f}"))
    if found.large_copies:
        told.append(("copies of 1 MiB and more", f"{found.large_copies} in a segment's text"))
    if found.host_decided:
        told.append(("loops of open length", f"{found.host_decided}, counted as one round each"))
    if device is not None:
        bounds = roofline_seconds(found, device)
        slowest = max(bounds, key=lambda name: bounds[name])
        words = ", ".join(f"{name} {number(1e3 * s, 3)} ms" for name, s in bounds.items())
        told.append(("an update takes at least", f"{words}; bound by {slowest}"))
    return told


def size(num_bytes: float) -> str:
    """Returns bytes in KiB, MiB or GiB, in three digits."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if num_bytes >= unit:
            return f"{number(num_bytes / unit, 3)} {name}"
    return f"{num_bytes:.0f} bytes"
