"""What a recipe says of its engine's Config: the defaults that are its own, the options it lacks.

An engine has one `Config`. A field that recipes differ in is None there, "as the recipe has it":

    def haa2c(env: Environment, config: Config = Config()) -> Algorithm:
        config = with_defaults(config, share="none", num_epochs=1, num_minibatches=1)

so that no recipe takes another's default in silence, whatever else of the Config was set.
"""

import dataclasses
from typing import Any, TypeVar

from jaxmarl_core.errors import unknown

Config = TypeVar("Config")


def with_defaults(config: Config, **defaults: Any) -> Config:
    """Returns the config with every named field that is None at the recipe's default."""
    known = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    for name in defaults:
        if name not in known:
            raise ValueError(unknown("config", name, known))
    unset = {name: x for name, x in defaults.items() if getattr(config, name) is None}
    return dataclasses.replace(config, **unset)  # type: ignore[type-var]


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
