"""Successive halving, in the brackets of Hyperband: who goes on learning, and for how long.

All configurations of a bracket learn for a few updates; at each *rung* the best `1 / eta` of them
go on, for `eta` times as many. How much to trust a first impression is the one thing this cannot
know, and brackets hedge it: each next one starts fewer configurations and looks at them later.

    [search]
    kind = "halving"
    min_updates = 10          # of all: the first rung is here, then at 10 eta, 10 eta^2, ...
    eta = 3
    brackets = 2              # the second one's first rung is at 30

Jamieson & Talwalkar, 2016, arXiv:1502.07943, algorithm 1 (with a rung where resources have grown by
eta); Li et al., 2018, arXiv:1603.06560, algorithm 1. They draw a bracket's configurations when it
begins; here those that the spec asks for are dealt to the brackets, in Hyperband's proportions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxmarl_core.errors import require


@dataclass(frozen=True)
class Halving:
    """How configurations are dropped; fields as in the file, see the module."""

    min_updates: int
    eta: int = 3  # of the configurations at a rung one in so many goes on
    brackets: int = 1
    seed: int = 0  # deals the configurations to the brackets

    def __post_init__(self):
        for name, least in (("min_updates", 1), ("eta", 2), ("brackets", 1), ("seed", 0)):
            value = getattr(self, name)
            require(value >= least, f"search.{name}", f"at least {least}", value)

    def check(self, num_updates: int) -> None:
        """Raises ValueError where runs of so many updates have too few rungs."""
        shorter = f"less than the updates of a run ({num_updates})"
        require(self.min_updates < num_updates, "search.min_updates", shorter, self.min_updates)
        most = len(self.rungs(num_updates)) + 1
        these = f"at most {most}, one for each rung and one without"
        require(self.brackets <= most, "search.brackets", these, self.brackets)

    def rungs(self, num_updates: int) -> list[int]:
        """Returns the updates after which runs of `num_updates` are compared."""
        found, rung = [], self.min_updates
        while rung < num_updates:
            found.append(rung)
            rung *= self.eta
        return found

    def ends(self, bracket: int, num_updates: int) -> list[int]:
        """Returns where the stages of a bracket end: at its rungs, and the last with the run."""
        return [*self.rungs(num_updates)[bracket:], num_updates]

    def sizes(self, num_configurations: int, num_updates: int) -> list[int]:
        """Returns how many configurations each bracket begins with, in Hyperband's proportions.

        A bracket with s rungs of s_max has ceil((s_max + 1) / (s + 1) eta^s) of them there.
        Raises ValueError where there are fewer configurations than brackets.
        """
        enough = num_configurations >= self.brackets
        few = f"at most one for each of the {num_configurations} configurations"
        require(enough, "search.brackets", few, self.brackets)
        most = len(self.rungs(num_updates))
        left = [most - bracket for bracket in range(self.brackets)]
        return shares(
            num_configurations, [math.ceil((most + 1) / (s + 1) * self.eta**s) for s in left]
        )

    def deal(self, num_configurations: int, num_updates: int) -> np.ndarray:
        """Returns [C] int, the bracket of each configuration; those of a grid are shuffled."""
        sizes = self.sizes(num_configurations, num_updates)
        order = np.random.default_rng(self.seed).permutation(num_configurations)
        brackets = np.empty(num_configurations, int)
        brackets[order] = np.repeat(np.arange(self.brackets), sizes)
        return brackets

    def kept(self, num_configurations: int) -> int:
        """Returns how many of a rung's configurations go on: one in eta, and at least one."""
        return max(1, num_configurations // self.eta)

    def course(self, num_configurations: int, num_updates: int) -> list["Stage"]:
        """Returns the stages of all brackets, with how many configurations learn in each."""
        found = []
        for bracket, size in enumerate(self.sizes(num_configurations, num_updates)):
            start, num = 0, size
            for rung, end in enumerate(self.ends(bracket, num_updates)):
                found.append(Stage(bracket, rung, start, end, num))
                start, num = end, self.kept(num)
        return found


@dataclass(frozen=True)
class Stage:
    """Some configurations of a bracket, learning from one rung to the next."""

    bracket: int
    rung: int  # that they learn up to, from 0; the last is the end of a run
    start: int  # updates
    end: int  # updates
    num_configurations: int


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """Returns whole numbers that sum to `total`, at least one each, in proportion to weights.

    By largest remainder, the earlier first where two are equal.
    """
    require(total >= len(weights), "total", f"at least {len(weights)}", total)
    exact = np.asarray(weights, float) / np.sum(weights) * total
    found = np.maximum(np.floor(exact).astype(int), 1)
    while found.sum() < total:
        found[np.argmax(exact - found)] += 1
    while found.sum() > total:
        found[np.argmax(np.where(found > 1, found - exact, -np.inf))] -= 1
    return found.tolist()


def best(figures: np.ndarray, num_kept: int, higher_is_better: bool) -> np.ndarray:
    """Returns [C] bool: the `num_kept` best configurations.

    Args:
      figures: [C] f64; NaN comes last, and of equal ones the first is the better.
      num_kept: how many, at most C.
      higher_is_better: of figures.
    """
    figures = np.asarray(figures, np.float64)
    cost = np.where(np.isnan(figures), np.inf, -figures if higher_is_better else figures)
    # infinite figures are still figures: NaN comes after them
    order = np.lexsort((np.arange(len(cost)), cost, np.isnan(figures)))
    kept = np.zeros(len(figures), bool)
    kept[order[:num_kept]] = True
    return kept
