"""A policy out of the folder of a sweep: which run, what it learnt, and where it plays.

    policy, params, env = load_policy("runs/battle_mfq")
    state, timestep = env.reset(key)
    actions, memory = policy.greedy(params, key, timestep, policy.memory())

Nothing is compiled, no device is asked for, and nothing in a file is executed: the folder names an
algorithm and an environment, which are built again, and holds numbers, which are checked against
what was built.
"""

import shutil
from collections.abc import Container, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

import jax
import numpy as np

from jaxmarl_core.errors import require, unknown
from jaxmarl_core.learners.replay import only_to_play
from jaxmarl_core.registry import make_algorithm, make_environment
from jaxmarl_core.store import policy_file, sweep_folder
from jaxmarl_core.store.checkpoint import saved_steps
from jaxmarl_core.store.saved_params import saved_params
from jaxmarl_core.store.tables import Results, dropped_at, final, key_of, options
from jaxmarl_core.sweeps.objective import objective
from jaxmarl_core.sweeps.opponents import (
    COPIES,
    Make,
    Opponents,
    Trained,
    algorithm_against,
    check_names,
    learnt_policy,
)
from jaxmarl_core.sweeps.spec import Spec, from_dict, naming, variants
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
    policy: Policy  # by the same parameters, of nobody else's: see `opponents.learnt_policy`
    learnt: frozenset[str]  # the groups that this policy has learnt to play
    opponents: "Mapping[str, SavedRun]" = MappingProxyType({})  # trained ones, group by group


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
    with only_to_play():
        return _load_run(Path(folder), run)


def in_world(run: SavedRun, options: Mapping[str, Any]) -> SavedRun:
    """Returns the run as it plays in another world of its environment, a larger one for instance.

    Args:
      run: as loaded.
      options: of the environment, in place of those it learnt with; the others stay.

    Raises:
      ValueError, TypeError: an unknown option, or a world for which the same learner would have
        parameters of other shapes.
    """
    if not options:
        return run
    known = {**run.description["environment_options"], **options}
    opponents = {group: in_world(other, options) for group, other in run.opponents.items()}
    with only_to_play():
        found = _built({**run.description, "environment_options": known}, opponents, run.params)
    shapes = lambda params: jax.tree.map(lambda x: (x.shape, str(x.dtype)), params)
    ours, theirs = shapes(run.params), shapes(_like(found.algorithm))
    expected = f"one where {run.description['algorithm']} has the same parameters"
    require(ours == theirs, "world", expected, ", ".join(f"{k}={x}" for k, x in options.items()))
    return found


def _load_run(folder: Path, run: Which) -> SavedRun:
    if policy_file.holds_policy(folder):
        require(run == "best", "run", '"best", as an exported policy is one', repr(run))
        return _exported(folder)
    spec = from_dict(sweep_folder.read_spec(folder))
    results = sweep_folder.read(folder)
    record = results.runs[find_run(results, spec, run, _saved(folder))]
    part_folder, place = _place(folder, record["run"])
    opponents = copied_opponents(spec.against, folder)
    choices = variants(spec, trained(opponents))
    (variant,) = [v for v in choices if key_of(v.static) == key_of(record["static"])]
    params = saved_params(part_folder, place, _like(variant.algorithm))
    description = describe(spec, record) | {"facts": dict(results.facts)}
    told = (_make(description), variant.env, spec.against, trained(opponents))
    known = learnt_policy(variant.algorithm, *told)
    env = variant.env
    if variant.numbers:
        env = make_environment(spec.environment, **description["environment_options"])
    return SavedRun(description, variant.algorithm, env, params, *known, opponents)


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
    to_the_end = np.where(dropped_at(results) < 0, figures, np.nan)
    figures = figures if np.isnan(to_the_end).all() else to_the_end  # of as much learning
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
    numbers = {name: record["hparams"][name] for name in spec.environment_numbers}
    return {
        "algorithm": spec.algorithm,
        "environment": spec.environment,
        "environment_options": {
            **spec.environment_options,
            **own("environment_options"),
            **numbers,
        },
        "config": {**spec.config, **own("config")},
        "hparams": {n: x for n, x in record["hparams"].items() if n not in numbers},
        "run": record["run"],
        "seed": record["seed"],
        "opponents": dict(spec.evaluation.opponents),
        **({"against": spec.against.to_dict()} if spec.opponents else {}),
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
    opponents = copied_opponents(_against(said), folder)
    found = _built(said, opponents, None)
    return found._replace(params=policy_file.read_params(folder, _like(found.algorithm)))


def _against(said: Mapping[str, Any]) -> Opponents:
    """Returns whom a run that is so described has learnt against."""
    opposed = said.get("against", {})
    return Opponents(*(opposed.get(name, {}) for name in ("opponents", "pool", "league")))


def _built(said: dict[str, Any], opponents: Mapping[str, SavedRun], params: Params) -> SavedRun:
    """Returns a run that is so described, with these trained opponents and parameters."""
    env = make_environment(said["environment"], **said["environment_options"])
    told = (_make(said), env, _against(said), trained(opponents))
    algorithm = algorithm_against(*told)
    return SavedRun(said, algorithm, env, params, *learnt_policy(algorithm, *told), opponents)


def _make(description: Mapping[str, Any]) -> Make:
    """Returns what makes the algorithm that was told, alone, in a world."""
    name, config = description["algorithm"], description["config"]
    return lambda env: make_algorithm(name, env, **config)


# ---- trained opponents


def named_opponents(against: Opponents) -> dict[str, SavedRun]:
    """Returns group -> its trained opponent, from the folders that were named: their best runs.

    Raises:
      ValueError: no such folder, or nothing to load in it; names the group.
    """
    check_names(against)
    return {
        group: _loaded(f"opponents.{group}", Path(folder))
        for group, folder in against.folders.items()
    }


def copied_opponents(against: Opponents, folder: str | Path) -> dict[str, SavedRun]:
    """Returns group -> its trained opponent, as the folder of a sweep or a policy has kept it."""
    return {
        group: _loaded(f"opponents.{group}", copy_folder(folder, group))
        for group in against.folders
    }


def store_opponents(folder: Path, opponents: Mapping[str, SavedRun]) -> None:
    """Copies trained opponents into the folder of a sweep or a policy, and theirs with them."""
    # what is there is of a try that a crash ended
    shutil.rmtree(folder / sweep_folder.OPPONENTS, ignore_errors=True)
    for group, run in opponents.items():
        place = copy_folder(folder, group)
        place.mkdir(parents=True)
        store_opponents(place, run.opponents)
        policy_file.write_policy(place, run.description, run.params)


def copy_folder(folder: str | Path, group: str) -> Path:
    """Returns where the folder of a sweep or a policy keeps the trained opponent of a group."""
    return Path(folder) / sweep_folder.OPPONENTS / quote(group, safe="")


def trained(opponents: Mapping[str, SavedRun]) -> dict[str, Trained]:
    """Returns what a learner needs of its trained opponents, group by group."""
    return {
        group: Trained(run.algorithm.policy, run.params, run.env)
        for group, run in opponents.items()
    }


def fixed_opponents(run: SavedRun) -> dict[str, str]:
    """Returns group -> whom a run has learnt against, where that is no copy of the learner."""
    met = run.description.get("against", {}).get("opponents", {})
    return {group: who for group, who in met.items() if who not in COPIES}


def _loaded(field: str, folder: Path) -> SavedRun:
    with naming(field):
        return load_run(folder)
