"""How many runs fit: the arithmetic, with programs that only say how large they are."""

import jax
import pytest

from jaxmarl_core.sweeps.batch import run_mesh
from jaxmarl_core.sweeps.memory import bytes_allowed, runs_that_fit


def measured(cost):
    """(measure, the widths it was asked for)."""
    widths = []

    def measure(width):
        widths.append(width)
        return cost(width)

    return measure, widths


def linear(width):
    return 100 + 10 * width


def test_what_fits_is_compiled_once():
    measure, widths = measured(linear)
    assert runs_that_fit(16, 2, 180, measure) == 16
    assert widths == [8]


def test_what_does_not_fit_is_cut_by_one_and_two():
    measure, widths = measured(linear)
    assert runs_that_fit(16, 2, 179, measure) == 8  # 7 a device would fit: two equal parts
    assert widths == [8, 1, 2, 7]
    assert runs_that_fit(100, 1, 150, linear) == 5


def test_a_state_that_does_not_fit_is_not_compiled_for():
    measure, widths = measured(linear)
    assert runs_that_fit(1000, 1, 150, measure, least=8) == 5
    assert 1000 not in widths


def test_a_program_that_grows_faster_than_said_is_measured_again():
    """Padding to eight: one and two runs look alike."""
    padded = lambda width: 100 * -(-width // 8)
    size = runs_that_fit(64, 1, 250, padded)
    assert padded(size) <= 250
    assert size >= 8


def test_one_run_that_does_not_fit_is_refused_with_the_number():
    measure = lambda width: 3 * 2**30 * width
    with pytest.raises(ValueError, match=r"memory_gb: expected at least 6, what one run .* got 4"):
        runs_that_fit(10, 2, 2 * 2**30, measure)


def test_devices_share_what_is_allowed():
    two = run_mesh(jax.devices()[:2])
    assert bytes_allowed(3.0, two) == 1.5 * 2**30
    assert bytes_allowed(0.0, two) == bytes_allowed(0.0, run_mesh(jax.devices()[:1])) / 2
