"""Facts of the real sets in ../shared that a made-up folder does not have."""

from pathlib import Path

import pytest

from fancnn.data.folders import list_images, validate_for_training
from fancnn.data.split_plan import SplitPlan

SHARED = Path(__file__).parents[3] / "shared" / "data"
PATIENT = r"(person\d+|IM-\d+)"


@pytest.mark.shared
def test_x_rays_of_a_patient_stay_in_one_part_and_both_classes_in_their_shares() -> None:
    listing = list_images(SHARED / "chest_xray", "NORMAL")
    validate_for_training(listing, "NORMAL")
    images = SplitPlan("grouped", group=PATIENT).assign(listing.images)
    counts = {part: [0, 0] for part in ("train", "val", "test")}
    for image in images:
        counts[image.split][image.label] += 1
    assert counts["test"] == [234, 390]
    assert counts["val"][0] == pytest.approx(0.2 * 1341, rel=0.02)
    assert counts["val"][1] == pytest.approx(0.2 * 3875, rel=0.02)
    of_group = {image.group: image.split for image in images if image.split != "test"}
    assert all(of_group[image.group] == image.split for image in images if image.split != "test")


@pytest.mark.shared
def test_boards_are_two_classes_of_a_thousand() -> None:
    listing = list_images(SHARED / "pcb" / "train", "GO")
    assert [sum(image.label == label for image in listing.images) for label in (0, 1)] == [992, 1000]
