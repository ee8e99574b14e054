"""What a sweep tells while it runs, to whoever shows it; `report.progress_bar` draws it."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Progress(Protocol):
    """Somebody who is told how far a sweep is."""

    def phase(self, text: str) -> None:
        """Hears what is going on now: "compiling part 1 of 3"."""

    def advance(self, updates: int, note: str = "") -> None:
        """Hears of updates done, over all runs, and the latest objective in words."""

    def say(self, text: str) -> None:
        """Hears a sentence that should be read: a file was damaged, a stop was heard."""


StartProgress = Callable[[int, int], AbstractContextManager[Progress]]
# (updates of the whole sweep, how many of them are done) -> who is told of the rest


class Silent:
    """Shows nothing, but for sentences that should be read, on the standard error stream."""

    def __init__(self, total_updates: int, done: int = 0):
        pass

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_) -> None:
        pass

    def phase(self, text: str) -> None:
        pass

    def advance(self, updates: int, note: str = "") -> None:
        pass

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
