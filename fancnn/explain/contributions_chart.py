"""The chart of the last dense layer: from values to the logit."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fancnn.pages.figure_style import FAINT, GO, NG, Drawing, one_axes

SHOWN = 12


def contributions_chart(values: NDArray[np.float32], weights: NDArray[np.float32], bias: float) -> Drawing:
    """Return the value times weight of the inputs that matter most to one logit, the rest together, and the bias.

    Args:
        values: What the last layer gets of one image, `(features,)`.
        weights: Its weights, `(features,)`.
        bias: Added at the end.
    """
    parts = values.astype(np.float64) * weights
    order = np.argsort(-np.abs(parts), kind="stable")
    shown, rest = order[:SHOWN], order[SHOWN:]
    names = [f"{index}" for index in shown] + ([f"{len(rest)} others"] if len(rest) else []) + ["bias"]
    sizes = [*parts[shown], *([parts[rest].sum()] if len(rest) else []), bias]
    logit = float(parts.sum() + bias)

    says = (
        f"Step: dense layer. Each bar is a value that the layers before give times its weight; together they make the "
        f"logit {logit:+.2f}. Bars to the right speak for NG, to the left for GO."
    )
    draw = _drawer(names, sizes)
    return Drawing("logit", "What the logit is added up from", says, draw, height=0.9 + 0.22 * len(names))


def _drawer(names: Sequence[str], sizes: Sequence[float]) -> Callable[[Figure], None]:
    def draw(figure: Figure) -> None:
        axes = one_axes(figure, "value x weight", "value of the last layer before the logit")
        places = range(len(sizes))
        axes.barh(list(places), list(sizes), color=[NG if size > 0 else GO for size in sizes], height=0.7)
        axes.axvline(0, color=FAINT, linewidth=0.8)
        axes.set_yticks(list(places), list(names))
        axes.set_ylim(len(sizes) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")

    return draw
