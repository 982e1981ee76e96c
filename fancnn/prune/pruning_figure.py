"""The image of a pruning: what is left of the score, against what is left of the network."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from fancnn.pages.figure_style import FAINT, GO, NG, RECHECK, TEXT, Drawing, headline

COSTS = (
    ("parameters", "parameters", "o", GO),
    ("flops", "operations", "s", TEXT),
    ("ms", "time of one image alone", "v", RECHECK),
    ("ms_in_batch", "time of an image among 32", "^", NG),
)


def pruning_drawing(points: Sequence[Mapping[str, Any]], by: str) -> Drawing:
    """Draw scores by the share of filters kept, before and after training; beside them the network's cost.

    Args:
        points: As `pruning.json` has them, the original first.
        by: The criterion.
    """
    shares = [point["keep"] for point in points]
    says = (
        f"What is left of the scores (AUROC: higher is better; loss: lower is better; dotted: the original) and of the "
        f"cost when only the filters worth most by {by} are kept, crosses before and dots after the training that "
        "follows. Take the smallest share whose dots still lie at the dotted line: python -m fancnn.prune keep=SHARE"
    )

    def draw(figure: Figure) -> None:
        for axes, (name, title) in zip(figure.subplots(1, 3)[:2], (("auroc", "AUROC"), ("loss", "loss")), strict=True):
            tuned, pruned = ([_score(point, stage, name) for point in points] for stage in ("tuned", "pruned"))
            axes.axhline(tuned[0], color=FAINT, linewidth=0.8, linestyle=":")
            axes.plot(shares[1:], pruned[1:], color=NG, marker="x", linestyle="--", label="filters removed")
            axes.plot(shares, tuned, color=GO, marker="o", label="and trained")
            axes.set_title(f"{title} of val", loc="left")
            _shares(axes, shares)
        figure.axes[0].legend(loc="best")
        costs = figure.axes[2]
        for name, word, marker, colour in COSTS:
            costs.plot(
                shares, [point[name] / points[0][name] for point in points], marker=marker, color=colour, label=word
            )
        costs.set_title("cost, the original is 1", loc="left")
        costs.set_ylim(bottom=0)
        costs.legend(loc="best", fontsize=7)
        _shares(costs, shares)
        headline(figure, says)

    return Drawing("pruning", "What pruning costs and saves", says, draw, height=3.8, width=10.5)


def _score(point: Mapping[str, Any], stage: str, name: str) -> float:
    scores = point[stage]
    score = None if scores is None else scores[name]
    return float("nan") if score is None else float(score)


def _shares(axes: Any, shares: Sequence[float]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(shares, [f"{share:g}" for share in shares])
    axes.minorticks_off()
    axes.invert_xaxis()
    axes.set_xlabel("share of the filters kept")
