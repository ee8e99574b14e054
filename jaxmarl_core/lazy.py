"""Names that a package offers, known at once and imported on first use.

A package lists them in its stub, `__init__.pyi`, which editors and type checkers read:

    from jaxmarl_core.algos.on_policy.ippo import ippo as ippo

and its `__init__.py` takes the same list:

    __getattr__, __dir__, __all__ = lazy(__name__)

so that one line adds a name, and `import jaxmarl_core` imports nothing it does not need.
"""

import ast
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxmarl_core.errors import unknown


def listed(package: str) -> dict[str, tuple[str, str]]:
    """Returns name -> (the module it is imported from, its name there), as the stub has it."""
    file = sys.modules[package].__file__
    assert file is not None  # a package with a stub is a folder with an __init__.py
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text("utf-8"))
    return {
        alias.asname: (node.module, alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if alias.asname
    }


def lazy(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns `__getattr__`, `__dir__` and `__all__` of a package whose stub lists its names."""
    names = listed(package)

    def getattr_(name: str) -> Any:
        if name not in names:
            # also asked for dunder names, and by `import a.b`: an AttributeError, not ours
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = _load(*names[name])
        setattr(sys.modules[package], name, value)
        return value

    def dir_() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return getattr_, dir_, sorted(names)


def _load(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


class Registry(Mapping[str, Callable]):
    """The builders that a package's stub lists, by name; each is imported when it is asked for.

    Args:
      package: its name; the package must be imported.
    """

    def __init__(self, package: str):
        self._package = package
        self._names = listed(package)

    def __getitem__(self, name: str) -> Callable:
        if name not in self._names:
            raise KeyError(unknown(self._package, name, self._names))
        return _load(*self._names[name])

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def __len__(self) -> int:
        return len(self._names)

    def descriptions(self) -> dict[str, str]:
        """Returns name -> the first line of what its module says of itself; nothing is imported."""
        return {name: first_line(self._names[name][0]) for name in self}


def first_line(module: str) -> str:
    """Returns the first line of a module's docstring, read from its file."""
    top, *rest = module.split(".")
    file = sys.modules[top].__file__
    assert file is not None
    path = Path(file).parent.joinpath(*rest)
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n")[0]
