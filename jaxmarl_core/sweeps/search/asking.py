"""Ask and tell: Optuna proposes configurations, a batch at a time, by what came of those before.

    [search]
    kind = "optuna"
    batch = 8                 # configurations that learn together, before any is told
    sampler = "tpe"           # or "cma-es", "random"
    seed = 0

    [random]
    num = 64                  # configurations in all; batches of them
    learning_rate = [1e-4, 1e-2]

The ranges are those of `[random]`; all runs of a batch learn to the end, and the statistic of the
objective over a configuration's seeds is told. In a batch, TPE takes those that were asked and not
yet told for as bad as the worst (*constant liar*: Ginsbourger et al., 2010), so that it does not
propose one place eight times. CMA-ES has a batch for its population, and moves about in ranges
alone, no choices; it is the package `cmaes`, which Optuna calls too.

What is proposed is a function of the options and of what was told, and of nothing else: a sampler
is built anew each time, with a seed for the batch, and told all that is known. So a sweep that was
killed asks for what it would have asked for.

Tree-structured Parzen estimator: Bergstra et al., 2011, NeurIPS. CMA-ES: Hansen & Ostermeier, 2001.
Akiba et al., 2019, KDD, is Optuna.
"""

import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmarl_core.errors import lookup, package, require
from jaxmarl_core.sweeps.draws import Choice, Draw, LogUniform, Normal

SAMPLERS = ("tpe", "cma-es", "random")
LEAST_POPULATION = 4  # of CMA-ES
STEP = 1 / 6  # of CMA-ES at first, in widths of the ranges, as Optuna has it
Told = tuple[Mapping[str, float], float]  # a configuration, and its figure; NaN: it has none
Box = tuple[float, float, bool]  # a range, and whether it is gone through by orders of magnitude


@dataclass(frozen=True)
class Asking:
    """How configurations are asked for; fields as in the file, see the module."""

    batch: int
    sampler: str = "tpe"
    seed: int = 0

    def __post_init__(self):
        require(self.batch >= 1, "search.batch", "at least 1", self.batch)
        require(self.seed >= 0, "search.seed", "at least 0", self.seed)
        lookup(dict.fromkeys(SAMPLERS), self.sampler, "search.sampler")

    def check(
        self, num_variants: int, num_rows: int, random: Mapping[str, Any], draws: Mapping[str, Draw]
    ) -> None:
        """Raises ValueError where a sweep cannot be asked for.

        Args:
          num_variants: choices of static options.
          num_rows: of hparams, of each.
          random: the table of that name.
          draws: name -> distribution of what it draws.
        """
        alone = num_variants == 1 and num_rows == random["num"]
        require(alone, "search.kind", "another kind beside [grid]", "optuna")
        divisor = f"a divisor of random.num ({random['num']})"
        require(random["num"] % self.batch == 0, "search.batch", divisor, self.batch)
        for name in ("seed", "sampler"):
            elsewhere = f"search.{name} in its place, as optuna draws"
            require(name not in random, f"random.{name}", elsewhere, repr(random.get(name)))
        for name in ("cmaes", "optuna"):
            there = importlib.util.find_spec(name) is not None
            install = "the extra, pip install 'jaxmarl-core[search]'"
            require(there, "search.kind", install, f"no {name}")
        if self.sampler == "cma-es":
            enough = f"at least {LEAST_POPULATION}, a population of cma-es"
            require(self.batch >= LEAST_POPULATION, "search.batch", enough, self.batch)
            require(len(draws) >= 2, "search.sampler", "tpe for a single number", "cma-es")
            for name, draw in draws.items():
                fits = not isinstance(draw, Choice)
                require(fits, f"random.{name}", "a range, as cma-es asks for no choices", draw)

    def seed_of(self, batch: int) -> int:
        """Returns the seed of a batch: no other seed has it for another batch."""
        return int(np.random.SeedSequence([self.seed, batch]).generate_state(1)[0] >> 1)


def ask(
    options: Asking, draws: Mapping[str, Draw], told: Sequence[Told], higher_is_better: bool
) -> list[dict[str, float]]:
    """Returns the next batch of configurations.

    Args:
      options: how.
      draws: name -> distribution; a normal one is asked for in within four deviations.
      told: all batches before this one, in order. A configuration without a figure is told as the
        worst there was when its batch was told.
      higher_is_better: of figures.

    Raises:
      ValueError: the extra is not installed.
    """
    draws = {name: draws[name] for name in sorted(draws)}  # the file's order means nothing
    figures = list(_filled([figure for _, figure in told], options.batch, higher_is_better))
    known = [configuration for configuration, _ in told]
    if options.sampler == "cma-es":
        return _of_cma(options, draws, known, [-x if higher_is_better else x for x in figures])
    optuna = package("optuna", "search", "search.kind")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spaces = {name: _space(optuna, draw) for name, draw in draws.items()}
    seed = options.seed_of(len(told) // options.batch)
    if options.sampler == "tpe":
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True)
    else:
        sampler = optuna.samplers.RandomSampler(seed=seed)
    direction = "maximize" if higher_is_better else "minimize"
    study = optuna.create_study(direction=direction, sampler=sampler)
    for configuration, figure in zip(known, figures):
        params = {name: _within(space, configuration[name]) for name, space in spaces.items()}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=spaces, value=figure)
        )
    trials = [study.ask(spaces) for _ in range(options.batch)]
    return [{name: float(trial.params[name]) for name in spaces} for trial in trials]


def ends(draw: Draw) -> tuple[float, ...]:
    """Returns the choices, or the ends of the range, that a number is asked for within."""
    if isinstance(draw, Choice):
        return draw.values
    low, high, _ = _box(draw)
    return low, high


def _of_cma(
    options: Asking, draws: Mapping[str, Draw], known: Sequence[Any], costs: Sequence[float]
) -> list[dict[str, float]]:
    """Returns a generation of CMA-ES after those that are known, in the unit cube of the ranges."""
    cmaes = package("cmaes", "search", "search.sampler")
    boxes = {name: _box(draw) for name, draw in draws.items()}
    size, batch = len(boxes), options.batch
    evolution = cmaes.CMA(
        np.full(size, 0.5), STEP, np.tile([0.0, 1.0], (size, 1)), population_size=batch
    )
    for first in range(0, len(known), batch):
        points = [
            np.array([_place(boxes[name], configuration[name]) for name in boxes])
            for configuration in known[first : first + batch]
        ]
        evolution.tell(list(zip(points, costs[first : first + batch])))
    evolution.reseed_rng(options.seed_of(len(known) // batch))
    asked = [evolution.ask() for _ in range(batch)]
    return [{n: _at(box, float(x)) for (n, box), x in zip(boxes.items(), one)} for one in asked]


def _box(draw: Draw) -> Box:
    assert not isinstance(draw, Choice)
    low, high = draw.low, draw.high
    if isinstance(draw, Normal):
        low = max(low, draw.mean - 4 * draw.deviation)
        high = min(high, draw.mean + 4 * draw.deviation)
    return low, high, isinstance(draw, LogUniform)


def _place(box: Box, value: float) -> float:
    """Returns where in a range a number is, in [0, 1]."""
    low, high, log = box
    share = math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
    return min(max(share, 0.0), 1.0)


def _at(box: Box, share: float) -> float:
    low, high, log = box
    return low * (high / low) ** share if log else low + (high - low) * share


def _space(optuna: Any, draw: Draw) -> Any:
    """Returns Optuna's distribution of a number."""
    if isinstance(draw, Choice):
        return optuna.distributions.CategoricalDistribution(draw.values)
    low, high, log = _box(draw)
    return optuna.distributions.FloatDistribution(low, high, log=log)


def _within(space: Any, value: float) -> float:
    """Returns a number as Optuna's distribution holds it: float32 may have moved it past an end."""
    if hasattr(space, "choices"):
        return min(space.choices, key=lambda choice: abs(choice - value))
    return min(max(value, space.low), space.high)


def _filled(figures: Sequence[float], batch: int, higher_is_better: bool) -> Iterator[float]:
    """Yields the figures; where there is none, the worst of its batch and those before it, or 0.

    What comes later changes nothing, so that what was told stays told.
    """
    for place, figure in enumerate(figures):
        so_far = figures[: (place // batch + 1) * batch]
        finite = [x for x in so_far if math.isfinite(x)]
        worst = (min(finite) if higher_is_better else max(finite)) if finite else 0.0
        yield figure if math.isfinite(figure) else worst
