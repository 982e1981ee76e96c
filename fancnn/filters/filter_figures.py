"""Images of filters: their ranks by each criterion, and their kernels in each order."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fancnn.pages.figure_style import FAINT, TEXT, Drawing, headline

Floats = NDArray[np.float64]
MOST = 64  # filters of a layer that are drawn
ROW = 0.19  # inches
CELL, KERNEL, GAP = 84, 36, 10  # pixels of the image: width of a cell, side of a kernel, white below it


def kernel_image(kernel: Floats) -> NDArray[np.float64]:
    """Return a kernel to look at, `(height, width, 3)` in [0, 1].

    Of three input channels, the first convolution's: its colours, grey where a weight is zero. Of more: how large its
    weights are at each place, the root of their mean square over the inputs, black for the largest.

    Args:
        kernel: `(inputs, height, width)`.

    Example:
        >>> kernel_image(np.array([[[1.0]], [[0.0]], [[-1.0]]])).tolist()
        [[[1.0, 0.5, 0.0]]]
    """
    if len(kernel) == 3:
        return np.asarray(0.5 + 0.5 * kernel.transpose(1, 2, 0) / max(np.abs(kernel).max(), 1e-12))
    size = np.sqrt(np.mean(np.square(kernel), axis=0))
    return np.repeat(1 - (size / max(size.max(), 1e-12))[:, :, None], 3, axis=2)


def mosaic(kernels: Floats, orders: Mapping[str, NDArray[np.intp]], rows: int) -> NDArray[np.float64]:
    """Draw a column for each order, its first kernel on top: `(rows * (KERNEL + GAP), columns * CELL, 3)` in [0, 1]."""
    sheet = np.ones((rows * (KERNEL + GAP), len(orders) * CELL, 3))
    for column, order in enumerate(orders.values()):
        for row, index in enumerate(order[:rows]):
            image = kernel_image(kernels[index])
            down, right = (np.arange(KERNEL) * side // KERNEL for side in image.shape[:2])  # nearest
            top, left = row * (KERNEL + GAP) + GAP // 2, column * CELL + (CELL - KERNEL) // 2
            sheet[top : top + KERNEL, left : left + KERNEL] = image[down][:, right]
    return sheet


def ranks_drawing(
    layer: str, orders: Mapping[str, NDArray[np.intp]], ranks: Mapping[str, Floats], kernels: Floats, by: str
) -> Drawing:
    """Return the rank of each filter by each criterion, and, of a convolution, the kernels from best to worst by each.

    Args:
        layer: Its name, for the title.
        orders: By criterion: indices of filters, the one worth most first.
        ranks: By criterion: the place of each filter, from 1; equal ones share theirs.
        kernels: `(filters, inputs[, height, width])`.
        by: The criterion whose order the rows of the table have.
    """
    count, convolution = len(kernels), kernels.ndim == 4
    rows = min(count, MOST)
    says = (
        f"Each row is a filter of {layer}, best by {by} on top; a number is its rank by the criterion above it (1, "
        f"dark: worth most; equal ones share a rank). A column that fades as that of {by} does puts filters in the "
        "same order. The filters at the bottom are those to remove: python -m fancnn.prune by=CRITERION"
    )

    def draw(figure: Figure) -> None:
        left, *right = figure.subplots(1, 1 + convolution, squeeze=False)[0]
        _ranks_table(left, ranks, orders[by][:rows], count)
        shown = f"{count} filters" if rows == count else f"first {rows} of {count} filters"
        _title(left, f"{layer}: ranks of the {shown}")
        for axes in right:
            axes.imshow(
                mosaic(kernels, orders, rows), aspect="auto", extent=(-0.5, len(orders) - 0.5, rows - 0.5, -0.5)
            )
            _title(axes, "the kernels, best first by each")
            axes.set_yticks([0, rows - 1], ["rank 1", f"rank {rows}"])
            _columns(axes, orders)

        headline(figure, says)

    width = (4.2 if convolution else 0) + 4.8
    return Drawing(f"filters-{layer}", layer, says, draw, height=ROW * rows + 2, width=width)


def _ranks_table(axes: Any, ranks: Mapping[str, Floats], chosen: NDArray[np.intp], count: int) -> None:
    shown = np.array([of_filters[chosen] for of_filters in ranks.values()]).T  # (rows, criteria)
    axes.imshow(shown, aspect="auto", cmap="Blues_r", vmin=1 - 0.25 * count, vmax=count)
    for (row, column), rank in np.ndenumerate(shown):
        dark = rank < 0.45 * count
        axes.text(column, row, f"{rank:g}", ha="center", va="center", fontsize=6.5, color="white" if dark else TEXT)
    axes.set_yticks(range(len(chosen)), [str(index) for index in chosen], fontsize=6.5)
    axes.set_ylabel("filter")
    _columns(axes, ranks)


def _title(axes: Any, text: str) -> None:
    """Put a title above the slanted names of the columns."""
    axes.annotate(text, (0, 1), xycoords="axes fraction", xytext=(0, 66), textcoords="offset points")


def _columns(axes: Any, criteria: Iterable[str]) -> None:
    axes.xaxis.tick_top()
    names = [name.replace("_", " ") for name in criteria]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="left", rotation_mode="anchor", fontsize=8)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_color(FAINT)
    axes.spines[:].set_visible(False)
