"""What is said of heat maps: never more than the images show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fancnn.metrics.localization import Place, localisation, verdict


def places(count: int, hit_rate: float, share: float, *, untrained: float = 0.05, centre: bool = False) -> list[Place]:
    random = np.random.default_rng(0)
    hits = [True] * round(count * hit_rate) + [False] * (count - round(count * hit_rate))
    wobble = random.uniform(-0.01, 0.01, (2, count))
    return [
        Place(
            "scratch", share + wobble[0, i], hits[i], False, untrained + wobble[1, i], False, False, 0.04, 0.08, centre
        )
        for i in range(count)
    ]


def test_a_method_that_finds_defects_passes() -> None:
    found = localisation(places(60, 0.8, 0.3))
    assert found.beats_chance
    assert found.beats_untrained
    assert verdict("grad_cam", found).startswith("Grad-CAM passes: its hottest pixel is on the defect in 48 of 60")


def test_a_method_that_random_weights_equal_fails_however_often_it_hits() -> None:
    found = localisation(places(60, 0.9, 0.3, untrained=0.3))
    assert not found.beats_untrained
    said = verdict("occlusion", found)
    assert said.startswith("Occlusion fails: nothing shows that training")
    assert "Do not read its heat as the place of the defect" in said


def test_a_method_that_the_middle_of_the_image_beats_fails() -> None:
    found = localisation(places(60, 0.6, 0.3, centre=True))
    assert found.centre_pointing == 1
    assert "fails: it does not find the defects better than guessing" in verdict("integrated_gradients", found)


def test_few_images_prove_nothing() -> None:
    few = localisation(places(9, 1.0, 0.2))
    assert not few.beats_chance
    assert few.outcome == few.to_dict()["outcome"] == "too few"
    said = verdict("grad_cam", few)
    assert said.startswith("Grad-CAM is neither shown right nor wrong: 9 images are too few to tell (10 or more")
    assert "fails" not in said
    assert "1 image is too few" in verdict("grad_cam", localisation(places(1, 1.0, 0.2)))
    assert localisation(places(40, 1.0, 0.2)).beats_chance


def test_ten_images_are_enough_to_pass_or_fail() -> None:
    assert localisation(places(10, 1.0, 0.3)).outcome == "passes"
    assert localisation(places(10, 0.0, 0.3)).outcome == "fails"


@settings(max_examples=8)
@given(st.integers(1, 40), st.floats(0, 1), st.floats(0.02, 0.9))
def test_values_lie_in_their_intervals_and_the_file_has_plain_numbers(count: int, rate: float, share: float) -> None:
    found = localisation(places(count, rate, share))
    for one in (found.share, found.pointing, found.untrained_pointing):
        if one.interval is not None:
            assert one.interval.low - 1e-12 <= one.value <= one.interval.high + 1e-12
    plain = found.to_dict()
    low_high = plain["pointing"]["interval"]
    assert low_high == [found.pointing.interval.low, found.pointing.interval.high]  # type: ignore[union-attr]
    assert plain["hits"] == found.hits


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing can be checked"):
        localisation([])
