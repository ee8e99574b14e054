"""Print a spec file to start from: `jaxmarl-core spec ALGO ENV > my.toml`."""

import dataclasses
import inspect
import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import tyro

from jaxmarl_core import hparams as hp
from jaxmarl_core import registry
from jaxmarl_core.cli.help_texts import field_comments, never, number_text, option_texts
from jaxmarl_core.cli.running import begin
from jaxmarl_core.play.matchmaking import League
from jaxmarl_core.play.self_play import SelfPlay
from jaxmarl_core.sweeps.spec import Evaluation, Spec

TOP = ("name", "title", "first_seed", "segment", "checkpoint_seconds", "memory_gb",
       "devices_per_run", "objective", "higher_is_better", "mirrors")  # fmt: skip


def command(arguments: Sequence[str]) -> None:
    """Runs `jaxmarl-core spec`."""
    tyro.cli(spec, args=arguments, prog="jaxmarl-core spec")


def spec(
    algorithm: Annotated[str, tyro.conf.Positional],
    environment: Annotated[str, tyro.conf.Positional],
) -> None:
    """Print a spec file to start from, with every option at its default: spec ALGO ENV > my.toml

    Args:
      algorithm: its name, or module:name of your own.
      environment: likewise.
    """
    begin()
    print(template(algorithm, environment), end="")


def template(algorithm: str, environment: str) -> str:
    """Returns a spec file; lines that say no more than the defaults begin with "# "."""
    config = registry.config_type(algorithm)
    parameters = registry.environment_options(environment).values()
    told = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    builder = registry.environment_builder(environment)
    static = {f.name: f.default for f in dataclasses.fields(config)}
    pool, league = (
        {f.name: f.default for f in dataclasses.fields(owner)} for owner in (SelfPlay, League)
    )
    comments, plain = field_comments(Spec), Spec(algorithm, environment)
    lines = [
        f"# {algorithm} in {environment}; run it with: jaxmarl-core sweep FILE",
        "# Lines that begin with # are defaults: take the sign away to say something else.",
        f"algorithm = {_value(algorithm)}",
        f"environment = {_value(environment)}",
        "seeds = 4",
        "updates = 100",
        *_defaults({name: getattr(plain, name) for name in TOP}, comments),
        *_section("environment_options", told, option_texts(builder, told)),
        *_section("config", static, option_texts(config, static), "shapes the program"),
        *_numbers(algorithm, environment),
        *_section("evaluation", {f.name: f.default for f in dataclasses.fields(Evaluation)
                                 if f.name != "opponents"}, field_comments(Evaluation)),
        '# opponents = { GROUP = "random" }  # who plays a group instead of the learner',
        "",
        "[opponents]  # whom is learnt against",
        '# GROUP = "pool"  # or "self", "league", "random", "module:function", a folder of a sweep',
        *_section("pool", pool, option_texts(SelfPlay, pool), "of copies of the learner, if any"),
        *_section("league", league, option_texts(League, league), "for \"league\""),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _numbers(algorithm: str, environment: str) -> list[str]:
    """Returns the sections of the hyper-parameters, and a grid of the first."""
    try:
        hparams = registry.make_algorithm(algorithm, registry.make_environment(environment)).hparams
    except (ValueError, TypeError) as refusal:
        return ["", f"# with the defaults: {refusal}", "[hparams]"]
    declared = hp.fields(hparams)
    texts = option_texts(type(hparams), [f.name for f in declared])
    words = {
        f.name: number_text(f, texts[f.name])
        + (" (1e12: never)" if never(getattr(hparams, f.name)) else "")
        for f in declared
    }
    values = {f.name: getattr(hparams, f.name) for f in declared}
    if not values:
        return _section("hparams", values, words)
    name = "learning_rate" if "learning_rate" in values else next(iter(values))
    axis = sorted({values[name], values[name] / 2})
    fixed = {n: value for n, value in values.items() if n != name}
    lines = _section("hparams", fixed, words, "enter arithmetic alone")
    lines += ["", "[grid.hparams]  # each value with each other"]
    return [*lines, f"{name} = {_value(axis)}  # {words[name]}"]


def _section(name: str, values: dict[str, Any], texts: dict[str, str], word: str = "") -> list[str]:
    head = f"[{name}]  # {word}" if word else f"[{name}]"
    return ["", head, *_defaults(values, texts)]


def _defaults(values: dict[str, Any], texts: dict[str, str]) -> Iterable[str]:
    """Yields a line for each option that has a default; None, as the recipe has it, has no TOML."""
    for name, value in values.items():
        text = f"  # {texts[name]}" if texts.get(name) else ""
        shown = f"{name} = {_value(value)}" if value is not None else f"{name} = ..."
        yield f"# {shown}{text}"


def _value(value: Any) -> str:
    """Returns a value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)
