"""The table `[search]` of a spec: which search, and its options, checked."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxmarl_core.errors import lookup, require, unknown
from jaxmarl_core.sweeps.search.asking import Asking
from jaxmarl_core.sweeps.search.halving import Halving
from jaxmarl_core.sweeps.search.population import Population

KINDS: dict[str, type] = {"halving": Halving, "population": Population, "optuna": Asking}


def search_of(table: Mapping[str, Any]) -> Any:
    """Returns the options of a search as its own record; None for an empty table.

    Raises:
      ValueError, TypeError: an unknown kind or option (with the nearest), one that is missing, or a
        value that is out of range or of the wrong type.
    """
    if not table:
        return None
    options = dict(table)
    require("kind" in options, "search.kind", f"one of {', '.join(KINDS)}", "nothing")
    kind = lookup(KINDS, str(options.pop("kind")), "search.kind")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name, value in list(options.items()):
        if name not in fields:
            raise ValueError(unknown("search", name, fields))
        _check_type(f"search.{name}", value, fields[name].type)
        options[name] = tuple(value) if isinstance(value, list) else value
    for name, field in fields.items():
        given = name in options or field.default is not dataclasses.MISSING
        require(given, f"search.{name}", "a value", "nothing")
    return kind(**options)


def _check_type(name: str, value: Any, declared: Any) -> None:
    wanted = {float: (int, float), tuple: (list, tuple)}.get(declared, declared)
    fits = isinstance(value, wanted) and (declared is bool or not isinstance(value, bool))
    if not fits:
        raise TypeError(f"{name}: expected {declared.__name__}, got {value!r}")
