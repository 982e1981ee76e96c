"""Run folders and prediction tables without a training: what reports and comparisons read."""

import hashlib
import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fancnn.data.labeled_images import LabeledImage, split_hash, write_split
from fancnn.files.tables import table_writer
from fancnn.metrics.predictions import Prediction, write_predictions
from fancnn.metrics.thresholds import Thresholds
from fancnn.runs.metrics_file import RunMetrics, split_metrics, write_metrics

TYPES = ("scratch", "stain")
HALF = Thresholds.single(0.5)


def rows_of(count: int = 40, *, seed: int = 0, split: str = "test", shift: float = 2.0) -> list[Prediction]:
    """Half GO, half NG of two types; a larger `shift` tells them apart better."""
    random = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        label = index % 2
        logit = random.normal() + shift * (label - 0.5)
        kind = TYPES[index // 2 % 2] if label else ""
        path = f"NG/{kind}/{index:03}.png" if label else f"GO/{index:03}.png"
        chance = float(1 / (1 + np.exp(-logit)))
        name = ("GO", "NG")[label]
        rows.append(Prediction(path, chance, split=split, class_name=name, label=label, defect_type=kind))
    return rows


def decided(rows: Sequence[Prediction], thresholds: Thresholds) -> list[Prediction]:
    return [replace(row, decision=thresholds.decide(row.probability or 0)) for row in rows]


def write_table(path: Path, rows: Sequence[Prediction]) -> Path:
    write_predictions(rows, path)
    return path


def write_run(
    folder: Path, rows: Sequence[Prediction], thresholds: Thresholds = HALF, searched: str | None = None, **about: Any
) -> Path:
    """A run folder with everything but checkpoints; 20 more images that were trained on; no image files.

    `searched` is the split whose metrics say that the thresholds were chosen on it.
    """
    folder.mkdir(parents=True)
    write_predictions(decided(rows, thresholds), folder / "predictions.csv")
    trained = [replace(row, path=f"{row.path}.train", split="train") for row in rows_of(20, seed=9)]
    images = [_image(row) for row in (*rows, *trained)]
    write_split(images, folder / "split.csv")
    with table_writer(folder / "metrics.csv", ("epoch", "seconds", "lr", "train/loss", "val/loss", "val/f1"), 1) as add:
        for epoch in (1, 2, 3):
            add({"epoch": epoch, "lr": 0.01, "train/loss": 1 / epoch, "val/loss": abs(epoch - 2) + 0.9, "val/f1": 0.5})
    hydra = folder / ".hydra"
    hydra.mkdir()
    (hydra / "overrides.yaml").write_text("- seed=3\n- data.root=/my parts\n")
    (hydra / "config.yaml").write_text(json.dumps(CONFIGURATION))  # JSON is YAML
    names = {row.split for row in rows}
    splits = {
        name: split_metrics([row for row in rows if row.split == name], thresholds, searched=name == searched)
        for name in names
    }
    known = {**ABOUT, "split_sha256": split_hash(images), "thresholds": [thresholds.lower, thresholds.upper], **about}
    write_metrics(folder / "metrics.json", RunMetrics(**known, splits=splits))
    return folder


def write_files(root: Path, rows: Sequence[Prediction]) -> Path:
    """The small image of each row, as the `split.csv` of `write_run` knows it."""
    for row in rows:
        path = root / row.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content_of(row.path))
    return root


def content_of(path: str) -> bytes:
    """The file of an image: for each path another one."""
    random = np.random.default_rng(zlib.crc32(path.encode()))
    file = io.BytesIO()
    Image.fromarray(random.integers(0, 255, (24, 20, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def _image(row: Prediction) -> LabeledImage:
    sha256 = hashlib.sha256(content_of(row.path)).hexdigest()
    return LabeledImage(row.path, row.class_name, row.label or 0, row.split, sha256, row.group, row.defect_type)


CONFIGURATION = {
    "seed": 3,
    "data": {"root": "/my parts", "image_size": [80, 80]},
    "model": {"network": {"_target_": "fancnn.networks.ConvNet", "image_size": "${data.image_size}"}},
}
ABOUT: dict[str, Any] = {
    "run": None,
    "epoch": 2,
    "epochs": 3,
    "monitor": "val/loss",
    "decision": "as configured",
    "decision_split": "val",
    "calibration": {"method": "temperature", "slope": 0.5, "logits": [0.0], "calibrated": [0.0]},
    "go_class": "GO",
    "classes": ["GO", "NG"],
    "root": "/nowhere",
    "unread": 0,
    "versions": {"fancnn": "0"},
    "line": None,
}
