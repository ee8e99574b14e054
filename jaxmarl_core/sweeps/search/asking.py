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
propose one place eight times.

What is proposed is a function of the options and of what was told, and of nothing else: a sampler
is built anew each time, with a seed for the batch, and fed all that is known; one whose state is
not in what it was told (CMA-ES) is asked all batches over again. So a sweep that was killed asks
for what it would have asked for.

Tree-structured Parzen estimator: Bergstra et al., 2011, NeurIPS. CMA-ES: Hansen & Ostermeier, 2001.
Akiba et al., 2019, KDD, is Optuna.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmarl_core.errors import lookup, package, require
from jaxmarl_core.sweeps.draws import Choice, Draw, LogUniform, Normal

SAMPLERS = ("tpe", "cma-es", "random")
Told = tuple[Mapping[str, float], float]  # a configuration, and its figure; NaN: it has none


@dataclass(frozen=True)
class Asking:
    """How configurations are asked for; fields as in the file, see the module."""

    batch: int
    sampler: str = "tpe"
    seed: int = 0

    def __post_init__(self):
        require(self.batch >= 1, "search.batch", "at least 1", self.batch)
        require(0 <= self.seed < 2**31 - 1000, "search.seed", "a small whole number", self.seed)
        lookup(dict.fromkeys(SAMPLERS), self.sampler, "search.sampler")

    def check(self, num_variants: int, num_rows: int, num_drawn: int) -> None:
        """Raises ValueError where a sweep cannot be asked for.

        Args:
          num_variants: choices of static options.
          num_rows: of hparams, of each.
          num_drawn: rows of `[random]`.
        """
        alone = num_variants == 1 and num_rows == num_drawn
        require(alone, "search.kind", "another kind beside [grid]", "optuna")
        divisor = f"a divisor of random.num ({num_drawn})"
        require(num_drawn % self.batch == 0, "search.batch", divisor, self.batch)


def ask(
    options: Asking, draws: Mapping[str, Draw], told: Sequence[Told], higher_is_better: bool
) -> list[dict[str, float]]:
    """Returns the next batch of configurations.

    Args:
      options: how.
      draws: name -> distribution; a normal one is asked for in within four deviations.
      told: all batches before this one, in order. A configuration without a figure is told as the
        worst of those that have one.
      higher_is_better: of figures.

    Raises:
      ValueError: Optuna is not installed, or it proposes others than it did, as after an update.
    """
    optuna = package("optuna", "search", "search.kind")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spaces = {name: _space(optuna, draw) for name, draw in draws.items()}
    done = len(told) // options.batch
    direction = "maximize" if higher_is_better else "minimize"
    figures = _filled([figure for _, figure in told], higher_is_better)
    if options.sampler == "cma-es":
        study = optuna.create_study(direction=direction, sampler=_sampler(optuna, options, 0))
        for batch in range(done):
            of_batch = slice(batch * options.batch, (batch + 1) * options.batch)
            trials = [study.ask(spaces) for _ in range(options.batch)]
            for trial, (known, _), figure in zip(trials, told[of_batch], figures[of_batch]):
                same = all(np.isclose(trial.params[name], known[name]) for name in spaces)
                expected = f"configurations as version {optuna.__version__} of optuna proposes them"
                require(same, "search.sampler", expected, f"{dict(known)} in this sweep")
                study.tell(trial, figure)
    else:
        study = optuna.create_study(direction=direction, sampler=_sampler(optuna, options, done))
        for (known, _), figure in zip(told, figures):
            params = {name: _within(spaces[name], known[name]) for name in spaces}
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=spaces, value=figure)
            )
    trials = [study.ask(spaces) for _ in range(options.batch)]
    return [{name: float(trial.params[name]) for name in spaces} for trial in trials]


def _sampler(optuna: Any, options: Asking, batch: int) -> Any:
    seed = options.seed + batch
    if options.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True)
    if options.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    package("cmaes", "search", "search.sampler")
    return optuna.samplers.CmaEsSampler(seed=seed)


def _space(optuna: Any, draw: Draw) -> Any:
    """Returns Optuna's distribution of a number."""
    if isinstance(draw, Choice):
        return optuna.distributions.CategoricalDistribution(draw.values)
    low, high = draw.low, draw.high
    if isinstance(draw, Normal):
        low = max(low, draw.mean - 4 * draw.deviation)
        high = min(high, draw.mean + 4 * draw.deviation)
    log = isinstance(draw, LogUniform)
    return optuna.distributions.FloatDistribution(low, high, log=log)


def _within(space: Any, value: float) -> float:
    """Returns a number as Optuna's distribution holds it: float32 may have moved it past an end."""
    if hasattr(space, "choices"):
        return min(space.choices, key=lambda choice: abs(choice - value))
    return min(max(value, space.low), space.high)


def _filled(figures: Sequence[float], higher_is_better: bool) -> list[float]:
    """Returns the figures, the worst of all where there is none; 0 where nobody has any."""
    finite = [figure for figure in figures if math.isfinite(figure)]
    worst = (min(finite) if higher_is_better else max(finite)) if finite else 0.0
    return [figure if math.isfinite(figure) else worst for figure in figures]
