import pytest

from jaxmarl_core.store import number_formats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (12.3456, "12.35"),
        (-0.0031, "-0.0031"),
        (3e-4, "3e-4"),
        (12345.6, "12346"),
        (1.23456e6, "1.235e6"),
        (1e5, "1e5"),
        (float("nan"), "–"),
        (float("inf"), "inf"),
    ],
)
def test_number(value, text):
    assert number_formats.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (950, "950"), (12345, "12,345"), (1.234e6, "1.23 million"), (4.5e9, "4.5 billion")],
)
def test_count(value, text):
    assert number_formats.count(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.97, "1 min 00 s"),
        (192, "3 min 12 s"),
        (3599.9, "1 h 00 min"),
        (7380, "2 h 03 min"),
        (4 * 86400 + 7 * 3600, "4 d 07 h"),
    ],
)
def test_duration(seconds, text):
    assert number_formats.duration(seconds) == text


def test_option():
    assert [number_formats.option(value) for value in (64, 1e-4, True, "gru")] == [
        "64",
        "1e-4",
        "True",
        "gru",
    ]
