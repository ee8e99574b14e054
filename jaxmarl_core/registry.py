"""From names and plain values to environments and algorithms; the one core file that sees both.

What a builder may be told is read off its signature, so that a recipe or an environment is
registered by one line and every option of it is known to specs and to the command line.

A name is one of the lists', or "module:name", yours: `algorithm = "my_module:my_algorithm"`,
`environment = "my_package.worlds:maze"`. The module is one that is installed, or lies in the folder
one is in.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxmarl_core import own_names
from jaxmarl_core.algos import ALGORITHMS
from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.errors import lookup, require, unknown
from jaxmarl_core.types import Algorithm, Environment


def environment_builder(name: str) -> Callable[..., Environment]:
    """Returns the builder of that name; ValueError names the nearest, or what is wrong with it."""
    if ":" not in name:
        return lookup(ENVIRONMENTS, name, "environment")
    found = own_names.load(name, "environment")
    expected = 'a function that says "-> Environment", or a class with groups, reset and step'
    require(own_names.builds_environment(found), f"environment {name}", expected, repr(found))
    return found


def algorithm_builder(name: str) -> Callable[..., Algorithm]:
    """Returns the builder of that name; ValueError names the nearest, or what is wrong with it."""
    if ":" not in name:
        return lookup(ALGORITHMS, name, "algorithm")
    found = own_names.load(name, "algorithm")
    expected = 'a function of an environment that says "-> Algorithm"'
    require(own_names.builds_algorithm(found), f"algorithm {name}", expected, repr(found))
    return found


def environment_options(name: str) -> dict[str, inspect.Parameter]:
    """Returns option -> parameter of an environment's builder; ValueError names the nearest."""
    builder = environment_builder(name)
    try:
        return dict(inspect.signature(builder, eval_str=True).parameters)
    except NameError:  # a type that is imported for type checkers alone
        return dict(inspect.signature(builder).parameters)


def make_environment(name: str, /, **options: Any) -> Environment:
    """Returns the environment of that name.

    Raises:
      ValueError: unknown name or option (with the nearest), or a value out of range.
      TypeError: a value of the wrong kind.
    """
    known = environment_options(name)
    defaults = {option: parameter.default for option, parameter in known.items()}
    return environment_builder(name)(**_fit(options, defaults, name))


def config_type(name: str) -> type:
    """Returns the Config class of an algorithm; ValueError names the nearest algorithm."""
    parameter = inspect.signature(algorithm_builder(name)).parameters.get("config")
    if parameter is None:
        return NoConfig
    kind = type(parameter.default)
    expected = "`config` with a frozen dataclass for its default, as in `config: Config = Config()`"
    is_record = dataclasses.is_dataclass(kind)
    require(is_record, f"algorithm {name}", expected, repr(parameter.default))
    return kind


@dataclasses.dataclass(frozen=True)
class NoConfig:
    """The static options of an algorithm that has none."""


def make_algorithm(name: str, env: Environment, /, **config: Any) -> Algorithm:
    """Returns the algorithm of that name for an environment.

    Raises:
      ValueError: unknown name or option (with the nearest), a value out of range, or an
        environment the algorithm cannot learn in.
      TypeError: a value of the wrong kind.
    """
    kind = config_type(name)
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    told = kind(**_fit(config, defaults, name))
    build = algorithm_builder(name)
    return build(env) if kind is NoConfig else build(env, told)


def _fit(options: Mapping[str, Any], defaults: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Returns the options as the builder wants them, after a check of names and kinds."""
    fitted = {}
    for name, value in options.items():
        if name not in defaults:
            raise ValueError(unknown(f"{owner} option", name, defaults))
        value = _tuples(value)
        default = defaults[name]
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        known = default is not None and default is not inspect.Parameter.empty
        if known and type(value) is not type(default):
            expected = type(default).__name__
            raise TypeError(f"{name}: expected {expected}, got {type(value).__name__} {value!r}")
        fitted[name] = value
    return fitted


def _tuples(value: Any) -> Any:
    """Returns a list of a spec file as the tuple it stands for; options are hashable."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
