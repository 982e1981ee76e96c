import json
from dataclasses import replace

import pytest

from fancnn.decisions.calibration import UNCALIBRATED
from fancnn.errors import UserError
from fancnn.images.preprocess import Preprocess
from fancnn.inference.export_metadata import ExportMetadata

FACTS = ExportMetadata(
    classes=["GO", "NG"],
    go_class="GO",
    outputs=["GO", "Kratzer", "汚れ"],
    thresholds=(0.2, 0.7),
    preprocess=Preprocess((16, 16), resize="pad").to_dict(),
    calibration=UNCALIBRATED.to_dict(),
    weights_sha256="a",
    checkpoint_sha256="b",
    split_sha256=None,
    versions={"fancnn": "9.9"},
)


def test_facts_that_were_written_are_read() -> None:
    found = ExportMetadata.from_text(FACTS.as_text(), "x.onnx")
    assert (found.types, tuple(found.thresholds)) == (["Kratzer", "汚れ"], (0.2, 0.7))
    assert found.as_text() == FACTS.as_text()


def test_a_file_of_before_images_were_normalized_says_what_was_done_then() -> None:
    plain = json.loads(FACTS.as_text())
    del plain["preprocess"]["normalize"], plain["preprocess"]["normalize_window"]
    assert ExportMetadata.from_text(json.dumps(plain), "x.onnx").preprocess["normalize"] == "none"


def test_a_file_of_before_maps_were_in_it_gives_none() -> None:
    plain = json.loads(FACTS.as_text())
    del plain["has_cells"], plain["cell_threshold"], plain["mm_per_pixel"]
    found = ExportMetadata.from_text(json.dumps(plain), "x.onnx")
    assert (found.has_cells, found.mm_per_pixel, "cells" in found.tensors) == (False, None, False)
    assert replace(FACTS, has_cells=True).tensors == ["probability", "logit", "pixels", "type_shares", "cells"]


def test_a_file_of_before_parts_had_several_images_decides_on_single_ones() -> None:
    plain = json.loads(replace(FACTS, part=r"part-\d+", part_images=4).as_text())
    found = ExportMetadata.from_text(json.dumps(plain), "x.onnx")
    assert (found.part, found.part_images) == (r"part-\d+", 4)
    del plain["part"], plain["part_images"]
    found = ExportMetadata.from_text(json.dumps(plain), "x.onnx")
    assert (found.part, found.part_images) == (None, None)


def test_keys_of_a_later_fancnn_with_the_same_format_are_passed_over() -> None:
    later = json.dumps({**json.loads(FACTS.as_text()), "mood": "good"})
    assert ExportMetadata.from_text(later, "x.onnx").classes == FACTS.classes


@pytest.mark.parametrize("text", [None, "", "{}", "[]", "no JSON"])
def test_a_file_of_another_program_is_refused(text: str | None) -> None:
    with pytest.raises(UserError, match="x.onnx was not exported by fancnn.*Expected a file that"):
        ExportMetadata.from_text(text, "x.onnx")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": 99}, "x.onnx has export format 99; this fancnn reads up to 2. It was written by fancnn 9.9"),
        ({"thresholds": [0.7, 0.2]}, "x.onnx is damaged: thresholds: thresholds 0.7 and 0.2"),
        ({"thresholds": None}, "x.onnx is damaged"),
        ({"cell_threshold": 2}, "x.onnx is damaged: cell_threshold: expected a number from 0 to 1, got 2"),
        ({"mm_per_pixel": 0}, "x.onnx is damaged: mm_per_pixel: expected a number from 1e-06 to 10000, got 0"),
        ({"part": "("}, r"x.onnx is damaged: part='\(' is no regular expression"),
        ({"has_cells": "yes"}, "x.onnx is damaged: has_cells: expected true or false, got 'yes'"),
    ],
)
def test_facts_that_cannot_be_used_are_told(change: dict[str, object], text: str) -> None:
    with pytest.raises(UserError, match=text):
        ExportMetadata.from_text(json.dumps({**json.loads(FACTS.as_text()), **change}), "x.onnx")


def test_a_file_without_types_gives_three_tensors() -> None:
    one = ExportMetadata.from_text(FACTS.as_text().replace(', "\\u6c5a"', "").replace(', "汚れ"', ""), "x")
    assert one.types == []
    assert one.tensors == ["probability", "logit", "pixels"]
    assert FACTS.tensors[-1] == "type_shares"
