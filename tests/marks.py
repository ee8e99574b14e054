"""Parameters of which only some are among the fast tests: the others say the same again."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest


def fast_ones(
    cases: Iterable[Any], fast: Collection[Any], name: Callable[[Any], Any] = lambda case: case
) -> list:
    """Returns the cases as pytest's parameters, those that are not named as fast marked `slow`.

    Args:
      cases: of a test.
      fast: names of those that `make test` runs; all of them are names of cases.
      name: maps a case to its name.
    """
    cases = list(cases)
    assert set(fast) <= {name(case) for case in cases}, set(fast) - {name(case) for case in cases}
    slow = lambda case: () if name(case) in fast else pytest.mark.slow
    return [pytest.param(case, marks=slow(case)) for case in cases]
