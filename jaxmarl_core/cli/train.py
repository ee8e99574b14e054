"""Train one algorithm in one environment: `train ALGO ENV [options]`; `--help` for them all."""

import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxmarl_core import hparams as hp
from jaxmarl_core import registry
from jaxmarl_core.algos import ALGORITHMS
from jaxmarl_core.cli.running import CONSOLE, run_and_show, use_all_cores
from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.sweeps.spec import Evaluation, Spec


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core train ALGORITHM ENVIRONMENT [options]`."""
    names = [a for a in arguments[:2] if not a.startswith("-")]
    if len(names) < 2:
        algorithms, environments = list(ALGORITHMS), list(ENVIRONMENTS)
        CONSOLE.print("usage: jaxmarl-core train ALGORITHM ENVIRONMENT [options]\n", markup=False)
        CONSOLE.print(f"  ALGORITHM    {', '.join(algorithms)}")
        CONSOLE.print(f"  ENVIRONMENT  {', '.join(environments)}\n")
        CONSOLE.print("Options depend on both: jaxmarl-core train mfq battle --help", markup=False)
        if not {"-h", "--help"} & set(arguments):
            raise SystemExit(2)
        return
    use_all_cores()
    algorithm, environment = names
    options = _train_options(algorithm, environment)
    asked: Any = tyro.cli(
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
    opponent: str = asked.opponent
    opponents = dict.fromkeys(asked.against, opponent)
    spec = Spec(
        algorithm=algorithm,
        environment=environment,
        environment_options=_changed(asked.env),
        config=_changed(asked.config),
        hparams={n: float(v) for n, v in dataclasses.asdict(asked.hparams).items()},
        evaluation=Evaluation(asked.evaluate_every, asked.episodes, 0, opponents),
        **given,
    )
    line = ["jaxmarl-core", "train", *arguments]
    run_and_show(spec, asked.out, asked.resume, asked.quiet, line)


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
    ("resume", bool, False, "go on with the sweep in that folder; begin it where there is none"),
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
