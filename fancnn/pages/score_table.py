"""The table of scores: what each is called, what it means, and its values with their intervals."""

from collections.abc import Mapping
from typing import Any

from fancnn.pages import formatting as words
from fancnn.settings.groups import ALL

ALONE = {
    "decided_rate": "share of parts that no person looks at",
    "alone_accuracy": "of the parts that the machine decides alone, those decided rightly",
    "alone_precision": "of the parts that it rejects alone, those that are NG",
    "alone_recall": "of the NG parts that it decides alone, those that it rejects",
    "alone_specificity": "of the GO parts that it decides alone, those that it passes",
    "alone_f1": "harmonic mean of precision and recall of the machine alone",
    "recheck_rate": "share of parts that a person looks at",
    "recheck_rate_ng": "of the NG parts, those that a person looks at",
    "recheck_rate_go": "of the GO parts, those that a person looks at",
}
SCORES = {
    "escape_rate": "share of NG parts that pass",
    "overkill_rate": "share of GO parts that are rejected",
    "accuracy": "share of parts decided rightly",
    "balanced_accuracy": "mean of recall and specificity: the mix of GO and NG plays no part",
    "precision": "share of rejected parts that are NG",
    "recall": "share of NG parts that are not passed",
    "specificity": "share of GO parts that are not rejected",
    "f1": "harmonic mean of precision and recall",
    "mcc": "correlation of truth and decision: 0 is guessing, 1 perfect",
    "auroc": "chance that an NG part scores above a GO part, at any threshold",
    "average_precision": "mean precision over all recalls",
    "brier": "mean squared error of P(NG): 0 is best",
    "calibration_error": "mean distance of promised and observed share of NG, for the mix of these images: 0 is best",
    "loss": "cross-entropy of P(NG): 0 is best",
}
IF_RIGHT = ("accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "mcc")  # with RECHECK
SPLIT_TITLES = {"train": "training", "val": "validation", "test": "test", ALL: "all"}


def score_rows(
    splits: Mapping[str, Mapping[str, Any]], *, recheck: bool
) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Name, meaning, and for each split the value with its interval."""
    meanings = {**ALONE, **SCORES} if recheck else SCORES
    return [
        (
            score_title(name, recheck=recheck),
            meaning,
            [
                (words.number(split.get(name)), words.between(split.get("intervals", {}).get(name)))
                for split in splits.values()
            ],
        )
        for name, meaning in meanings.items()
    ]


def score_title(name: str, *, recheck: bool = False) -> str:
    """What a score is called; `recheck`: where parts may go to a person, whom some scores take to be right.

    Example:
        >>> score_title("f1"), score_title("f1", recheck=True), score_title("alone_f1")
        ('F1', 'F1, if the person is right', 'F1 of the machine alone')
    """
    if name == "decided_rate":
        return "decided by the machine alone"
    if name.startswith("recheck_rate_"):
        return f"recheck rate of {name[-2:].upper()}"
    alone, plain = name.startswith("alone_"), name.removeprefix("alone_")
    capitals = {"auroc": "AUROC", "mcc": "MCC", "f1": "F1", "brier": "Brier score"}
    title = capitals.get(plain, plain.replace("_", " "))
    if alone:
        return f"{title} of the machine alone"
    return f"{title}, if the person is right" if recheck and name in IF_RIGHT else title
