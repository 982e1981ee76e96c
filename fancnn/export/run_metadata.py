"""What an exported file will say of itself, from the model and its checkpoint."""

import hashlib
from dataclasses import astuple
from importlib.metadata import version as installed_version
from pathlib import Path

from fancnn.export.writing import OPSET
from fancnn.inference.export_formats import FORMATS
from fancnn.inference.export_metadata import ExportMetadata
from fancnn.model import Model
from fancnn.networks.weights import weights_hash
from fancnn.system.installation import versions


def described(model: Model, checkpoint: Path, format: str) -> ExportMetadata:
    """Return the facts of `model`, which was loaded from the file `checkpoint`, for a file of `format`."""
    metadata = model.metadata
    return ExportMetadata(
        classes=list(model.classes),
        go_class=model.go_class,
        outputs=list(model.outputs),
        thresholds=astuple(model.thresholds),
        preprocess=model.preprocess.to_dict(),
        has_cells=model.has_cells,
        cell_threshold=model.cell_threshold,
        mm_per_pixel=model.mm_per_pixel,
        part=model.part,
        part_images=model.part_images,
        calibration=model.calibration.to_dict(),
        weights_sha256=weights_hash(model.network.state_dict()),
        checkpoint_sha256=hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        split_sha256=metadata.split_sha256,
        versions={**versions(), **{name: installed_version(name) for name in FORMATS[format].packages}},
        opset=OPSET if format == "onnx" else None,
        seen=model.seen_images.to_dict(),
        sealed=True,
        **{
            name: getattr(metadata, name)
            for name in ("decision", "decision_split", "line", "epoch", "runs", "backbones")
        },
    )
