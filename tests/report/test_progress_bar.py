import io

import pytest
from rich.console import Console

from jaxmarl_core.report.progress_bar import ProgressBar


class Clock:
    """A clock that moves when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def make(total, is_terminal=False, **kwargs):
    clock, text = Clock(), io.StringIO()
    console = Console(file=text, force_terminal=is_terminal, width=120, color_system=None)
    return ProgressBar(total, console=console, clock=clock, **kwargs), clock, text


def test_rate_leaves_compilation_out():
    progress, clock, _ = make(100)
    with progress:
        progress.phase("compiling")
        clock.now += 50
        progress.phase("training")
        assert progress.rate == 0 and progress.seconds_left is None
        clock.now += 4
        progress.advance(20)
        clock.now += 6
        progress.advance(20)
        assert progress.rate == 4.0  # 40 updates in 10 seconds
        assert progress.seconds_left == 15.0  # 60 to go


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_should_be_read_is_shown_at_once_as_it_is(is_terminal):
    progress, _, text = make(100, is_terminal)
    with progress:
        progress.say("runs/[a]/checkpoint-000004.npz is damaged")
        assert "runs/[a]/checkpoint-000004.npz is damaged" in text.getvalue()


def test_a_resumed_sweep_counts_but_does_not_time_the_past():
    progress, clock, _ = make(100, done=60)
    with progress:
        clock.now += 2
        progress.advance(20)
        assert progress.rate == 10.0 and progress.seconds_left == 2.0


def test_without_a_terminal_a_line_now_and_then():
    progress, clock, text = make(100)
    with progress:
        progress.phase("training part 1 of 1")
        for i in range(50):
            clock.now += 1
            progress.advance(2, f"win rate {i}")
    lines = text.getvalue().splitlines()
    assert len(lines) == 6  # the phase, then every ten seconds; the last is the end
    assert lines[1] == (
        "training part 1 of 1 | 20/100 updates | 2/s | 10.0 s gone | 40.0 s left | win rate 9"
    )
    assert lines[-1].startswith("training part 1 of 1 | 100/100 updates | 2/s | 50.0 s gone")


def test_an_interrupted_sweep_says_how_far_it_came():
    progress, clock, text = make(100)
    with pytest.raises(KeyboardInterrupt), progress:
        progress.phase("training")
        clock.now += 1
        progress.advance(30)
        raise KeyboardInterrupt
    assert "30/100 updates" in text.getvalue().splitlines()[-1]


def test_on_a_terminal_a_bar():
    progress, clock, text = make(100, is_terminal=True)
    with progress:
        progress.phase("training [part 1 of 1]")
        clock.now += 5
        progress.advance(50, "win rate 0.5")
    phase, bar = [line for line in text.getvalue().splitlines() if "0" in line][-2:]
    assert "training [part 1 of 1]  win rate 0.5" in phase
    for words in ("50/100", "10/s", "5.0 s left"):
        assert words in bar


def test_wrong_counts_are_refused():
    with pytest.raises(ValueError, match="total_updates: expected at least 1, got 0"):
        ProgressBar(0)
    with pytest.raises(ValueError, match="done: expected in"):
        ProgressBar(10, done=11)


def test_a_phase_in_which_nothing_advances_says_since_when():
    progress, clock, _ = make(100, is_terminal=True)
    shown = lambda: str(progress._render().renderables[0])
    progress.phase("compiling the sweep")
    clock.now += 12
    assert shown() == "compiling the sweep  for 12.0 s"
    progress.phase("training the sweep")
    clock.now += 1
    progress.advance(20, "best 3")
    assert shown() == "training the sweep  best 3"
