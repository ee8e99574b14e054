"""A suite: algorithms, worlds, and a sweep of each algorithm on each world, from one file.

    seeds = 8                                  # of all sweeps; any field of a spec may stand here
    env_steps = 100_000

    [algorithms.vdn]                           # a label; the algorithm itself unless told
    [algorithms.slow]
    algorithm = "iql"
    hparams = { learning_rate = 1e-4 }

    [environments.climbing]
    environment = "matrix_game"
    environment_options = { name = "climbing" }
    [environments.two_step_game]

    [[pairs]]                                  # what only some pairs have
    algorithm = "vdn"
    environment = "climbing"
    config = { hidden = [8] }

What is told of a pair counts before what is told of its algorithm, that before what is told of its
world, and that before what is told of all. Tables are merged entry by entry.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.sweeps.spec import Spec, check_name, from_dict, naming

ALGORITHMS, ENVIRONMENTS, PAIRS = "algorithms", "environments", "pairs"


class Pair(NamedTuple):
    """An algorithm on a world."""

    algorithm: str  # its label
    environment: str  # its label
    spec: Spec

    @property
    def folder(self) -> str:
        """The name of its folder in that of the suite."""
        return self.spec.name


def is_suite(path: str | Path) -> bool:
    """Returns whether a TOML file describes a suite; a file that cannot be read does not."""
    try:
        values = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError):  # `spec.load` says what is wrong
        return False
    return ALGORITHMS in values or ENVIRONMENTS in values


def load_suite(path: str | Path) -> list[Pair]:
    """Returns the sweeps of a suite, algorithm after algorithm on each world.

    Raises:
      ValueError, TypeError: what is wrong, with the file and the pair it is in.
    """
    path = Path(path)
    with naming(path):
        return pairs(tomllib.loads(path.read_text("utf-8")))


def pairs(values: Mapping[str, Any]) -> list[Pair]:
    """Returns the sweeps of a suite as nested plain values; see `load_suite`."""
    common = {n: x for n, x in values.items() if n not in (ALGORITHMS, ENVIRONMENTS, PAIRS, "name")}
    told = {kind: values.get(kind, {}) for kind in (ALGORITHMS, ENVIRONMENTS)}
    for kind, table in told.items():
        some = isinstance(table, Mapping) and len(table) > 0
        require(some, kind, "a table for each label", table)
        for label, own in table.items():
            require(isinstance(own, Mapping), f"{kind}.{label}", "a table", repr(own))
    also = _overrides(values.get(PAIRS, []), told)
    found = []
    for algorithm, own in told[ALGORITHMS].items():
        for environment, world in told[ENVIRONMENTS].items():
            names = {"algorithm": algorithm, "environment": environment}
            merged = merge(names, merge(common, world))
            merged = merge(merged, own)
            for override in also.get((algorithm, environment), []):
                merged = merge(merged, override)
            where = f"{algorithm} on {environment}"
            with naming(where):
                name = f"{algorithm}-{environment}".replace(":", ".")
                check_name(name)
                label = "" if merged["algorithm"] == algorithm else algorithm
                merged |= {"name": name, "label": label}
                found.append(Pair(algorithm, environment, from_dict(merged)))
    places = [pair.folder for pair in found]
    require(len(set(places)) == len(places), ALGORITHMS, "labels that make distinct names", places)
    return found


def _overrides(
    listed: Any, told: Mapping[str, Mapping[str, Any]]
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Returns (algorithm, environment) -> what is told of that pair alone."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    require(isinstance(listed, list), PAIRS, "[[pairs]], a table each", repr(listed))
    for number, entry in enumerate(listed):
        own = dict(entry)
        labels = []
        for name, kind in (("algorithm", ALGORITHMS), ("environment", ENVIRONMENTS)):
            label = own.pop(name, None)
            field = f"{PAIRS}[{number}].{name}"
            require(label is not None, field, "a label", "nothing")
            if label not in told[kind]:
                raise ValueError(unknown(field, str(label), told[kind]))
            labels.append(label)
        found.setdefault((labels[0], labels[1]), []).append(own)
    return found


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Returns both, tables entry by entry; where both have a value, that of `above`."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge(merged[name], value) if both else value
    return merged
