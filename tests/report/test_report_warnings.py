from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import rows_of, write_run

from fancnn.data.labeled_images import LabeledImage
from fancnn.report.report_data import ReportData, of_run
from fancnn.report.report_warnings import proof, rests_on, warnings
from fancnn.runs.looks import Looks

Make = Callable[..., ReportData]


@pytest.fixture
def material(tmp_path: Path) -> ReportData:
    return of_run(write_run(tmp_path / "run", [*rows_of(split="val", seed=1), *rows_of()]), None, None)


def said(material: ReportData) -> str:
    return " ".join(warnings(material))


def images(split: str, count: int, label: int, **more: str) -> tuple[LabeledImage, ...]:
    return tuple(
        LabeledImage(f"{split}{label}{i}", "NG", label, split, f"{split}{label}{i}", **more) for i in range(count)
    )


def test_few_bad_parts_are_told_with_what_they_can_prove(material: ReportData) -> None:
    assert (
        "at most 14 %: at a single look an escape rate of at most 1 % takes 299 NG parts without one escape, 0.1 % "
        "takes 2,995" in said(material)
    )
    assert "at most 0.1 %" in proof(2995)


def test_validation_alone_is_called_optimistic(tmp_path: Path) -> None:
    only = of_run(write_run(tmp_path / "run", rows_of(split="val")), None, None)
    assert "which also chose the epoch" in rests_on(only)
    assert "Only validation numbers are known" in said(only)


@pytest.mark.parametrize(
    ("looks", "text"),
    [
        (
            Looks(1, 0, "", 0, 40, 0),
            "rest on the test split, which was used to choose nothing: look 1 at these images (",
        ),
        (
            Looks(7, 5, "2026-11-20", 0, 40, 40),
            "rest on the test split; look 7 at these images (6 before: 5 models, the last on 2026-11-20), so earlier "
            "results may have guided choices (",
        ),
        (
            Looks(2, 1, "2026-11-20", 0, 40, 30),
            "look 2 at these images (1 before: 1 model, the last on 2026-11-20; they share 30 of the 40 images), so",
        ),
        (
            Looks(1, 0, "", 3, 40, 40),
            "look 1 of 4 at these images (3 others since), so later results may have guided",
        ),
        (None, "the test split; how often these images were looked at is not known, so they may have guided choices ("),
    ],
)
def test_the_test_split_chose_nothing_only_where_nobody_has_looked(
    material: ReportData, looks: Looks | None, text: str
) -> None:
    sentence = rests_on(replace(material, looks=looks))
    assert text in sentence
    assert ("used to choose nothing" in sentence) == (looks is not None and looks.alone)


def test_thresholds_that_were_chosen_on_the_test_part_are_no_test(material: ReportData) -> None:
    assert "the thresholds were chosen" not in rests_on(material)
    chosen = replace(material.known, decision="the greatest F1, 0.9", decision_split="test")
    on_test = replace(material, metrics=chosen)
    assert "on which the thresholds were chosen" in rests_on(on_test)


def test_skipped_files_are_counted_and_the_first_is_named(material: ReportData) -> None:
    skipped = ({"path": "GO/x.png", "reason": "it is cut short"}, {"path": "y", "reason": "z"})
    assert (
        "2 files could not be read and were left out; skipped.csv lists them, first GO/x.png (it is cut short)"
        in said(replace(material, skipped=skipped))
    )


def test_classes_of_very_different_size_are_told(material: ReportData) -> None:
    uneven = replace(material, images=(*images("train", 40, 0), *images("train", 10, 1)))
    assert "4.0 times as many images of one class as of the other (10 NG)" in said(uneven)
    assert "times as many" not in said(material)


def test_a_gap_between_training_and_validation_is_told(material: ReportData) -> None:
    assert "the loss is 0.500 on training and 0.900 on validation" in said(material)
    together = replace(material, history=({"epoch": 2, "train/loss": 0.5, "val/loss": 0.52},))
    assert "the loss is" not in said(together)


def test_groups_and_copies_in_several_parts_are_told(material: ReportData) -> None:
    torn = (*images("train", 2, 0, group="lot 1"), *images("test", 1, 0, group="lot 1"))
    assert "Groups in several splits: 1 of 1." in said(replace(material, images=torn))
    copied = (LabeledImage("a", "GO", 0, "train", "same"), LabeledImage("b", "GO", 0, "test", "same"))
    assert "2 images have a copy of the same pixels in another split" in said(replace(material, images=copied))


def test_a_defect_type_that_training_never_saw_is_named(material: ReportData) -> None:
    assert "Never seen in training: NG/scratch, NG/stain" in said(replace(material, images=images("train", 3, 1)))


def test_a_best_epoch_at_the_end_asks_for_more(material: ReportData) -> None:
    assert "longer training" not in said(material)
    assert "longer training" in said(replace(material, metrics=replace(material.known, epoch=3)))


def test_what_went_wrong_in_training_is_told_from_its_course_or_by_the_run_itself(material: ReportData) -> None:
    rows = tuple({"epoch": i, "lr": 1e-7, "train/loss": 0.69 - 1e-5 * i, "val/loss": 0.69} for i in range(1, 6))
    assert "Raise model.optimizer.lr" in said(replace(material, history=rows))
    known = replace(material.known, warnings=["Since epoch 2 it is dead."])
    assert "Since epoch 2 it is dead." in said(replace(material, history=rows, metrics=known))
    assert "Raise model.optimizer.lr" not in said(replace(material, history=rows, metrics=known))


def test_parts_more_apart_than_chance_are_told(tmp_path: Path) -> None:
    rows = [*rows_of(200, split="val", shift=8), *rows_of(200, seed=2, shift=0)]
    assert "more apart than chance explains" in said(of_run(write_run(tmp_path / "run", rows), None, None))


def test_parts_of_several_images_are_counted_as_such(tmp_path: Path) -> None:
    rows = [
        replace(row, path=f"{row.path}.{camera}", part=row.path) for row in rows_of(40) for camera in ("left", "right")
    ]
    material = of_run(write_run(tmp_path / "run", rows), None, None)
    assert "(40 parts in 80 images, 20 GO and 20 NG)" in rests_on(material)
    assert "Parts have" not in said(material)
    missing = of_run(write_run(tmp_path / "less", rows[:-1]), None, None)
    text = "Parts have 1 to 2 images (NG/stain/039.png has 1): one may be missing, and a defect with it, or two parts"
    assert text in said(missing)
