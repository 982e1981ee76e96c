"""Which figures a report has; a figure that would say nothing is left out."""

from collections.abc import Sequence
from dataclasses import dataclass

from fancnn.metrics.clusters import natural_groups
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.curves import ranking_curves, threshold_curves
from fancnn.metrics.reliability import reliability
from fancnn.pages.figure_style import Drawing
from fancnn.report.learning_curves import learning_curves
from fancnn.report.probability_plots import histogram, reliability_diagram, threshold_rates
from fancnn.report.ranking_plots import confusion_matrix, precision_recall, roc
from fancnn.report.report_data import ReportData


@dataclass(frozen=True)
class Figures:
    """The figures of a report by section; a section without figures says why in `missing`."""

    confusion: tuple[Drawing, ...]
    curves: tuple[Drawing, ...]
    probabilities: tuple[Drawing, ...]
    learning_curves: tuple[Drawing, ...]
    missing: str

    def all(self) -> Sequence[Drawing]:
        return (*self.confusion, *self.curves, *self.probabilities, *self.learning_curves)


def figures_of(material: ReportData) -> Figures:
    """Return every figure that the material has something for."""
    labels, probabilities = material.arrays
    learning_curves = _learning_curves(material)
    if not labels.size:
        return Figures((), (), (), learning_curves, "no image has both a truth and a probability")
    counts, thresholds = material.counts, material.thresholds
    units = natural_groups([row.group for row in material.judged])
    curves = ranking_curves(labels, probabilities, material.groups)
    ranked: tuple[Drawing, ...] = ()
    if curves is not None:
        points = _marks(counts, recheck=thresholds.has_recheck)
        precise = [(recall, precision, name) for _, recall, precision, name in points if precision is not None]
        ranked = (
            roc(curves, [(overkill, recall, name) for overkill, recall, _, name in points]),
            precision_recall(curves, precise, float(labels.mean())),
        )
    return Figures(
        confusion=(confusion_matrix(counts, recheck=thresholds.has_recheck),),
        curves=ranked,
        probabilities=(
            histogram(labels, probabilities, thresholds),
            threshold_rates(threshold_curves(labels, probabilities, groups=units), thresholds),
            reliability_diagram(reliability(labels, probabilities, groups=units), float(labels.mean())),
        ),
        learning_curves=learning_curves,
        missing="" if ranked else "ROC and precision-recall need both good and bad parts; here is one kind alone",
    )


def _learning_curves(material: ReportData) -> tuple[Drawing, ...]:
    if not material.history:
        return ()
    chosen = int(material.known.epoch or len(material.history))
    return (learning_curves(material.history, chosen, material.known.monitor or "the monitor"),)


def _marks(counts: ConfusionCounts, *, recheck: bool) -> list[tuple[float, float, float | None, str]]:
    """Return the overkill rate, recall, precision and name of what each threshold alone would do."""
    caught, rejected = counts.ng_found, counts.overkills
    upper = (rejected, caught, "NG above" if recheck else "threshold")
    lower = (rejected + counts.go_rechecked, caught + counts.ng_rechecked, "GO up to")
    return [
        (false / counts.go, true / counts.ng, true / (true + false) if true + false else None, name)
        for false, true, name in ((lower, upper) if recheck else (upper,))
    ]
