"""Matplotlib figures as SVG that stands inside an HTML page.

Text stays text in the page's own font, and the neutral colours become the page's CSS variables, so
that one figure reads well on light and on dark ground. The palette is that of Okabe & Ito, 2008,
which people with any kind of colour vision can tell apart.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK, MUTED, GRID = "#1c2129", "#667080", "#e4e7ec"
VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)"}
BLUE, VERMILLION = "#0072b2", "#d55e00"
PALETTE = (BLUE, VERMILLION, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
# yellow, the eighth, is not seen on white; ink stands in for black

_POINTS_PER_INCH = 72  # of SVG: figures are sized in CSS pixels

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a metric may have a dollar in its name
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 1.0,
    "text.color": INK,
    "xtick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.color": GRID,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "lines.solid_capstyle": "round",
}


@contextlib.contextmanager
def style(name: str) -> Iterator[None]:
    """Within it, figures are drawn and written in the report's style, and nothing else changes.

    The name seeds the identifiers inside the SVG: the same figure is the same text each time, and
    two figures on one page do not share any.
    """
    settings: dict[Any, Any] = {**_STYLE, "svg.hashsalt": f"jaxmarl-core {name}"}
    with matplotlib.rc_context(settings):
        yield


def grid(num_panels: int, num_columns: int, width: float, height: float) -> list[Axes]:
    """Returns axes on a new figure, `height` pixels a row and `width` pixels in all."""
    num_rows = -(-num_panels // num_columns)
    size = (width / _POINTS_PER_INCH, height * num_rows / _POINTS_PER_INCH)
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, hspace=0.04, wspace=0.02)
    figure = Figure(figsize=size, dpi=_POINTS_PER_INCH, layout=layout)
    return [figure.add_subplot(num_rows, num_columns, i + 1) for i in range(num_panels)]


def figure_of(axes: Axes) -> Figure:
    """Returns the figure that the axes are drawn on."""
    figure = axes.get_figure(root=True)
    assert figure is not None  # that of `grid`
    return figure


def band(axes: Axes, x: np.ndarray, curves: np.ndarray, colour: str, label: str) -> None:
    """Draws curves [R, L] over x [L]: their mean, and a band from the least to the largest."""
    axes.fill_between(x, curves.min(0), curves.max(0), color=colour, alpha=0.15)
    axes.plot(x, curves.mean(0), color=colour, lw=2, label=label)


def inline(figure: Figure, description: str) -> str:
    """Returns the figure as an <svg> element that fills its parent, with a spoken description."""
    text = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(text, format="svg", metadata=nothing)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" ROLE>', svg, count=1)
    label = re.sub(r'[<>&"]', " ", description)
    svg = svg.replace("ROLE", f'role="img" aria-label="{label}"', 1).replace("xlink:href", "href")
    svg = _drop_unused_ids(svg).replace("'DejaVu Sans'", "var(--sans)")
    svg = re.sub(r"font: ([^;\"]*?px) [^;\"]*", r"font: \1 var(--sans)", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg


def _drop_unused_ids(svg: str) -> str:
    """Returns the SVG without ids that nothing refers to: "axes_1" would be on the page twice."""
    used = set(re.findall(r'(?:url\(#|href="#)([\w-]+)', svg))
    keep = lambda match: match[0] if match[1] in used else ""
    return re.sub(r' id="([^"]*)"', keep, svg)
