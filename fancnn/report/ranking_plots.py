"""Figures of how well GO and NG are separated: confusion matrix, ROC, precision by recall."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.curves import Band, RankingCurves
from fancnn.pages.figure_style import FAINT, GO, NG, RECHECK, TEXT, Drawing, one_axes

Cell = tuple[int, str, str]  # count, word, colour


def confusion_matrix(counts: ConfusionCounts, *, recheck: bool) -> Drawing:
    """Return the truth against decision as counts and shares of each row; a column for RECHECK if it can happen."""
    says = (
        "A row for what the parts are, a column for what was decided; percentages are of the row. "
        "Escapes and overkills are the mistakes."
    )

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        rows: list[list[Cell]] = [
            [
                (counts.go_passed, "passed", GO),
                (counts.go_rechecked, "recheck", RECHECK),
                (counts.overkills, "overkill", NG),
            ],
            [(counts.escapes, "escape", NG), (counts.ng_rechecked, "recheck", RECHECK), (counts.ng_found, "found", GO)],
        ]
        columns = ["GO", "RECHECK", "NG"] if recheck else ["GO", "NG"]
        for y, row in enumerate(rows):
            total = sum(count for count, _, _ in row)
            for x, cell in enumerate(row if recheck else [row[0], row[2]]):
                _cell(axes, x, y, cell, total)
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(1.5, -0.5), xlabel="decided", ylabel="truth")
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks([0, 1], [f"GO\n({counts.go:,})", f"NG\n({counts.ng:,})"])
        axes.tick_params(length=0)
        axes.xaxis.set_label_position("top")
        axes.xaxis.tick_top()
        axes.grid(False)
        axes.spines[:].set_visible(False)

    return Drawing("confusion", "Confusion matrix", says, draw, height=2.7)


def roc(curves: RankingCurves, marks: list[tuple[float, float, str]]) -> Drawing:
    """Return ROC with its band; `marks` are overkill rate, recall and name of each chosen threshold."""
    says = (
        "Each point is a threshold: how many bad parts are found against how many good ones are rejected for it. "
        "Up and left is better; the diagonal is guessing. Shaded: "
        "pointwise 95 % (bootstrap): where recall may lie at one overkill rate, not where the whole curve does."
    )

    def draw(figure: Figure) -> None:
        axes = one_axes(figure, "overkill rate (good parts rejected)", "recall (bad parts found)")
        axes.plot([0, 1], [0, 1], linestyle=":", color=FAINT, linewidth=1)
        _band(axes, curves.roc_band)
        axes.plot(curves.overkill_rate, curves.recall, color=GO, drawstyle="steps-post")
        _marks(axes, marks)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))

    return Drawing("roc", "ROC", says, draw, height=3.3)


def precision_recall(curves: RankingCurves, marks: list[tuple[float, float, str]], share_ng: float) -> Drawing:
    """Return the precision by recall with its band; `marks` are recall, precision and name of each chosen threshold."""
    says = (
        "Of the parts rejected, how many are bad (precision), as more of the bad ones are found (recall). It depends "
        f"on the share of NG, {share_ng:.0%} here (dotted: guessing); a line with fewer has less precision. "
        "Shaded: pointwise 95 % (bootstrap), at one recall at a time."
    )

    def draw(figure: Figure) -> None:
        axes = one_axes(figure, "recall (bad parts found)", "precision")
        axes.axhline(share_ng, linestyle=":", color=FAINT, linewidth=1)
        _band(axes, curves.precision_band)
        axes.plot(curves.recall[1:], curves.precision[1:], color=GO)
        _marks(axes, marks)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))

    return Drawing("precision-recall", "Precision and recall", says, draw, height=3.3)


def _cell(axes: Axes, x: int, y: int, cell: Cell, total: int) -> None:
    count, word, colour = cell
    share = count / total if total else 0.0
    face = Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, facecolor=colour, alpha=0.08 + 0.3 * share, edgecolor="none")
    axes.add_patch(face)
    axes.text(x, y - 0.08, f"{count:,}", ha="center", va="center", fontsize=15)
    percent = f"{share:.1%}" if total else "undefined"
    axes.text(x, y + 0.27, f"{word}, {percent}", ha="center", va="center", fontsize=8.5)


def _band(axes: Axes, band: Band) -> None:
    axes.fill_between(band.x, band.low, band.high, color=GO, alpha=0.18, linewidth=0)


def _marks(axes: Axes, marks: list[tuple[float, float, str]]) -> None:
    for (x, y, name), shape in zip(marks, ("o", "s"), strict=False):
        axes.plot([x], [y], shape, color=NG, markersize=7, markeredgecolor=TEXT, zorder=5)
        beside, below = (-8, "right") if x > 0.6 else (8, "left"), -12 if y > 0.5 else 8
        axes.annotate(name, (x, y), xytext=(beside[0], below), textcoords="offset points", ha=beside[1], fontsize=8.5)
