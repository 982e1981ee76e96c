"""What is said of an image and how its heat is laid out."""

import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fancnn.explain.heat_panels import ExplainedImage, decision_words, heat_panel
from fancnn.metrics.predictions import TypeGuess

METHODS = ("grad_cam", "occlusion", "integrated_gradients")
GREY = np.full((40, 30, 3), 90, np.uint8)


def subject(logit: float, *, label: int | None = 1, probability: float = 0.5, decision: str = "GO") -> ExplainedImage:
    return ExplainedImage("a.png", "Escape", "NG" if label else "GO", label, logit, probability, decision, GREY, GREY)


@given(st.floats(-30, 30), st.sampled_from([0, 1]), st.floats(0, 1))
def test_the_numbers_of_a_sentence_agree(logit: float, label: int, calibrated: float) -> None:
    said = decision_words(subject(logit, label=label, probability=calibrated))
    numbers = re.search(r": P\(NG\) ([\d.]+), .* = ([\d.]+) - (\d) = ([-+]\d\.\d+)", said)
    assert numbers is not None
    first, p, y, pull = map(float, numbers.groups())
    assert first == p
    assert (y, pull) == (label, pytest.approx(p - y, abs=1.1e-3))
    assert f"calibrated {calibrated:.3f}" in said


def test_it_says_which_p_the_gradient_has() -> None:
    said = decision_words(subject(-0.29, probability=0.496))
    assert "Logit -0.29: P(NG) 0.428, calibrated 0.496, so GO." in said
    assert said.endswith("p - y = 0.428 - 1 = -0.572, with p before calibration.")
    assert "before calibration" not in decision_words(subject(0.0))


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_logits_of_any_size_are_put_into_words(logit: float) -> None:
    """Warnings are errors here: none of an overflow may come."""
    assert f"Loss {max(0.0, -logit):.3f}" in decision_words(subject(logit))


def test_the_found_type_is_named_with_its_share() -> None:
    guess = TypeGuess("scratch", 0.87)
    found = ExplainedImage("a", "", "NG", 1, 2.0, 0.9, "NG", GREY, GREY, guess=guess)
    assert "so NG, most likely of the type scratch (87 % of P(NG)). Loss of GO against NG 0.127" in decision_words(
        found
    )
    passed = ExplainedImage("a", "", "NG", 1, -2.0, 0.1, "GO", GREY, GREY, guess=guess)
    assert "so GO; were it NG, most likely of the type scratch (87 % of P(NG))." in decision_words(passed)
    assert "type" not in decision_words(subject(2.0, decision="NG"))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_heat_for_ng_is_one_row_and_heat_for_go_the_next(count: int) -> None:
    methods = METHODS[:count]
    heat = np.ones((40, 30), np.float32)
    panel = heat_panel(0, subject(1.0), {(name, target): heat for name in methods for target in ("NG", "GO")})
    assert panel.columns == count
    targets = [tile.caption.rpartition(" ")[2] for tile in panel.tiles[1:]]
    assert targets == ["NG"] * count + ["GO"] * count
    sheet = np.asarray(Image.open(io.BytesIO(panel.png())).convert("RGB"))
    rows, columns = panel.tiles[0].pixels.shape[:2]
    assert rows * 3 < sheet.shape[0] < rows * 5
    assert columns * count < sheet.shape[1] < (columns + 10) * count
    beside = sheet[:rows, columns + 8 :]
    assert (beside == 255).all(), "the image has a row of its own"
