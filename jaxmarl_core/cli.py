"""The command line: `jaxmarl-core sweep | train | report | study | list`.

jaxmarl-core sweep experiments/specs/battle_mfq.toml
jaxmarl-core train mfq battle --seeds 8 --hparams.learning-rate 3e-4
jaxmarl-core report runs/battle_mfq
jaxmarl-core study climbing
jaxmarl-core list
"""

import contextlib
import dataclasses
import inspect
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import tyro
from rich.console import Console
from rich.table import Table

from jaxmarl_core import hparams as hp
from jaxmarl_core import registry
from jaxmarl_core.errors import lookup
from jaxmarl_core.experiments import study as studies
from jaxmarl_core.report.sweep_report import publish
from jaxmarl_core.store.tables import terminal_table
from jaxmarl_core.sweeps.spec import Evaluation, Spec, load
from jaxmarl_core.sweeps.worker import Stopped, run

CONSOLE = Console()


def sweep(
    spec: Annotated[Path, tyro.conf.Positional],
    out: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> None:
    """Run the sweep a TOML file describes and write its report.

    Args:
      spec: the file; experiments/specs/battle_mfq.toml is one to start from.
      out: the folder to write, new; by default runs/<name of the spec>, numbered if taken.
      resume: go on with the sweep in that folder (by default the newest of that name).
      quiet: show no progress.
    """
    _go(load(spec), out, resume, quiet, f"jaxmarl-core sweep {spec}")


def report(folder: Annotated[Path, tyro.conf.Positional]) -> None:
    """Write the report of a sweep again, finished or not.

    Args:
      folder: that of the sweep, under runs/.
    """
    _show(folder)


def study(
    name: Annotated[str, tyro.conf.Positional],
    seeds: int | None = None,
    out: Path | None = None,
) -> None:
    """Do a published experiment again, beside what was published.

    Args:
      name: of the study; `jaxmarl-core list` shows them.
      seeds: runs of each setting; by default as many as the study says, at least 100.
      out: the folder to write, new; by default runs/studies/<name>, numbered if taken.
    """
    text, folder = studies.run(name, seeds, out)
    CONSOLE.print(text, markup=False, soft_wrap=True)
    CONSOLE.print(str(folder), markup=False, soft_wrap=True)


def list_() -> None:
    """List the algorithms, the environments and the studies."""
    for title, names in (
        ("algorithms", registry.described(registry.ALGORITHMS)),
        ("environments", registry.described(registry.ENVIRONMENTS)),
        ("studies", studies.described()),
    ):
        table = Table(title=title, title_justify="left", box=None, show_header=False)
        for name, line in names.items():
            table.add_row(f"  [bold]{name}[/]", line)
        CONSOLE.print(table)


def train(arguments: Sequence[str]) -> None:
    """Train one algorithm in one environment: `train ALGO ENV [options]`; `--help` for them all."""
    names = [a for a in arguments[:2] if not a.startswith("-")]
    if len(names) < 2:
        algorithms, environments = sorted(registry.ALGORITHMS), sorted(registry.ENVIRONMENTS)
        CONSOLE.print("usage: jaxmarl-core train ALGORITHM ENVIRONMENT [options]\n", markup=False)
        CONSOLE.print(f"  ALGORITHM    {', '.join(algorithms)}")
        CONSOLE.print(f"  ENVIRONMENT  {', '.join(environments)}\n")
        CONSOLE.print("Options depend on both: jaxmarl-core train mfq battle --help", markup=False)
        if not {"-h", "--help"} & set(arguments):
            raise SystemExit(2)
        return
    algorithm, environment = names
    options = _train_options(algorithm, environment)
    asked = tyro.cli(
        options,
        args=list(arguments[2:]),
        prog=f"jaxmarl-core train {algorithm} {environment}",
        config=(tyro.conf.AvoidSubcommands,),
    )
    given = {
        field.name: getattr(asked, field.name)
        for field in dataclasses.fields(Spec)
        if hasattr(asked, field.name) and field.name not in ("config", "hparams")
    }
    opponents = dict.fromkeys(asked.against, asked.opponent)
    spec = Spec(
        algorithm=algorithm,
        environment=environment,
        environment_options=_changed(asked.env),
        config=_changed(asked.config),
        hparams={n: float(v) for n, v in dataclasses.asdict(asked.hparams).items()},
        evaluation=Evaluation(asked.evaluate_every, asked.episodes, 0, opponents),
        **given,
    )
    line = f"jaxmarl-core train {' '.join(arguments)}"
    _go(spec, asked.out, asked.resume, asked.quiet, line)


TRAIN_OPTIONS = (
    ("seeds", int, 1, "runs, one a seed"),
    ("first_seed", int, 0, "the lowest seed"),
    ("updates", int, 100, "updates of each run"),
    ("segment", int, 0, "updates between two looks at the program; 0: about fifty looks"),
    ("objective", str, "", "the metric runs are ranked by; by default the first return measured"),
    ("evaluate_every", int, 0, "updates between evaluations; 0: never"),
    ("episodes", int, 16, "episodes of an evaluation"),
    ("against", tuple[str, ...], (), "groups that an opponent plays in evaluations"),
    ("opponent", str, "random", "who plays them"),
    ("out", Path | None, None, "the folder to write, new; by default under runs/"),
    ("resume", bool, False, "go on with the sweep in that folder"),
    ("quiet", bool, False, "show no progress"),
)


def _train_options(algorithm: str, environment: str) -> type:
    """Returns a dataclass of all that `train` can be told about this pair, with defaults."""
    config = registry.config_type(algorithm)
    parameters = registry.environment_options(environment)
    fields = [(p.name, p.annotation, dataclasses.field(default=p.default)) for p in
              parameters.values() if p.default is not inspect.Parameter.empty]  # fmt: skip
    env = dataclasses.make_dataclass("Environment", fields, frozen=True)
    hparams = registry.make_algorithm(algorithm, registry.make_environment(environment)).hparams
    declared = [(f.name, float, getattr(hparams, f.name)) for f in hp.fields(hparams)]
    numbers = dataclasses.make_dataclass("Hparams", declared, frozen=True)
    return dataclasses.make_dataclass(
        "Train",
        [
            *(
                (name, Annotated[kind, tyro.conf.arg(help=text)], default)
                for name, kind, default, text in TRAIN_OPTIONS
            ),
            ("hparams", numbers, dataclasses.field(default=numbers())),
            ("config", config, dataclasses.field(default=config())),
            ("env", env, dataclasses.field(default=env())),
        ],
        namespace={"__doc__": f"Train {algorithm} in {environment}."},
    )


def _changed(options: Any) -> dict[str, Any]:
    """Returns the fields of a dataclass that are not at their defaults."""
    return {
        f.name: getattr(options, f.name)
        for f in dataclasses.fields(options)
        if getattr(options, f.name) != f.default
    }


def _go(spec: Spec, out: Path | None, resume: bool, quiet: bool, line: str) -> None:
    try:
        folder = run(spec, out, resume, quiet)
    except Stopped as stopped:
        where = f" --out {out}" if out and "--out" not in line else ""
        line = line.replace(" --resume", "")
        CONSOLE.print(
            f"{stopped}; all is saved. To go on:\n  {line}{where} --resume",
            markup=False,
            soft_wrap=True,
        )
        raise SystemExit(130) from None
    _show(folder)


def _show(folder: Path) -> None:
    _, goal, rows = publish(folder)
    CONSOLE.print(terminal_table(rows, goal))
    CONSOLE.print(f"{Path(folder) / 'report.html'}", markup=False, soft_wrap=True)


def _use_all_cores() -> None:
    """Makes each CPU core a device, so that the runs of a sweep are spread over them.

    A program of many small steps keeps one core busy; two cores do two runs at a time. Without
    effect on accelerators, where the user has said otherwise, or once JAX has started.
    """
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)


COMMANDS = {"sweep": sweep, "train": train, "report": report, "study": study, "list": list_}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command; what the user got wrong is told in one line, with exit code 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _use_all_cores()
    if not arguments or arguments[0] in ("-h", "--help"):
        CONSOLE.print(f"usage: jaxmarl-core {{{','.join(COMMANDS)}}} ...\n", markup=False)
        for name, command in COMMANDS.items():
            line = (inspect.getdoc(command) or "").splitlines()[0]
            CONSOLE.print(f"  {name:7} {line}", markup=False)
        raise SystemExit(0 if arguments else 2)
    try:
        command = lookup(COMMANDS, arguments[0], "command")
        if command is train:
            train(arguments[1:])
        else:
            tyro.cli(command, args=arguments[1:], prog=f"jaxmarl-core {arguments[0]}")
    except (ValueError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
