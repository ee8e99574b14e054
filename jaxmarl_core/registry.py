"""From names and plain values to environments and algorithms; the one core file that sees both.

What a builder may be told is read off its signature, so that a recipe or an environment is
registered by one line and every option of it is known to specs and to the command line.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxmarl_core.algos import ALGORITHMS
from jaxmarl_core.envs import ENVIRONMENTS
from jaxmarl_core.errors import lookup, unknown
from jaxmarl_core.types import Algorithm, Environment


def environment_options(name: str) -> dict[str, inspect.Parameter]:
    """Returns option -> parameter of an environment's builder; ValueError names the nearest."""
    builder = lookup(ENVIRONMENTS, name, "environment")
    return dict(inspect.signature(builder).parameters)


def make_environment(name: str, /, **options: Any) -> Environment:
    """Returns the environment of that name.

    Raises:
      ValueError: unknown name or option (with the nearest), or a value out of range.
      TypeError: a value of the wrong kind.
    """
    known = environment_options(name)
    defaults = {option: parameter.default for option, parameter in known.items()}
    return ENVIRONMENTS[name](**_fit(options, defaults, name))


def config_type(name: str) -> type:
    """Returns the Config class of an algorithm; ValueError names the nearest algorithm."""
    builder: Callable = lookup(ALGORITHMS, name, "algorithm")
    return type(inspect.signature(builder).parameters["config"].default)


def make_algorithm(name: str, env: Environment, /, **config: Any) -> Algorithm:
    """Returns the algorithm of that name for an environment.

    Raises:
      ValueError: unknown name or option (with the nearest), a value out of range, or an
        environment the algorithm cannot learn in.
      TypeError: a value of the wrong kind.
    """
    kind = config_type(name)
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    return ALGORITHMS[name](env, kind(**_fit(config, defaults, name)))


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
