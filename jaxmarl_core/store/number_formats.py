"""Numbers, counts and durations as a person writes them."""

import math
from typing import Any


def number(value: float, digits: int = 4) -> str:
    """Returns a number in few digits: 12.35, 0.003, 3e-4, 1.2e6; an en dash for NaN."""
    if math.isnan(value):
        return "–"
    if math.isinf(value) or value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def count(value: float) -> str:
    """Returns a count: 950, 12,345, 1.23 million, 4.5 billion."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {word}"
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Returns a length of time: 3.2 s, 3 min 12 s, 2 h 03 min, 4 d 07 h."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"


def plural(number_of: int, noun: str) -> str:
    """Returns "1 run", "24 runs"."""
    return f"{count(number_of)} {noun}{'' if number_of == 1 else 's'}"


def option(value: Any) -> str:
    """Returns the value of an option: numbers in few digits, anything else as it prints."""
    return number(value) if isinstance(value, float) else str(value)
