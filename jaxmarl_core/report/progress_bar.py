"""One progress bar for a whole sweep.

On a terminal a bar that lives in place; elsewhere (a log file, a job queue) a line now and then.
"""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from jaxmarl_core.errors import require
from jaxmarl_core.store import number_formats


class ProgressBar:
    """Shows updates done, their rate, the time gone and left, and the latest objective.

        with ProgressBar(total_updates=600) as progress:
            progress.phase("compiling part 1 of 2")
            progress.phase("training part 1 of 2")
            progress.advance(50, "win rate 0.31")

    The rate counts the time between a phase's start and its last `advance`, so that a phase in
    which nothing advances, such as compiling, does not slow it down.

    Args:
      total_updates: updates of the whole sweep, in the unit that `advance` counts.
      done: how many of them an earlier session did.
      console: where to write; the standard error stream if None.
      interval: seconds between two lines where there is no terminal.
      clock: returns seconds.
    """

    def __init__(
        self,
        total_updates: int,
        done: int = 0,
        console: Console | None = None,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        require(total_updates >= 1, "total_updates", "at least 1", total_updates)
        require(0 <= done <= total_updates, "done", f"in [0, {total_updates}]", done)
        self._console = console or Console(stderr=True)
        self._clock, self._interval = clock, interval
        self._total, self._done, self._advanced = total_updates, done, 0
        self._working = 0.0  # seconds in which updates were made
        self._started = self._mark = self._last_line = clock()
        self._phase, self._note, self._phase_began = "", "", clock()
        self._bar = self._make_bar()
        self._live = None
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._render)

    def _make_bar(self) -> Bar:
        bar = Bar(
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("[cyan]{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("[magenta]{task.fields[left]}"),
            console=self._console,
        )
        self._task = bar.add_task("", total=self._total, completed=self._done, **self._fields())
        return bar

    def _render(self) -> Group:
        """Returns two lines: what is going on, and how far it is.

        Where nothing advances, as while a program is compiled, the first says for how long.
        """
        waiting = self._mark == self._phase_began
        since = f"for {number_formats.duration(self._clock() - self._mark)}" if waiting else ""
        words = "  ".join(filter(None, [self._phase, since, self._note]))
        return Group(Text(words, no_wrap=True, overflow="ellipsis"), self._bar)

    def __enter__(self) -> "ProgressBar":
        self._started = self._mark = self._last_line = self._clock()
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_) -> None:
        if self._live:
            self._live.stop()
        elif self._last_line != self._mark:
            self._print_line()

    @property
    def rate(self) -> float:
        """Updates per second of work; 0 before the first."""
        return self._advanced / self._working if self._working > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this rate; None before the first update."""
        return (self._total - self._done) / self.rate if self.rate else None

    def phase(self, text: str) -> None:
        """Says what is going on now: "compiling part 1 of 3"."""
        self._mark = self._phase_began = self._clock()
        self._phase = text
        if not self._live:
            self._print_line()

    def advance(self, updates: int, note: str = "") -> None:
        """Counts updates as done and shows a note, such as the latest objective."""
        now = self._clock()
        self._working += now - self._mark
        self._mark = now
        self._done += updates
        self._advanced += updates
        self._note = note or self._note
        self._bar.update(self._task, completed=self._done, **self._fields())
        is_due = now - self._last_line >= self._interval or self._done >= self._total
        if is_due and not self._live:
            self._print_line()

    def say(self, text: str) -> None:
        """Shows a sentence that should be read, on lines of its own that stay."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _fields(self) -> dict[str, Any]:
        left = self.seconds_left
        return {
            "rate": f"{number_formats.number(self.rate, 3)}/s" if self.rate else "",
            "left": f"{number_formats.duration(left)} left" if left else "",
        }

    def _print_line(self) -> None:
        fields = self._fields()
        elapsed = f"{number_formats.duration(self._clock() - self._started)} gone"
        words = [self._phase, f"{self._done:,}/{self._total:,} updates", fields["rate"], elapsed]
        words += [fields["left"], self._note]
        self._console.print(" | ".join(filter(None, words)), markup=False, highlight=False)
        self._last_line = self._mark
