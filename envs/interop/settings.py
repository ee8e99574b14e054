"""Settings of another library's constructor, said in a spec file as JSON."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jaxmarl_core.errors import require, unknown


def parsed(field: str, value: str | Mapping[str, Any]) -> dict[str, Any]:
    """Returns settings given as a JSON object or a mapping; lists become tuples.

    Raises:
      ValueError: no JSON, or no object.
    """
    settings: Any = value
    if isinstance(value, str):
        try:
            settings = json.loads(value or "{}")
        except json.JSONDecodeError as error:
            raise ValueError(f"{field}: expected a JSON object, got {value!r}: {error}") from None
    require(isinstance(settings, Mapping), field, "a JSON object", settings)
    return {name: _tuples(item) for name, item in settings.items()}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def checked(field: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raises ValueError with the nearest name if a name is not known."""
    known = list(known)
    for name in names:
        if name not in known:
            raise ValueError(unknown(field, name, known))


def parameters(constructor: Callable) -> set[str]:
    """Returns what a class may be told by name, passed on to its bases included."""
    named = set()
    for each in inspect.getmro(constructor) if inspect.isclass(constructor) else (constructor,):
        if "__init__" not in vars(each) and inspect.isclass(each):
            continue
        own = inspect.signature(each).parameters.values()
        named |= {p.name for p in own if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            break  # nothing goes further up by name
    return named
