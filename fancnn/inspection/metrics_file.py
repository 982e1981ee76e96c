"""`metrics.json`: what a model is worth on each part of the data.

Format version 1:

| key | meaning |
| --- | --- |
| format, version | `fancnn-metrics`, 1 |
| run | the run folder that the model comes from |
| epoch, epochs | the epoch whose weights were scored, and how many were trained |
| monitor | the score that chose the epoch |
| threshold, go_class, classes | as in the model |
| split_sha256 | which split the run was trained on |
| parts | by `train`, `val`, `test` or `all`: counts (pictures, go, ng, ng_found, escapes, go_passed, overkills) and the
scores of `fancnn.inspection.scores.score`; null where a score is undefined |
| unread | how many files could not be read |
| versions | of the packages that decide numbers |
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fancnn.inspection.predictions import Prediction, scored
from fancnn.tables import replacing

FORMAT, VERSION = "fancnn-metrics", 1


def part_metrics(predictions: Iterable[Prediction], threshold: float) -> dict[str, Any]:
    """Counts and scores of one part, as `metrics.json` has them."""
    counts, scores = scored(predictions, threshold)
    return {"pictures": counts.go + counts.ng, "go": counts.go, "ng": counts.ng, **asdict(counts), **scores}


def write_metrics(path: Path, parts: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write `metrics.json`; `about` has the keys of the table above that are not `parts`."""
    with replacing(path) as file:
        json.dump({"format": FORMAT, "version": VERSION, **about, "parts": parts}, file, indent=2, allow_nan=False)
        file.write("\n")
