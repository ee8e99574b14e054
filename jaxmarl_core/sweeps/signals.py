"""Being asked to stop: Ctrl-C, and what a scheduler sends before it takes a machine away.

The first wish is granted after the segment that is being computed, when everything is saved; a
second Ctrl-C is granted now. While a program is compiled there is nothing to save, and the first
wish is granted at once.
"""

import queue
import signal
import threading
from collections.abc import Callable
from typing import Any

ASKED = "asked to stop ({name}): stopping after this segment, when all is saved"
IMPATIENT = "; Ctrl-C again stops now"


class Stopped(Exception):
    """The sweep was asked to stop; all that was done is saved."""

    def __init__(self, message: str, number: int = signal.SIGINT):
        super().__init__(message)
        self.signal = number


def wishes() -> list[int]:
    """Returns the signals that ask for a stop, as far as this system has them."""
    names = ("SIGINT", "SIGTERM", "SIGUSR1")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


class StopSignals:
    """A context in which signals become wishes; outside the main thread there are none.

    Args:
      say: is told at once that a wish was heard.
    """

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._before: dict[int, Any] = {}
        self._may_leave = False
        self.asked: int | None = None  # the signal that asked first

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in wishes()}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _hear(self, number: int, frame: Any) -> None:
        if self.asked is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.asked = number
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if self._may_leave:
            raise Stopped(f"stopped by {name}", number)
        self._say(ASKED.format(name=name) + (IMPATIENT if number == signal.SIGINT else ""))

    def check(self, where: str) -> None:
        """Raises Stopped if somebody asked for it."""
        if self.asked is not None:
            raise Stopped(f"stopped {where}", self.asked)

    def compiling(self, function: Callable[..., Any], *args: Any) -> Any:
        """Returns `function(*args)`; a wish heard meanwhile raises Stopped at once."""
        self.check("before compiling")
        self._may_leave = True
        try:
            return self.waiting(function, *args)
        finally:
            self._may_leave = False

    def waiting(self, function: Callable[..., Any], *args: Any) -> Any:
        """Returns `function(*args)`, and hears signals while it is computed.

        Python runs handlers between two steps of the main thread, and a compiled program is one
        step; so it is called in another thread, for which this one waits.
        """
        if not self._before:
            return function(*args)
        results: queue.SimpleQueue = queue.SimpleQueue()

        def call() -> None:
            try:
                results.put((function(*args), None))
            except BaseException as error:
                results.put((None, error))

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        try:
            result, error = results.get()
        except BaseException:
            _ABANDONED.append(thread)
            raise
        if error is not None:
            raise error
        return result


_ABANDONED: list[threading.Thread] = []


def is_computing() -> bool:
    """Returns whether a program that nobody waits for any more is still running."""
    return any(thread.is_alive() for thread in _ABANDONED)
