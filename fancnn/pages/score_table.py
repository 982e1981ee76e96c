"""The table of scores: what each is called, what it means, and its values with their intervals."""

from collections.abc import Mapping
from typing import Any

from fancnn.metrics.score_registry import SCORES
from fancnn.pages import formatting as words
from fancnn.settings.groups import ALL

SPLIT_TITLES = {"train": "training", "val": "validation", "test": "test", ALL: "all"}


def score_rows(
    splits: Mapping[str, Mapping[str, Any]], *, recheck: bool, on_comparison_console: bool = False
) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Name, meaning, and for each split the value with its interval.

    Args:
        splits: Scores by what the columns are called, as `metrics.json` has them of a split.
        recheck: Whether parts may go to a person, whom some scores take to be right.
        on_comparison_console: Whether to take only the scores that are for the console of a comparison.
    """
    return [
        (
            score.title_where(recheck=recheck),
            score.meaning,
            [
                (words.number(split.get(name)), words.between(split.get("intervals", {}).get(name)))
                for split in splits.values()
            ],
        )
        for name, score in SCORES.items()
        if (recheck or not score.machine_alone) and (score.on_comparison_console or not on_comparison_console)
    ]
