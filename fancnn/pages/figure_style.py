"""How figures look, and how they become part of a page: colours that the page decides, text that stays text."""

import io
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TEXT, FAINT = "#1d2329", "#8a939c"
GO, NG, RECHECK = "#0b66b0", "#c2480c", "#7a4fa3"  # they also differ in lightness, and always by a shape or word
_ROLES = {TEXT: "currentColor", FAINT: "var(--faint)", GO: "var(--go)", NG: "var(--ng)", RECHECK: "var(--recheck)"}

WIDTH = 4.6  # inches; 331 units of the drawing, about as many as a phone has pixels
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.titlesize": 9.0,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "figure.facecolor": "none",
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn for a page or for TensorBoard.

    Args:
        name: Unique on a page; letters, digits and `-`.
        title: A heading of a few words.
        says: One or two sentences: what it shows and how to read it.
        draw: Fills an empty figure.
        height: In inches.
        width: In inches; wider ones are not for a page.
    """

    name: str
    title: str
    says: str
    draw: Callable[[Figure], None]
    height: float = 3.1
    width: float = WIDTH

    def svg(self) -> str:
        """Return an `<svg>` element for a page: no ids but its own, no addresses, equal for equal figures."""
        content = io.StringIO()
        with matplotlib.rc_context({**_STYLE, "svg.hashsalt": self.name}):
            self._figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
        return _for_page(content.getvalue(), self.name)

    def png(self) -> bytes:
        """Return the figure as TensorBoard shows it, on white."""
        content = io.BytesIO()
        with matplotlib.rc_context(_STYLE):
            self._figure.savefig(content, format="png", dpi=150, facecolor="white", metadata={"Software": None})
        return content.getvalue()

    @cached_property
    def _figure(self) -> Figure:
        """Return the figure, drawn and laid out once for both."""
        with matplotlib.rc_context(_STYLE):
            figure = Figure(figsize=(self.width, self.height), layout="constrained")
            FigureCanvasAgg(figure)
            self.draw(figure)
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # where everything is stays so
        return figure


def headline(figure: Figure, says: str) -> None:
    """Write over a figure that stands alone what it shows and how to read it."""
    lines = textwrap.fill(says, int(17 * figure.get_figwidth()))
    figure.suptitle(lines, x=0.01, ha="left", fontsize=8, fontweight="normal", linespacing=1.4)


def one_axes(figure: Figure, xlabel: str, ylabel: str) -> Axes:
    """Return the only axes of a figure, with its labels."""
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    return axes


def legend_above(axes: Axes, columns: int = 2) -> None:
    """Put a legend above the axes, where it covers no data."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2, handlelength=2.4)


def _for_page(svg: str, name: str) -> str:
    svg = svg[svg.index("<svg") :]
    for clutter in (r"<metadata>.*?</metadata>", r"<style type.*?</style>", r"<!--.*?-->", r'\sxmlns(:\w+)?="[^"]*"'):
        svg = re.sub(clutter, "", svg, flags=re.DOTALL)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'<svg ([^>]*?)\s*width="[^"]*"', r"<svg \1", svg, count=1)
    svg = re.sub(r'<svg ([^>]*?)\s*height="[^"]*"', r"<svg \1", svg, count=1)
    for colour, role in _ROLES.items():
        svg = re.sub(colour, role, svg, flags=re.IGNORECASE)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)  # the page's
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)  # as matplotlib 3.10 says both
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    kept = {identifier: f"{name}-{number}" for number, identifier in enumerate(sorted(used))}
    svg = re.sub(r'\sid="([^"]*)"', lambda match: f' id="{kept[match[1]]}"' if match[1] in kept else "", svg)
    svg = re.sub(r'((?:href="#|url\(#))([^")]+)', lambda match: match[1] + kept[match[2]], svg)
    return re.sub(r"\n\s*", "\n", svg).strip()
