"""Hyper-parameters: one declaration gives the default, the check, the grid and the random draw.

    @struct.dataclass
    class Hparams:
        learning_rate: float = hparam(3e-4, low=0.0, high=1.0, scale="log")

Every leaf only enters arithmetic, so that it may be a tracer: changing one never compiles again,
and a leading axis on each leaf is a sweep.

An engine declares all that its recipes read. A number that only some of them have is declared
without a default, `hparam(None, ...)`: it is None, and so no leaf, where no recipe gives it one.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core.errors import require, unknown


def hparam(
    default: float | None, low: float = -np.inf, high: float = np.inf, scale: str = "linear"
) -> Any:
    """Declares a field of an Hparams struct.

    Args:
      default: its value if nothing else is said; None: only some recipes have this number.
      low, high: the valid range, both ends included.
      scale: "linear" or "log", how random search draws it and how a report draws its axis.
    """
    within = default is None or low <= default <= high
    require(within, "default", f"in [{low:g}, {high:g}]", default)
    require(scale in ("linear", "log"), "scale", "'linear' or 'log'", repr(scale))
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "scale": scale})


def fields(hparams: Any) -> tuple[dataclasses.Field, ...]:
    """Returns the declarations of the numbers that these hparams have: those that are not None."""
    return tuple(f for f in dataclasses.fields(hparams) if getattr(hparams, f.name) is not None)


def names(hparams: Any) -> tuple[str, ...]:
    """Returns the names of the numbers that these hparams have."""
    return tuple(field.name for field in fields(hparams))


def _range(field: dataclasses.Field) -> tuple[float, float]:
    """Returns what a field may hold; anything, if it was not declared by `hparam`."""
    return field.metadata.get("low", -np.inf), field.metadata.get("high", np.inf)


def check(hparams: Any) -> None:
    """Checks values ([] or [H] per field) on the host; raises ValueError naming field and row.

    The message reads `gamma: expected in [0, 1], got 1.2 in row 3`. NaN is out of every range.
    """
    for field in fields(hparams):
        # All in float32, as the leaves are: float32(0.1) is above 0.1, and yet at a bound of 0.1.
        value = np.asarray(getattr(hparams, field.name), dtype=np.float32)
        low, high = _range(field)
        wrong = ~((value >= np.float32(low)) & (value <= np.float32(high)))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            where = f" in row {row}" if value.ndim else ""
            expected = f"in [{low:g}, {high:g}]"
            require(False, field.name, expected, f"{value.reshape(-1)[row]:g}{where}")


def _checked_names(defaults: Any, given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in names(defaults):
            raise ValueError(unknown("hparams", name, names(defaults)))


def table(defaults: Any, **columns: Any) -> Any:
    """Returns hparams whose every leaf is [H] f32: the given columns, the rest at their defaults.

    Raises ValueError for an unknown field, columns of different lengths, or a value out of range.
    """
    _checked_names(defaults, columns)
    columns = {name: np.atleast_1d(np.asarray(col, np.float32)) for name, col in columns.items()}
    for name, column in columns.items():
        require(column.ndim == 1 and len(column) > 0, name, "a column of values", column.shape)
    lengths = {name: len(col) for name, col in columns.items()}
    require(len(set(lengths.values())) <= 1, "columns", "columns of one length", lengths)
    length = next(iter(lengths.values()), 1)
    full = {name: np.full(length, getattr(defaults, name), np.float32) for name in names(defaults)}
    leaves = {name: jnp.asarray(column) for name, column in (full | columns).items()}
    found = dataclasses.replace(defaults, **leaves)
    check(found)
    return found


def grid(defaults: Any, **axes: Sequence[float]) -> Any:
    """Returns the full factorial of `axes` as hparams with leaves [H]; the last axis runs fastest.

    grid(Hparams(), learning_rate=[1e-3, 1e-4], clip=[0.1, 0.2]) has H = 4 rows.
    """
    _checked_names(defaults, axes)
    for name, axis in axes.items():
        require(len(np.atleast_1d(axis)) > 0, name, "at least one value", "none")
    points = list(itertools.product(*(np.atleast_1d(axis) for axis in axes.values())))
    columns = {name: [point[i] for point in points] for i, name in enumerate(axes)}
    return table(defaults, **columns)


def sample(key: jax.Array, defaults: Any, num: int, **ranges: tuple[float, float]) -> Any:
    """Returns `num` random rows, leaves [num]: each named field drawn from its (low, high).

    Uniform, or log-uniform where the field is declared with scale="log" (low must be positive).
    Bergstra & Bengio, 2012, JMLR 13: random search covers the axes that matter better than a grid.
    """
    _checked_names(defaults, ranges)
    require(num >= 1, "num", "at least 1", num)
    declared = {field.name: field for field in fields(defaults)}
    columns = {}
    for name, (low, high) in ranges.items():
        require(low < high, name, "a range (low, high) with low < high", (low, high))
        least, most = _range(declared[name])
        within = least <= low and high <= most
        require(within, name, f"a range within [{least:g}, {most:g}]", (low, high))
        key, key_draw = jax.random.split(key)
        unit = np.asarray(jax.random.uniform(key_draw, (num,)), np.float64)
        if declared[name].metadata.get("scale") == "log":
            require(low > 0, name, "a positive low end on a log scale", low)
            columns[name] = low * (high / low) ** unit
        else:
            columns[name] = low + (high - low) * unit
    return table(defaults, **columns)


def row(table: Any, index: int) -> Any:
    """Returns row `index` of hparams with leaves [H], as hparams with leaves []."""
    return jax.tree.map(lambda leaf: leaf[index], table)


def num_rows(table: Any) -> int:
    """Returns H, the number of rows of hparams with leaves [H]."""
    return len(jax.tree.leaves(table)[0])
