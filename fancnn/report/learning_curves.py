"""The course of a training: losses, scores and learning rate by epoch."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fancnn.pages.figure_style import FAINT, GO, NG, RECHECK, TEXT, Drawing, legend_above

Row = Mapping[str, float]


def learning_curves(history: Sequence[Row], chosen: int, monitor: str) -> Drawing:
    """Return the curves by epoch with the chosen one marked.

    Args:
        history: Rows of `metrics.csv`, at least one; a score may be missing from some.
        chosen: The epoch whose weights are the model.
        monitor: The score that chose it.
    """
    says = (
        f"Epoch {chosen} of {len(history)}, marked, was chosen by {monitor}. Training and validation should fall "
        "together; where validation turns up while training goes on falling, the network learns its images by heart. "
        "At the bottom the learning rate."
    )

    def draw(figure: Figure) -> None:
        loss, scores, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.2))
        _line(loss, history, "train/loss", "training", GO, "o-")
        _line(loss, history, "val/loss", "validation", NG, "s--")
        _line(scores, history, "val/f1", "F1 (validation)", RECHECK, "^-")
        _line(scores, history, "val/auroc", "AUROC (validation)", TEXT, "D--")
        _line(rate, history, "lr", "", FAINT, "-")
        for axes, label in ((loss, "loss"), (scores, "score"), (rate, "rate")):
            axes.set_ylabel(label)
            axes.axvline(chosen, color=TEXT, linewidth=0.9, linestyle=":")
        for axes in (loss, scores):
            if any(not str(line.get_label()).startswith("_") for line in axes.lines):
                legend_above(axes)
        rate.set_ylim(bottom=0)
        rate.set_xlabel("epoch (dotted: the chosen one)")
        rate.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        if len(history) == 1:
            rate.set_xlim(0.5, 1.5)

    return Drawing("learning-curves", "Learning curves", says, draw, height=4.6)


def _line(axes: Axes, history: Sequence[Row], name: str, label: str, colour: str, shape: str) -> None:
    known = [(row["epoch"], row[name]) for row in history if name in row]
    if known:
        epochs, values = zip(*known, strict=True)
        axes.plot(epochs, values, shape, color=colour, label=label or "_", markersize=3, linewidth=1.4)
