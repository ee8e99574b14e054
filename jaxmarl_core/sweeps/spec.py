"""What a sweep is: one small file, checked before anything is compiled.

    algorithm = "mfq"
    environment = "battle"
    seeds = 4
    updates = 300

    [environment_options]
    map_size = 40

    [config]                       # static: shapes the program
    num_envs = 2

    [hparams]                      # traced: fixed for all runs
    gamma = 0.95

    [grid.hparams]                 # each value with each other
    learning_rate = [1e-3, 3e-4]

    [grid.config]                  # likewise, but each value compiles a program of its own
    batch_size = [128, 256]

    [evaluation]
    every = 50
    episodes = 16
    opponents = { blue = "random" }

    [opponents]                    # whom is learnt against, see `sweeps.opponents`
    blue = "pool"

Instead of `[grid.hparams]`, or beside it, `[random]` draws `num` rows: `learning_rate = [1e-4,
1e-2]` is a range, see `draws` for other distributions. `[search]` says who goes on learning, see
`search`.
"""

import dataclasses
import itertools
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmarl_core import hparams as hp
from jaxmarl_core.errors import lookup, require, unknown
from jaxmarl_core.play.policies import opponent
from jaxmarl_core.registry import config_type, make_algorithm, make_environment
from jaxmarl_core.store.tables import STATISTICS
from jaxmarl_core.sweeps.data_parallel import environment_axes
from jaxmarl_core.sweeps.draws import SAMPLERS, Draw, draws, number, rows
from jaxmarl_core.sweeps.environment_numbers import check_numbers, resume_in, with_numbers
from jaxmarl_core.sweeps.opponents import Opponents, Trained, algorithm_against
from jaxmarl_core.sweeps.search.asking import Asking, ends
from jaxmarl_core.sweeps.search.halving import Halving
from jaxmarl_core.sweeps.search.options import search_of
from jaxmarl_core.sweeps.search.population import Population
from jaxmarl_core.train import Schedule, make_train
from jaxmarl_core.types import Algorithm, Environment

LARGEST = 2**31 - 1  # a seed or an update's number is an int32 in the program
MOST_RUNS = 10**7
MIRRORS = ("tensorboard", "wandb")


@dataclass(frozen=True)
class Evaluation:
    """When and how runs are evaluated, inside the program."""

    every: int = 0  # updates between evaluations; 0: never
    episodes: int = 16
    length: int = 0  # steps at most; 0: the environment's own time limit, or 1000
    opponents: Mapping[str, str] = field(default_factory=dict)  # group -> "random"
    greedy: bool = True

    def __post_init__(self):
        for name, low in (("every", 0), ("episodes", 1), ("length", 0)):
            value = getattr(self, name)
            require(value >= low, f"evaluation.{name}", f"at least {low}", value)


@dataclass(frozen=True)
class Spec:
    """A sweep, as plain values. Fields as in the file; see the module."""

    algorithm: str
    environment: str
    name: str = ""  # of the run folder; by default algorithm-environment
    title: str = ""  # of the report
    label: str = ""  # of the algorithm, where a suite has it under another name
    seeds: int = 1
    first_seed: int = 0
    updates: int = 100
    env_steps: int = 0  # of each run, in place of `updates`, rounded up to whole ones
    segment: int = 0  # updates between looks from the host; 0: about fifty looks a run
    checkpoint_seconds: float = 60.0  # at most one checkpoint in this time, and one at the end
    memory_gb: float = 0.0  # for a part, on all devices together; 0: what the machine has
    devices_per_run: int = 1  # that the environments of a run are divided among
    objective: str = ""  # the metric runs are ranked by; by default the first return
    higher_is_better: bool = True
    statistic: str = "iqm"  # of a configuration's seeds: "iqm", "mean" or "median"
    last: float = 0.1  # in (0, 1]; the share of a run's values that its final figure averages
    mirrors: list = field(default_factory=list)  # "tensorboard", "wandb": copies of results
    environment_options: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    hparams: Mapping[str, float] = field(default_factory=dict)
    grid: Mapping[str, Mapping[str, list]] = field(default_factory=dict)
    random: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Evaluation = field(default_factory=Evaluation)
    opponents: Mapping[str, str] = field(default_factory=dict)  # group -> whom is learnt against
    pool: Mapping[str, Any] = field(default_factory=dict)  # how copies of the learner are kept
    league: Mapping[str, Any] = field(default_factory=dict)  # who learns in a league
    search: Mapping[str, Any] = field(default_factory=dict)  # who goes on learning, see `search`

    def __post_init__(self):
        counts = (("seeds", 1), ("updates", 1), ("first_seed", 0), ("devices_per_run", 1))
        for name, least in counts:
            value = getattr(self, name)
            require(value >= least, name, f"at least {least}", value)
            require(value <= LARGEST, name, f"at most {LARGEST}", value)
        last = self.first_seed + self.seeds - 1
        require(last <= LARGEST, "seeds", f"the last one at most {LARGEST}", last)
        for name in ("checkpoint_seconds", "memory_gb"):
            value = getattr(self, name)
            require(0 <= value < math.inf, name, "a finite number, at least 0", value)
        require(self.env_steps >= 0, "env_steps", "at least 1", self.env_steps)
        if not self.env_steps:
            divides = self.segment == 0 or (self.segment > 0 and self.updates % self.segment == 0)
            require(divides, "segment", f"a divisor of updates ({self.updates})", self.segment)
            self.check_updates(self.updates)
        require(self.segment >= 0, "segment", "at least 0", self.segment)
        for name in self.mirrors:
            lookup(dict.fromkeys(MIRRORS), name, "mirrors")
        lookup(STATISTICS, self.statistic, "statistic")
        require(0 < self.last <= 1, "last", "in (0, 1]", self.last)
        check_name(self.name)
        self._check_grids()
        _ = self.against
        _ = search_of(self.search)
        explores = "the numbers that a population explores"
        require(self.population is None or bool(self.random), "random", explores, "nothing")
        asked = "the ranges that optuna searches"
        require(self.asking is None or bool(self.random), "random", asked, "nothing")

    def check_updates(self, num_updates: int) -> None:
        """Raises ValueError where what is told in updates does not fit runs of so many."""
        every = self.evaluation.every
        ever = every <= num_updates
        require(ever, "evaluation.every", f"at most updates ({num_updates})", every)
        if self.halving is not None:
            self.halving.check(num_updates)

    def num_updates(self, env_steps_per_update: int) -> int:
        """Returns the updates of a run whose updates play so many steps."""
        if not self.env_steps:
            return self.updates
        return -(-self.env_steps // env_steps_per_update)

    def _check_grids(self) -> None:
        for name in self.grid:
            if name not in AXES:
                raise ValueError(unknown("grid", name, AXES))
        drawn = self.random.get("environment_numbers", {})
        table = isinstance(drawn, Mapping)
        require(table, "random.environment_numbers", "a table of distributions", drawn)
        for kind, axes in self.grid.items():
            require(isinstance(axes, Mapping), f"grid.{kind}", "a table of lists", axes)
            for name, axis in axes.items():
                ok = isinstance(axis, list | tuple) and len(axis) > 0
                require(ok, f"grid.{kind}.{name}", "a list of values", axis)
                fixed = name in getattr(self, kind.replace("_numbers", "_options"))
                either = "fixed or in the grid"
                require(not fixed, f"{kind}.{name}", either, f"both, {axis} in the grid")
                if kind in GRIDS[1:]:  # others are compared as the program sees them
                    _check_distinct(f"grid.{kind}.{name}", axis)
        swept = [name for kind in AXES for name in self.grid.get(kind, {})]
        for name in swept:
            once = swept.count(name) == 1
            require(once, f"grid.*.{name}", "an option of one kind", "options of two kinds")
        for name in [*self.random, *drawn]:
            fixed = name in (self.environment_options if name in drawn else self.hparams)
            require(not fixed, f"random.{name}", "fixed or drawn", "both")
            require(name not in swept, f"random.{name}", "drawn or in the grid", "both")

    @property
    def against(self) -> Opponents:
        """Whom is learnt against."""
        return Opponents(self.opponents, self.pool, self.league)

    @property
    def environment_numbers(self) -> list[str]:
        """The numbers of the world that vary over the runs of one program."""
        drawn = self.random.get("environment_numbers", {})
        return [*self.grid.get("environment_numbers", {}), *drawn]

    @property
    def halving(self) -> Halving | None:
        """Who is dropped at which update, if anybody is."""
        found = search_of(self.search)
        return found if isinstance(found, Halving) else None

    @property
    def population(self) -> Population | None:
        """How configurations copy each other, if they do."""
        found = search_of(self.search)
        return found if isinstance(found, Population) else None

    @property
    def asking(self) -> Asking | None:
        """How configurations are asked for, if they are."""
        found = search_of(self.search)
        return found if isinstance(found, Asking) else None

    def drawn(self, declared: Any) -> dict[str, Draw]:
        """Returns name -> distribution of all that `[random]` draws, numbers of the world too."""
        return draws({**self.random, **self.random.get("environment_numbers", {})}, declared)

    @property
    def folder_name(self) -> str:
        return self.name or f"{self.algorithm}-{self.environment}".replace(":", ".")

    @property
    def segment_length(self) -> int:
        """Updates in one call of the program: a divisor of `updates`."""
        return self.segment_of(self.updates, self.updates)

    def segment_of(self, num_updates: int, of_run: int) -> int:
        """Returns the updates in one call of the program: a divisor of `num_updates`.

        Args:
          num_updates: in a row.
          of_run: the updates of a whole run, which are looked at about fifty times.
        """
        wanted = self.segment or max(1, of_run // 50)
        return largest_divisor(num_updates, wanted)

    def to_dict(self) -> dict[str, Any]:
        """Returns the spec as nested plain values; `from_dict` is its inverse."""
        return dataclasses.asdict(self)


def largest_divisor(number: int, most: int) -> int:
    """Returns the largest divisor of a number that is at most `most`."""
    return max(k for k in range(1, min(number, most) + 1) if number % k == 0)


GRIDS = ("hparams", "config", "environment_options")
AXES = (*GRIDS, "environment_numbers")


def check_name(name: str) -> None:
    """Raises ValueError unless a folder under `runs/` can have the name."""
    plain = name.isprintable() and name == name.strip() and not set(name) & set("/\\:")
    fits = plain and name not in (".", "..") and len(name.encode()) <= 200
    require(fits, "name", "the name of a folder under runs/", repr(name))


def _check_distinct(name: str, axis: Sequence[Any]) -> None:
    """Raises ValueError if a value stands twice on an axis: its runs would count as other seeds."""
    for place, value in enumerate(axis):
        twice = any(value == other and type(value) is type(other) for other in axis[:place])
        require(not twice, name, "distinct values", f"{value!r} twice")


def from_dict(values: Mapping[str, Any]) -> Spec:
    """Returns the spec; raises ValueError for an unknown field, with the nearest."""
    values = dict(values)
    _known("spec", values, Spec)
    for name in ("algorithm", "environment"):
        require(name in values, name, "a name", "nothing")
    evaluation = values.pop("evaluation", {})
    _known("evaluation", evaluation, Evaluation)
    both = bool(values.get("env_steps")) and values.get("updates", Spec.updates) != Spec.updates
    require(not both, "updates", "either updates or env_steps", "both")
    return Spec(**values, evaluation=Evaluation(**evaluation))


def load(path: str | Path) -> Spec:
    """Returns the spec in a TOML file; raises ValueError naming the file and what is wrong."""
    path = Path(path)
    require(path.is_file(), "spec", "a TOML file", path)
    with naming(path):  # a TOML error is a ValueError too
        spec = from_dict(tomllib.loads(path.read_text("utf-8")))
        return spec if spec.name else dataclasses.replace(spec, name=path.stem)


@contextmanager
def naming(source: str | Path) -> Iterator[None]:
    """A context in which what is said of a mistake begins with the file it is in, if one is."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if not source:
            raise
        raise ValueError(f"{source}: {error}") from error


def _known(kind: str, values: Mapping[str, Any], record: type) -> None:
    types = {f.name: f.type for f in dataclasses.fields(record)}
    for name, value in values.items():
        if name not in types:
            raise ValueError(unknown(kind, name, types))
        declared, wanted = types[name], Mapping
        if isinstance(declared, type) and declared is not Evaluation:
            wanted = declared
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            continue
        exact = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
        if not exact:
            name = f"{kind}.{name}" if kind != "spec" else name
            raise TypeError(f"{name}: expected {wanted.__name__}, got {value!r}")


class Variant(NamedTuple):
    """One choice of static options: one program, and the rows of hparams it runs with."""

    static: dict[str, Any]  # the swept static options alone
    env: Environment
    algorithm: Algorithm
    schedule: Schedule
    hparams: Any  # leaves [H] f32
    numbers: tuple[str, ...] = ()  # of the world, that are among the hparams
    environment_axes: Any = None  # of the state, where a run is on several devices

    def resume(self, num_updates: int) -> Callable:
        """Returns `resume` of `make_train` for so many updates, in each run's own world."""
        schedule = self.schedule._replace(num_updates=num_updates)
        return resume_in(self.algorithm, self.env, self.numbers, schedule)


def variants(spec: Spec, trained: Mapping[str, Trained] = MappingProxyType({})) -> list[Variant]:
    """Returns every choice of static options, built and checked.

    Args:
      spec: of the sweep.
      trained: group -> its trained opponent, if the spec names any; see `saved_run.trained`.

    Raises:
      ValueError, TypeError: whatever is wrong with the spec, named.
    """
    grids = [(kind, name) for kind in GRIDS[1:] for name in spec.grid.get(kind, {})]
    axes = [spec.grid[kind][name] for kind, name in grids]
    values = [x for kind in (AXES[0], AXES[-1]) for x in spec.grid.get(kind, {}).values()]
    num_runs = math.prod(map(len, (*axes, *values))) * spec.seeds
    require(num_runs <= MOST_RUNS, "seeds", f"at most {MOST_RUNS:,} runs in all", f"{num_runs:,}")
    points = itertools.product(*axes)
    found = [_variant(spec, dict(zip(grids, point)), trained) for point in points]
    if spec.asking is not None:
        num_rows, drawn = hp.num_rows(found[0].hparams), spec.drawn(found[0].hparams)
        spec.asking.check(len(found), num_rows, spec.random, drawn)
    return found


def metric_names(variant: Variant) -> list[str]:
    """Returns the names of all that a variant's runs report; nothing is compiled."""
    algorithm, resume = variant.algorithm, variant.resume(1)

    def update(seed, row):
        key = jax.random.key(seed)
        return resume(key, algorithm.init(key, row), row, jnp.int32(0))[1]

    return list(jax.eval_shape(update, jnp.int32(0), hp.row(variant.hparams, 0)))


def check_objective(spec: Spec, choices: list[Variant]) -> None:
    """Raises ValueError unless every variant of the spec reports its objective."""
    if spec.objective:
        for variant in choices:
            names = metric_names(variant)
            if spec.objective not in names:
                raise ValueError(unknown("objective", spec.objective, names))


def _variant(
    spec: Spec, point: Mapping[tuple[str, str], Any], trained: Mapping[str, Trained]
) -> Variant:
    chosen = {kind: {n: v for (k, n), v in point.items() if k == kind} for kind in GRIDS}
    options = {**spec.environment_options, **chosen["environment_options"]}
    env = make_environment(spec.environment, **options)
    config = {**spec.config, **chosen["config"]}
    numbers = spec.environment_numbers

    def built(**told):
        alone = lambda world: make_algorithm(spec.algorithm, world, **{**config, **told})
        make = lambda world: algorithm_against(alone, world, spec.against, trained)
        return with_numbers(make, env, numbers) if numbers else make(env)

    algorithm = built()
    divided = None
    if spec.devices_per_run > 1:
        divided = _environment_axes(spec, config, built)

    evaluation = spec.evaluation
    for group in evaluation.opponents:
        if group not in env.groups:
            raise ValueError(unknown("evaluation.opponents", group, env.groups))
    for name in evaluation.opponents.values():
        require(isinstance(name, str), "evaluation.opponents", "names", repr(name))
    players = {group: opponent(name, env) for group, name in evaluation.opponents.items()}
    num_updates = spec.num_updates(algorithm.env_steps)
    spec.check_updates(num_updates)
    schedule = Schedule(
        num_updates,
        evaluation.every,
        evaluation.episodes,
        evaluation.length or getattr(env, "max_steps", None) or 1000,
        players,
        evaluation.greedy,
    )
    make_train(algorithm, env, schedule)  # refuses an impossible schedule
    static = {name: value for (_, name), value in point.items()}
    table = _hparam_rows(spec, algorithm.hparams)
    if numbers:
        world = lambda **told: make_environment(spec.environment, **options, **told)
        check_numbers(world, env, table, numbers)
        if spec.asking is not None:  # whatever is asked for lies between these
            check_numbers(world, env, _extremes(spec, table, numbers), numbers)
    if spec.population is not None:
        spec.population.check(schedule.num_updates, hp.num_rows(table))
    return Variant(static, env, algorithm, schedule, table, tuple(numbers), divided)


def _extremes(spec: Spec, table: Any, numbers: Sequence[str]) -> Any:
    """Returns hparams whose rows are the ends of what is asked for of the world, each with each."""
    drawn = {name: ends(draw) for name, draw in spec.drawn(table).items() if name in numbers}
    corners = np.array(list(itertools.product(*drawn.values())), np.float32).T
    first = jax.tree.map(lambda leaf: jnp.repeat(leaf[:1], corners.shape[1]), table)
    return first.replace(**dict(zip(drawn, corners)))


def _environment_axes(
    spec: Spec, config: Mapping[str, Any], built: Callable[..., Algorithm]
) -> Any:
    """Returns the axes of a state along which a run's environments can be divided."""
    known = {f.name: f.default for f in dataclasses.fields(config_type(spec.algorithm))}
    expected = "1, as this algorithm has no num_envs"
    require("num_envs" in known, "devices_per_run", expected, spec.devices_per_run)

    def state_of(num_envs):
        algorithm = built(num_envs=num_envs)
        return jax.eval_shape(algorithm.init, jax.random.key(0), algorithm.hparams)

    num_envs = {**known, **config}["num_envs"]
    return environment_axes(state_of, num_envs, spec.devices_per_run)


def _hparam_rows(spec: Spec, defaults: Any) -> Any:
    """Returns the table of hparams of a spec, leaves [H]."""
    for name in spec.hparams:
        if name not in hp.names(defaults):
            raise ValueError(unknown("hparams", name, hp.names(defaults)))
    fixed = {name: number(f"hparams.{name}", value) for name, value in spec.hparams.items()}
    fixed = defaults.replace(**fixed)
    hp.check(fixed)
    axes = {}
    for kind in ("hparams", "environment_numbers"):
        for name, axis in spec.grid.get(kind, {}).items():
            axes[name] = [number(f"grid.{kind}.{name}", value) for value in axis]
            _check_distinct(f"grid.{kind}.{name}", list(map(np.float32, axes[name])))
    grid = hp.grid(fixed, **axes)
    return _drawn(spec, fixed, grid) if spec.random else grid


def _drawn(spec: Spec, fixed: Any, grid: Any) -> Any:
    """Returns each row of a grid with each row that is drawn, those drawn faster, leaves [H]."""
    found = spec.drawn(fixed)
    num: Any = spec.random.get("num")
    seed = spec.random.get("seed", 0)
    counts = isinstance(num, int) and not isinstance(num, bool) and num >= 1
    require(counts, "random.num", "at least 1", num)
    few = num * hp.num_rows(grid) * spec.seeds <= MOST_RUNS
    total = f"{num * hp.num_rows(grid) * spec.seeds:,}"
    require(few, "random.num", f"at most {MOST_RUNS:,} runs in all", total)
    starts = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= LARGEST
    require(starts, "random.seed", f"in [0, {LARGEST}]", repr(seed))
    sampler = spec.random.get("sampler", SAMPLERS[0])
    lookup(dict.fromkeys(SAMPLERS), str(sampler), "random.sampler")
    require(bool(found), "random", "a range [low, high] for some hparam", f"{num} equal rows")
    drawn = rows(found, num, seed, sampler)
    names = {**spec.grid.get("hparams", {}), **spec.grid.get("environment_numbers", {})}
    own = {name: np.repeat(np.asarray(getattr(grid, name)), num) for name in names}
    others = {name: np.tile(column, hp.num_rows(grid)) for name, column in drawn.items()}
    return hp.table(fixed, **own, **others)
