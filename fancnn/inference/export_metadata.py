"""What an exported file says of itself: plain data, in the same words in every format of file.

The file is sealed: see `fancnn.files.seals`. Where these facts are kept: in an ONNX file as the metadata property
`fancnn`, in OpenVINO's XML as `rt_info/fancnn`, in a file of `torch.export` as the extra file `fancnn`. They are JSON,
format version 2:

| key | meaning |
| --- | --- |
| format, version | `fancnn-export`, 2 |
| classes, go_class | names of the class folders, and the one of them with the good parts |
| outputs | what the network's outputs are called: `[NG]`, `[GO, NG]` or `[GO, scratch, stain]` |
| thresholds | lower and upper, of the probability: GO up to the lower, NG above the upper, RECHECK between |
| decision, decision_split, line | what the thresholds were chosen for, on which split, for which line; or null |
| preprocess | the keys of `PreprocessSettings`; a reader needs the background alone |
| calibration | as `Calibration.to_dict` gives it: what is inside (files of before have no `ng_rate`) |
| epoch, runs | how many epochs the weights have seen; in an ensemble the run folders of its members |
| weights_sha256 | of the network's weights, as `weights_hash` makes it |
| checkpoint_sha256 | of the checkpoint file that it was exported from |
| split_sha256 | which split it was trained on |
| backbones | where weights come from that learnt elsewhere, by the keys of `Backbone`; null where none, absent before |
| seen | which images the model has seen, in which role, as `SeenImages.to_dict` gives it; absent before |
| has_cells | whether the network judges by cells, so that the file gives their map; absent before, which is false |
| cell_threshold | P(NG) above which cells are boxed as the defect; absent before |
| mm_per_pixel | millimetres of the part that a pixel of the stored images shows; null where not known, absent before |
| part | the regular expression that names the part of an image, where thresholds are of parts; null, or absent before |
| part_images | how many images each part had in training; null where their numbers differed, absent before |
| opset | of ONNX; null in other formats |
| versions | of fancnn and torch, and of what wrote the file |
| sealed | true: the file has a seal (see `fancnn.files.seals`), without which it is damaged; absent before |

Version 1 called `decision_split` `decision_part`, and its tensor of images `pictures`.

The file takes one tensor and gives three to five:

| tensor | meaning |
| --- | --- |
| images | `(batch, any height, any width, 3)`, uint8, RGB, rows from the top |
| probability | `(batch,)`, float32: P(NG), calibrated |
| logit | `(batch,)`, float32: of NG as the network has it, not calibrated |
| pixels | `(batch, 3, *image_size)`, float32: whole grey levels from 0 to 255, after the resize |
| type_shares | `(batch, types)`, float32, where there are types: the share of P(NG) of each, as in `outputs[1:]` |
| cells | `(batch, rows, columns)`, float32, with has_cells: P(NG) of each cell; together they cover `pixels` evenly |

What boxes follow from `cells`: see `fancnn.decisions.defect_boxes`.
"""

import json
from dataclasses import asdict, dataclass
from typing import Annotated

from fancnn.data.seen_images import SeenImages
from fancnn.decisions.model_metadata import StoredModelMetadata, whole_preprocess
from fancnn.errors import UserError
from fancnn.files.json_files import parsed_json
from fancnn.files.plain_data import Mismatch, kinds_of, optional, record, validate, whole
from fancnn.settings.earlier_names import metadata_by_present_names

FORMAT, VERSION = "fancnn-export", 2
KEY, SEAL_KEY = "fancnn", "fancnn_seal"
INPUT, INPUT_BEFORE = "images", "pictures"  # what the tensor of images is called, and was in version 1


@dataclass(frozen=True, kw_only=True)
class ExportMetadata(StoredModelMetadata):
    """The table above as an object.

    Attributes:
        checkpoint_sha256: Of the checkpoint file that it was exported from.
        has_cells: Whether it gives P(NG) of each cell, too.
        opset: Of ONNX; None in other formats.
        sealed: Whether the file has a seal.
    """

    checkpoint_sha256: str = ""
    has_cells: bool = False
    opset: Annotated[int | None, optional(whole(1))] = None
    sealed: bool = False

    @property
    def seen_images(self) -> SeenImages:
        """Return which images the model has seen, in which role; not complete in a file of before this was recorded."""
        return SeenImages(complete=False) if self.seen is None else SeenImages.from_dict(self.seen, "the exported file")

    @property
    def calibration_ng_rate(self) -> float | None:
        """Return the share of NG in the mix of parts that P(NG) is for; None if unknown, as in earlier files."""
        rate: float | None = self.calibration.get("ng_rate")
        return rate

    @property
    def line_ng_rate(self) -> float | None:
        """Return the share of NG on the line that it was trained or decided for; None where none was given."""
        rate: float | None = (self.line or {}).get("ng_rate")
        return rate

    @property
    def types(self) -> list[str]:
        """Return the kinds of NG that it tells apart; none where it has one or two outputs."""
        return list(self.outputs[1:]) if len(self.outputs) > 2 else []

    @property
    def tensors(self) -> list[str]:
        """Return the names of what it gives, in order."""
        optional = {"type_shares": bool(self.types), "cells": self.has_cells}
        return ["probability", "logit", "pixels", *(name for name, there in optional.items() if there)]

    def as_text(self) -> str:
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, ensure_ascii=False)

    @staticmethod
    def from_text(text: str | None, place: str, *, sealed: bool = False) -> "ExportMetadata":
        """Return the facts that `as_text` wrote; keys that a later version may add are passed over.

        Args:
            text: What the file has; None if nothing.
            place: How the file is called in messages.
            sealed: Whether the file has a seal, and it holds.

        Raises:
            UserError: If the file is not one of fancnn's, damaged, or of a newer format.
        """
        try:
            plain = parsed_json(text or "")
        except Mismatch:
            plain = {}
        if plain.get("format") != FORMAT:
            raise UserError(
                f"{place} was not exported by fancnn: it does not say its classes and thresholds. Expected a file that "
                "`python -m fancnn.export run=outputs/train/<stamp>` wrote"
            )
        validate(plain, record({"version": whole(1)}, ("version",)), place)
        if plain["version"] > VERSION:
            named = plain.get("versions")
            by = named.get("fancnn") if isinstance(named, dict) else None
            raise UserError(
                f"{place} has export format {plain['version']}; this fancnn reads up to {VERSION}. It was written by "
                f"fancnn {by if isinstance(by, str) else 'unknown'}: update to that or later"
            )
        plain = metadata_by_present_names(plain)
        validate(plain, FACTS, place)
        if plain["go_class"] not in plain["classes"]:
            raise UserError(f"{place} is damaged: go_class: expected one of its classes, got {plain['go_class']!r}")
        plain = {**plain, "preprocess": whole_preprocess(plain["preprocess"])}
        facts = ExportMetadata(**{name: value for name, value in plain.items() if name in _KINDS})
        if facts.seen is not None:
            SeenImages.from_dict(facts.seen, place)  # read once, so that damage is reported here
        if facts.sealed and not sealed:
            raise UserError(f"{place} is damaged: {NO_SEAL}")
        return facts


NO_SEAL = "its seal is gone, so that nobody can tell whether it is what was exported. Export it again"
_KINDS = kinds_of(ExportMetadata)
FACTS = record(
    _KINDS,
    (
        *("classes", "go_class", "outputs", "thresholds", "preprocess", "calibration"),
        *("weights_sha256", "checkpoint_sha256", "split_sha256", "versions"),
    ),
)
"""The first table above."""
