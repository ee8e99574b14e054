"""Errors that say what was expected: names, values, and packages that are not installed."""

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

_FEW = 8  # names that are all listed in a message


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Returns the message for a wrong name: up to three near ones, and all where they are few."""
    known = sorted(known)
    plain = {_plain(each): each for each in known}
    near = difflib.get_close_matches(_plain(name), plain, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(plain[each]) for each in near)}?" if near else ""
    few = len(known) <= _FEW
    names = ", ".join(known) if few else f"{len(known)} names ({', '.join(known[:3])}, ...)"
    return f"{kind}: expected one of {names}; got {name!r}{hint}"


def lookup(registry: Mapping[str, Any], name: str, kind: str) -> Any:
    """Returns `registry[name]`; raises ValueError with the nearest name if it is not there."""
    if name not in registry:
        raise ValueError(unknown(kind, name, registry))
    return registry[name]


def require(condition: bool, field: str, expected: str, got: Any) -> None:
    """Raises ValueError "field: expected ..., got ..." unless the condition holds."""
    if not condition:
        raise ValueError(f"{field}: expected {expected}, got {got}")


def require_sizes(field: str, sizes: Any) -> None:
    """Raises ValueError unless `sizes` is a tuple of integers of at least 1; it may be empty."""
    fits = isinstance(sizes, tuple) and all(isinstance(x, int) and x >= 1 for x in sizes)
    require(fits, field, "a tuple of sizes, each at least 1", sizes)


def package(name: str, extra: str, field: str) -> Any:
    """Returns a package that one of our extras installs, imported where it is used.

    Raises:
      ValueError: it is not installed; says how.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        expected = f"the extra, pip install 'jaxmarl-core[{extra}]'"
        raise ValueError(f"{field}: expected {expected}, got no {name}") from None
