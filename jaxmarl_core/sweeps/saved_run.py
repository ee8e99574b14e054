"""A policy out of the folder of a sweep: which run, what it learnt, and where it plays.

    policy, params, env = load_policy("runs/battle_mfq")
    state, timestep = env.reset(key)
    actions, memory = policy.greedy(params, key, timestep, policy.memory())

Nothing is compiled, no device is asked for, and nothing in a file is executed: the folder names an
algorithm and an environment, which are built again, and holds numbers, which are checked against
what was built.
"""

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.registry import make_algorithm, make_environment
from jaxmarl_core.store import policy_file, sweep_folder
from jaxmarl_core.store.checkpoint import saved_steps
from jaxmarl_core.store.saved_params import saved_params
from jaxmarl_core.store.tables import Results, final, key_of, options
from jaxmarl_core.sweeps.spec import Spec, from_dict, variants
from jaxmarl_core.sweeps.worker import objective
from jaxmarl_core.types import Algorithm, Environment, Params, Policy

Which = str | int | Mapping[str, Any]  # "best", a run's number, or options it was run with


class LoadedPolicy(NamedTuple):
    """A policy, the parameters it learnt, and the environment it learnt in."""

    policy: Policy
    params: Params
    env: Environment


class SavedRun(NamedTuple):
    """What is known of a run of a sweep, or of a policy that has left it."""

    description: dict[str, Any]  # algorithm, environment, their options, run, ...; plain values
    algorithm: Algorithm
    env: Environment
    params: Params


def load_policy(folder: str | Path, run: Which = "best") -> LoadedPolicy:
    """Returns (policy, params, env) of a run of a sweep, or of an exported policy.

    Args:
      folder: of a sweep, finished or not, or what `jaxmarl-core export` wrote.
      run: "best" by the sweep's objective; a run's number; or hyper-parameters and options by
        name, of which the best run is taken: `{"learning_rate": 3e-4}`.

    Raises:
      ValueError: no such folder or run, nothing saved yet, or numbers that do not fit.
    """
    found = load_run(folder, run)
    return LoadedPolicy(found.algorithm.policy, found.params, found.env)


def load_run(folder: str | Path, run: Which = "best") -> SavedRun:
    """Returns a run with all that is known of it; arguments and errors as of `load_policy`."""
    folder = Path(folder)
    if policy_file.holds_policy(folder):
        require(run == "best", "run", '"best", as an exported policy is one', repr(run))
        return _exported(folder)
    spec = from_dict(sweep_folder.read_spec(folder))
    results = sweep_folder.read(folder)
    record = results.runs[find_run(results, spec, run, _saved(folder))]
    part_folder, place = _place(folder, record["run"])
    (variant,) = [v for v in variants(spec) if key_of(v.static) == key_of(record["static"])]
    params = saved_params(part_folder, place, _like(variant.algorithm))
    description = describe(spec, record) | {"facts": dict(results.facts)}
    return SavedRun(description, variant.algorithm, variant.env, params)


def find_run(results: Results, spec: Spec, run: Which, saved: Container[int] | None = None) -> int:
    """Returns the position in `results.runs` of what `load_policy` is asked for.

    Args:
      results: of a sweep.
      spec: the sweep's.
      run: see `load_policy`.
      saved: numbers of the runs that the best is among; None: all.
    """
    if isinstance(run, int | np.integer):
        numbers = [record["run"] for record in results.runs]
        require(run in numbers, "run", f"one of the {len(numbers)} runs of the sweep", run)
        return numbers.index(run)
    if isinstance(run, str):
        require(run == "best", "run", '"best", a number, or options by name', repr(run))
        run = {}
    known = {name for record in results.runs for name in options(record)}
    for name in run:
        if name not in known:
            raise ValueError(unknown("run", name, known))
    own = np.array([_has(options(record), run) for record in results.runs])
    if not own.any():
        values = {n: sorted({str(options(r).get(n)) for r in results.runs}) for n in run}
        require(False, "run", f"options of one of the runs, {values}", dict(run))
    goal = objective(spec, results)
    figures = final(results, goal) * (1 if goal.higher_is_better else -1)
    kept = np.array([saved is None or record["run"] in saved for record in results.runs])
    figures = np.where(own & kept, figures, np.nan)
    if np.isnan(figures).all():
        require(False, "run", f"one that has a final {goal.metric}", "none; say which by number")
    return int(np.nanargmax(figures))


def describe(spec: Spec, record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a run was: algorithm, environment and all options it was told, and its number.

    Args:
      spec: of the sweep.
      record: of the run, as `sweep_folder.write_runs` takes it.
    """
    static = record["static"]
    own = lambda kind: {name: static[name] for name in spec.grid.get(kind, {}) if name in static}
    return {
        "algorithm": spec.algorithm,
        "environment": spec.environment,
        "environment_options": {**spec.environment_options, **own("environment_options")},
        "config": {**spec.config, **own("config")},
        "hparams": dict(record["hparams"]),
        "run": record["run"],
        "seed": record["seed"],
        "opponents": dict(spec.evaluation.opponents),
    }


def _has(own: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Returns whether a run has these options; numbers are compared as the float32 they became."""

    def same(a: Any, b: Any) -> bool:
        number = lambda x: isinstance(x, int | float | np.number) and not isinstance(x, bool)
        if number(a) and number(b):
            return bool(np.float32(a) == np.float32(b))
        return key_of(a) == key_of(b)

    return all(name in own and same(own[name], value) for name, value in asked.items())


def _saved(folder: Path) -> set[int]:
    """Returns the numbers of the runs of which there is a checkpoint."""
    return {
        record["run"]
        for part_folder in sweep_folder.part_folders(folder)
        if saved_steps(part_folder / "checkpoints")
        for record in sweep_folder.read_runs(part_folder)
    }


def _place(folder: Path, number: int) -> tuple[Path, int]:
    """Returns the folder of the part that a run is in, and its place there."""
    for part_folder in sweep_folder.part_folders(folder):
        numbers = [record["run"] for record in sweep_folder.read_runs(part_folder)]
        if number in numbers:
            return part_folder, numbers.index(number)
    raise ValueError(f"run: expected one of the sweep in {folder}, got {number}")


def _like(algorithm: Algorithm) -> Params:
    """Returns the shapes of an algorithm's parameters; nothing is computed."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    hparams = jax.tree.map(lambda x: np.float32(x), algorithm.hparams)
    return jax.eval_shape(algorithm.init, key, hparams).params


def _exported(folder: Path) -> SavedRun:
    said = policy_file.read_description(folder)
    for name in ("environment", "environment_options", "algorithm", "config", "run", "opponents"):
        require(name in said, f"{folder / policy_file.DESCRIPTION}", f"a field {name!r}", "none")
    env = make_environment(said["environment"], **said["environment_options"])
    algorithm = make_algorithm(said["algorithm"], env, **said["config"])
    return SavedRun(said, algorithm, env, policy_file.read_params(folder, _like(algorithm)))
