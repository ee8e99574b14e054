"""Published experiments of the classical literature, each done again: one file a study."""

import pkgutil

from jaxmarl_core.lazy import first_line


def names() -> list[str]:
    """Returns the names of all studies; none is imported."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def descriptions() -> dict[str, str]:
    """Returns name -> the first line of what each study says of itself; none is imported."""
    return {name: first_line(f"{__name__}.{name}") for name in names()}
