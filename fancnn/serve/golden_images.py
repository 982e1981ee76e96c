"""Known images that an inspector must decide right before it may decide anything else.

A golden folder has either folders `GO`, `NG` and `RECHECK`, whose images must be decided so, or any images and
`predictions.csv`, the table that `predict` made of them with the checkpoint: then the probabilities must be those, too,
within `GAP`, which tells a swapped weight or another resize apart although no decision changes.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fancnn.data.labeled_images import LabeledImage
from fancnn.errors import NOT_FINITE, NotFiniteError, UserError
from fancnn.files.run import Run
from fancnn.images.image_files import iter_image_files
from fancnn.images.reading import UnreadableImage, pixel_hash
from fancnn.inference.exported_model import ExportedModel
from fancnn.metrics.predictions import Prediction, read_predictions
from fancnn.metrics.thresholds import DECISIONS, Decision
from fancnn.plurals import plural

TABLE = Run(Path()).predictions.name
GAP = 1e-3  # ten times what an export is allowed to differ from its checkpoint
MOST_TOLD = 5


@dataclass(frozen=True)
class Expected:
    """What is known of one image; `probability` is None where only its folder speaks."""

    path: Path
    decision: Decision
    probability: float | None = None


def validate_golden(model: ExportedModel, folder: Path) -> int:
    """Decide the golden images again.

    Returns:
        How many there are; all were right.

    Raises:
        UserError: If one was decided otherwise or not at all, could not be read, or the folder is not as it should be.
    """
    expected = golden_images(folder)
    faults = [fault for one in expected if (fault := _fault(model, one))]
    if faults:
        more = f" and {len(faults) - MOST_TOLD} more" if len(faults) > MOST_TOLD else ""
        raise UserError(f"{len(faults)} of {len(expected)} golden images: {'; '.join(faults[:MOST_TOLD])}{more}")
    return len(expected)


def golden_images(folder: Path) -> list[Expected]:
    """Return what is expected of each image of a golden folder.

    Raises:
        UserError: If there are none, or it is not known what to expect of one, or all are expected to be alike.
    """
    if not folder.is_dir():
        raise UserError(f"golden={folder} is no folder. Expected one with GO/ and NG/, or with {TABLE}")
    relative = sorted(iter_image_files(folder))
    if (folder / TABLE).is_file():
        rows = read_predictions(folder / TABLE)
        expected = [_of_table(folder, path, rows) for path in relative]
    else:
        expected = [_of_folder(folder, path) for path in relative]
    if not {"GO", "NG"} <= {one.decision for one in expected}:
        raise UserError(f"golden={folder} should have images of both GO and NG; found {plural(len(expected), 'image')}")
    return expected


def known_golden(model: ExportedModel, folder: Path) -> str:
    """Say how many of the golden images taught the model its weights; empty if none did.

    Those show that the file is the right one, and not that it decides others right.
    """
    hashes = [_hashes_of(model, one.path) for one in golden_images(folder)]
    count = sum("weights" in roles for roles in model.seen_images.roles_of_all(hashes))
    if count:
        return (
            f"{count} of {len(hashes)} golden images trained the model: that they are decided right says little of "
            "other parts. Take images that it has not seen"
        )
    return ""


def _hashes_of(model: ExportedModel, path: Path) -> LabeledImage:
    """Return an image by its hashes alone; without any where it cannot be read, which the check itself will say."""
    try:
        with model.gate.content(path) as content:
            pixels = pixel_hash(model.read(content))
            return LabeledImage(path.name, "", 0, sha256=hashlib.sha256(content).hexdigest(), pixel_sha256=pixels)
    except UnreadableImage:
        return LabeledImage(path.name, "", 0)


def _of_folder(folder: Path, path: Path) -> Expected:
    decision = path.parts[0] if path.parts else ""
    if decision not in DECISIONS or len(path.parts) < 2:
        raise UserError(
            f"golden={folder}: {path} is in none of {', '.join(DECISIONS)}, and there is no {TABLE} to say what it is"
        )
    return Expected(folder / path, decision)


def _of_table(folder: Path, path: Path, rows: list[Prediction]) -> Expected:
    """Return the row whose path ends as that of the image: tables are made from any working directory."""
    matches = [row for row in rows if Path(row.path).parts[-len(path.parts) :] == path.parts and row.decision]
    if len(matches) != 1 or matches[0].decision not in DECISIONS:
        raise UserError(f"golden={folder}: {TABLE} has {len(matches)} decisions on {path}, expected 1")
    return Expected(folder / path, matches[0].decision, matches[0].probability)


def _fault(model: ExportedModel, expected: Expected) -> str:
    """Return what is wrong with the decision on one image, in words; empty if nothing."""
    try:
        predicted = model.score([model.read(expected.path)])
    except UnreadableImage as error:
        return f"{expected.path.name} cannot be read: {error}"
    except NotFiniteError:
        return f"{expected.path.name}: {NOT_FINITE}"
    decision, probability = predicted.decisions[0], float(predicted.probabilities[0])
    if decision != expected.decision:
        return f"{expected.path.name} should be {expected.decision} and was {decision} ({probability:.4f})"
    if expected.probability is not None and abs(probability - expected.probability) > GAP:
        return f"{expected.path.name} should have {expected.probability:.4f} and had {probability:.4f}"
    return ""
