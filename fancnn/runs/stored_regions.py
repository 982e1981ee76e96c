"""Where the defects of a run's images are, for its prediction table: found in the files, which have the true size."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fancnn.metrics.defect_regions import DefectRegion
from fancnn.metrics.predictions import FileScore, Prediction
from fancnn.model import Model
from fancnn.system.console import track


def with_regions(model: Model, rows: Sequence[Prediction], root: Path) -> list[Prediction]:
    """Return rows with the regions of their images; as they are where the model's network has no cells.

    Regions that are known stay. Others are found by scoring the file again; where it is gone, has changed or can no
    longer be read, they stay unknown.

    Args:
        model: Which has decided the rows.
        rows: Of a prediction table.
        root: Folder that the paths are relative to.
    """
    if not model.has_cells:
        return list(rows)
    wanted = [row for row in rows if row.decision not in ("", "GO") and not row.regions]
    scores = model.score_files(root / row.path for row in wanted)
    located = {
        row.path: _regions(row, score)
        for row, score in zip(wanted, track(scores, "finding the defects", len(wanted)), strict=True)
    }
    return [
        replace(
            row,
            regions=located.get(row.path, () if row.decision == "GO" else row.regions),
            mm_per_pixel=model.mm_per_pixel,
        )
        for row in rows
    ]


def _regions(row: Prediction, score: FileScore) -> tuple[DefectRegion, ...] | None:
    return (score.regions or None) if row.sha256 in ("", score.sha256) else None
