"""Train one algorithm in one environment: `train ALGO ENV [options]`; `--help` for them all."""

import dataclasses
import inspect
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro

from jaxmarl_core import hparams as hp
from jaxmarl_core import registry
from jaxmarl_core.algos import ALGORITHMS
from jaxmarl_core.cli.help_texts import never, number_text, option_texts
from jaxmarl_core.cli.running import CONSOLE, run_and_show, use_all_cores
from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.errors import require
from jaxmarl_core.play.matchmaking import League
from jaxmarl_core.play.self_play import SelfPlay
from jaxmarl_core.sweeps.opponents import Opponents, algorithm_against
from jaxmarl_core.sweeps.spec import Evaluation, Spec
from jaxmarl_core.types import Algorithm, Environment


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core train ALGORITHM ENVIRONMENT [options]`."""
    names = [a for a in arguments[:2] if not a.startswith("-")]
    if len(names) < 2:
        algorithms, environments = list(ALGORITHMS), list(ENVIRONMENTS)
        CONSOLE.print("usage: jaxmarl-core train ALGORITHM ENVIRONMENT [options]\n", markup=False)
        CONSOLE.print(f"  ALGORITHM    {', '.join(algorithms)}, or yours, module:name")
        CONSOLE.print(f"  ENVIRONMENT  {', '.join(environments)}, or yours, module:name\n")
        CONSOLE.print("Options depend on both: jaxmarl-core train mfq battle --help", markup=False)
        if not {"-h", "--help"} & set(arguments):
            raise SystemExit(2)
        return
    use_all_cores()
    algorithm, environment = names
    asked = parsed(algorithm, environment, list(arguments[2:]))
    given = {
        field.name: getattr(asked, field.name)
        for field in dataclasses.fields(Spec)
        if hasattr(asked, field.name)
        and field.name not in ("config", "hparams", "opponents", "pool", "league")
    }
    opponent: str = asked.opponent
    opponents = dict.fromkeys(asked.against, opponent)
    spec = Spec(
        algorithm=algorithm,
        environment=environment,
        environment_options=_changed(asked.env),
        config=_changed(asked.config),
        hparams={n: float(v) for n, v in _changed(asked.hparams).items()},
        evaluation=Evaluation(asked.evaluate_every, asked.episodes, 0, opponents),
        **_met(asked).to_dict(),
        **given,
    )
    line = ["jaxmarl-core", "train", *arguments]
    run_and_show(spec, asked.out, asked.resume, asked.quiet, line, asked.recut)


TRAIN_OPTIONS = (
    ("seeds", int, 1, "runs, one a seed"),
    ("first_seed", int, 0, "the lowest seed"),
    ("updates", int, 100, "updates of each run"),
    ("segment", int, 0, "updates between two looks at the program; 0: about fifty looks"),
    ("objective", str, "", "the metric runs are ranked by; by default the first return measured"),
    ("higher_is_better", bool, True, "whether more of it is better"),
    ("evaluate_every", int, 0, "updates between evaluations; 0: never"),
    ("episodes", int, 16, "episodes of an evaluation"),
    ("against", tuple[str, ...], (), "groups that an opponent plays in evaluations"),
    ("opponent", str, "random", "who plays them"),
    (
        "opponents",
        tuple[str, ...],
        (),
        "whom to learn against, as blue=pool: docs/opponents.md",
    ),
    ("out", Path | None, None, "the folder to write, new; by default under runs/"),
    ("resume", bool, False, "go on with the sweep in that folder; begin it where there is none"),
    ("recut", bool, False, "with --resume, cut what does not fit in memory into smaller parts"),
    ("quiet", bool, False, "show no progress"),
)


def parsed(algorithm: str, environment: str, arguments: list[str]) -> Any:
    """Returns what `train` was told.

    First the options of the environment and the Config are read, as the algorithm is built on
    them: which numbers it has, and whether it can learn there at all, may hang on both. Where it
    cannot, the help leaves the numbers out.
    """
    options = _static_options(algorithm, environment)
    helping = {"-h", "--help"} & set(arguments)
    first = [a for a in arguments if a not in ("-h", "--help")]
    prog = f"jaxmarl-core train {algorithm} {environment}"
    told: Any = tyro.cli(options, args=first, prog=prog, return_unknown_args=True)[0]
    try:
        env = registry.make_environment(environment, **_changed(told.env))
        make = partial(_made, algorithm, _changed(told.config))
        met = _met(told)
        # the numbers do not hang on whom a trained opponent is; its folder is read later
        standing = dict.fromkeys(met.folders, "random")
        met = dataclasses.replace(met, groups={**met.groups, **standing})
        hparams = algorithm_against(make, env, met, {}).hparams
    except (ValueError, TypeError) as refusal:
        if not helping:
            raise
        CONSOLE.print(f"With these options it is refused: {refusal}\n", markup=False)
        return tyro.cli(options, args=arguments, prog=prog)
    whole = _with_numbers(options, hparams)
    return tyro.cli(whole, args=arguments, prog=prog, config=(tyro.conf.AvoidSubcommands,))


def _static_options(algorithm: str, environment: str) -> type:
    """Returns a dataclass of what `train` can be told of this pair before it is built."""
    config = registry.config_type(algorithm)
    parameters = registry.environment_options(environment)
    builder = registry.environment_builder(environment)
    told = [p for p in parameters.values() if p.default is not inspect.Parameter.empty]
    env = _record("Environment", builder, [(p.name, p.annotation, p.default) for p in told])
    types = get_type_hints(config)
    kept = [(f.name, types[f.name], f.default) for f in dataclasses.fields(config)]
    static = _record("Config", config, kept)
    pool, league = (
        _record(name, owner, [(f.name, f.type, f.default) for f in dataclasses.fields(owner)])
        for name, owner in (("Pool", SelfPlay), ("League", League))
    )
    fields = [
        (name, Annotated[kind, tyro.conf.arg(help=text)], default)
        for name, kind, default, text in TRAIN_OPTIONS
    ]
    fields += [(name, kind, dataclasses.field(default=kind())) for name, kind in
               (("config", static), ("env", env), ("pool", pool), ("league", league))]  # fmt: skip
    namespace = {"__doc__": f"Train {algorithm} in {environment}."}
    return dataclasses.make_dataclass("Train", fields, namespace=namespace)


def _made(name: str, config: dict[str, Any], env: Environment) -> Algorithm:
    return registry.make_algorithm(name, env, **config)


def _met(asked: Any) -> Opponents:
    """Returns whom `train` was told to learn against."""
    pairs = [pair.partition("=") for pair in asked.opponents]
    for (group, sign, who), text in zip(pairs, asked.opponents):
        require(bool(group and sign and who), "opponents", "group=who, as blue=pool", repr(text))
    groups = {group: who for group, _, who in pairs}
    return Opponents(groups, _changed(asked.pool), _changed(asked.league))


def _with_numbers(options: type, hparams: Any) -> type:
    """Returns the dataclass with a section for the numbers of an algorithm."""
    declared = hp.fields(hparams)
    texts = option_texts(type(hparams), [f.name for f in declared])
    fields = []
    for f in declared:
        value = getattr(hparams, f.name)
        hint = "(default: never)" if never(value) else None
        text = number_text(f, texts[f.name])
        fields.append(
            (f.name, Annotated[float, tyro.conf.arg(help=text, help_behavior_hint=hint)], value)
        )
    numbers = dataclasses.make_dataclass("Hparams", fields, frozen=True)
    field = ("hparams", numbers, dataclasses.field(default=numbers()))
    namespace = {"__doc__": options.__doc__}
    return dataclasses.make_dataclass("Train", [field], bases=(options,), namespace=namespace)


def _record(name: str, owner: Any, options: list[tuple[str, Any, Any]]) -> type:
    """Returns a frozen dataclass of options (name, type, default) with their help texts."""
    texts = option_texts(owner, [option for option, *_ in options])
    fields = [
        (
            option,
            Annotated[kind, tyro.conf.arg(help=texts[option])],
            dataclasses.field(default=default),
        )
        for option, kind, default in options
    ]
    return dataclasses.make_dataclass(name, fields, frozen=True)


def _changed(options: Any) -> dict[str, Any]:
    """Returns the fields of a dataclass that are not at their defaults."""
    return {
        f.name: getattr(options, f.name)
        for f in dataclasses.fields(options)
        if getattr(options, f.name) != f.default
    }
