"""What a recipe says of its engine's Config: the defaults that are its own, the options it lacks.

An engine has one `Config`. A field that recipes differ in is None there, "as the recipe has it":

    def haa2c(env: Environment, config: Config = Config()) -> Algorithm:
        config = with_defaults(config, share="none", num_epochs=1, num_minibatches=1)

so that no recipe takes another's default in silence, whatever else of the Config was set.
"""

import dataclasses
from typing import Any, TypeVar, get_args, get_type_hints

from jaxmarl_core.errors import unknown

Config = TypeVar("Config")
Option = TypeVar("Option")


def with_defaults(config: Config, **defaults: Any) -> Config:
    """Returns the config with every named field that is None at the recipe's default."""
    known = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    for name in defaults:
        if name not in known:
            raise ValueError(unknown("config", name, known))
    unset = {name: x for name, x in defaults.items() if getattr(config, name) is None}
    return dataclasses.replace(config, **unset)  # type: ignore[type-var]


def decided(option: Option | None) -> Option:
    """Returns an option that the recipe has a default for, and so is not None."""
    assert option is not None, "an option without the recipe's default"
    return option


def refuse(algorithm: str, config: Any, **reasons: str) -> None:
    """Raises ValueError if an option was set that the algorithm does not have.

    The message reads `critic: ippo has no such option, as its critics see what agents see; got
    'agent'`.

    Args:
      algorithm: its name.
      config: the engine's.
      reasons: option -> why there is none.
    """
    for name, reason in reasons.items():
        value = getattr(config, name)
        if value is not None:
            raise ValueError(f"{name}: {algorithm} has no such option, {reason}; got {value!r}")


def with_own_options(algorithm: str, config: Config, **defaults: Any) -> Config:
    """Returns the config with these options of the recipe, and refuses all others it might lack.

    For an engine whose every optional field, None in its Config, is one that only some recipes
    have: those that are not named here must not have been set. The message reads `embed: vdn has
    no such option, beside the engine's it has none; got 32`.

    Args:
      algorithm: its name.
      config: the engine's.
      defaults: option of the recipe's own -> what it is if nothing else was said.
    """
    optional = [field.name for field in dataclasses.fields(config) if field.default is None]  # type: ignore[arg-type]
    reason = f"beside the engine's it has {' and '.join(defaults) or 'none'}"
    refuse(algorithm, config, **{name: reason for name in optional if name not in defaults})
    return with_defaults(config, **defaults)


def option_kinds(config: type) -> dict[str, type]:
    """Returns option -> what it holds where it is not None: int, float, str, bool or tuple."""
    kinds = {}
    for name, hint in get_type_hints(config).items():
        alternatives = [x for x in get_args(hint) if x is not type(None)]
        optional = type(None) in get_args(hint)
        hint = alternatives[0] if optional else hint
        kinds[name] = getattr(hint, "__origin__", hint)
    return kinds


def require_kinds(config: Any) -> None:
    """Raises TypeError if an option holds another kind of thing than it is declared to.

    The message reads `num_epochs: expected int, got str '4'`. None is of any kind if it is the
    option's default; an int is a float; what should be True or False, or a tuple, is left to the
    check of its value.
    """
    kinds = option_kinds(type(config))
    for field in dataclasses.fields(config):
        value, kind = getattr(config, field.name), kinds[field.name]
        if (value is None and field.default is None) or kind in (bool, tuple):
            continue
        if type(value) is not kind and not (kind is float and type(value) is int):
            got = f"{type(value).__name__} {value!r}"
            raise TypeError(f"{field.name}: expected {kind.__name__}, got {got}")


def require_own(algorithm: str, config: Any, kind: type) -> None:
    """Raises TypeError unless the config is of the algorithm's own kind.

    The message reads `config: q_learning takes jaxmarl_core.algos.tabular.engine.Config, got
    jaxmarl_core.algos.tabular.nash_q.Config`.
    """
    if type(config) is not kind:
        full = lambda kind: f"{kind.__module__}.{kind.__qualname__}"
        raise TypeError(f"config: {algorithm} takes {full(kind)}, got {full(type(config))}")
