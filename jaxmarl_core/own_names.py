"""Builders that are not this library's, by name: "my_module:my_algorithm".

A name may come from a file that somebody sent, so it must not be able to call whatever there is:
only what says of itself that it makes an environment, an algorithm or a player is ever called.
"""

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any, get_type_hints

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.play.policies import Player
from jaxmarl_core.types import Algorithm, Environment


def load(name: str, kind: str) -> Callable:
    """Returns what "module:name" names; the module is imported, from here or as it is installed.

    Raises:
      ValueError: there is no such module, or it has no such name (with the nearest).
    """
    module_name, _, attribute = name.partition(":")
    words = [*module_name.split("."), attribute]
    fits = all(word.isidentifier() for word in words)
    require(fits, kind, 'a name of the list, or "module:name" as in "my_module:my_world"', name)
    _see_this_folder()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; what it imports is not
        expected = f"a module {module_name} in {os.getcwd()} or installed"
        raise ValueError(f"{kind}: expected {expected}, got {name!r}") from None
    found = vars(module).get(attribute)
    if found is None:
        public = [x for x, value in vars(module).items() if callable(value) and x[0] != "_"]
        raise ValueError(unknown(f"{kind} in {module_name}", attribute, public))
    return found


def _see_this_folder() -> None:
    """Puts the current folder behind all others that Python imports from.

    It is found there by `python -m` and in a notebook, but not by a command that is installed.
    """
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
        importlib.invalidate_caches()


def builds_environment(found: Any) -> bool:
    """Returns whether it is an environment's class, or a function annotated to return one."""
    return _is_environment(found if inspect.isclass(found) else _returns(found))


def builds_algorithm(found: Any) -> bool:
    """Returns whether it is a function annotated to return an Algorithm."""
    return _returns(found) is Algorithm


def builds_player(found: Any) -> bool:
    """Returns whether it is a function annotated to return a Player."""
    return _returns(found) is Player


def _returns(found: Any) -> Any:
    """Returns the class that a function says it returns; None if it says nothing."""
    if not inspect.isfunction(found):
        return None
    told = found.__annotations__.get("return")
    if not isinstance(told, str):
        return told
    alone = type("Alone", (), {"__annotations__": {"return": told}})
    try:  # alone, as another annotation may name what is imported for type checkers only
        return get_type_hints(alone, found.__globals__)["return"]
    except NameError:
        return None


def _is_environment(kind: Any) -> bool:
    is_one = inspect.isclass(kind) and all(hasattr(kind, x) for x in ("groups", "reset", "step"))
    return kind is Environment or is_one
