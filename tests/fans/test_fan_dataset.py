import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fancnn.errors import UserError
from fancnn.fans import fan_dataset as dataset
from fancnn.fans.defects import DEFECTS
from fancnn.fans.fan_dataset import render_fans

TINY = {"count": 18, "size": 64, "ng_fraction": 0.5}


@pytest.fixture(scope="module")
def fans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_fans(tmp_path_factory.mktemp("rendered") / "fans", **TINY, workers=1)


@pytest.fixture(scope="module")
def rows(fans: Path) -> list[dict[str, str]]:
    with (fans / "fans.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_arguments_give_the_same_bytes_whatever_the_workers(fans: Path, tmp_path: Path) -> None:
    assert digests(render_fans(tmp_path / "again", **TINY, workers=2)) == digests(fans)


def test_another_seed_gives_other_fans(fans: Path, tmp_path: Path) -> None:
    other = digests(render_fans(tmp_path / "other", **TINY, seed=1, workers=1))
    assert not set(other.values()) & set(digests(fans).values())


def test_a_larger_set_begins_with_the_same_good_fans(fans: Path, tmp_path: Path) -> None:
    few = digests(render_fans(tmp_path / "few", count=5, size=64, ng_fraction=0, workers=1))
    many = digests(fans)
    shared = [file for file in few if file in many and file != "fans.csv"]
    assert shared
    assert all(few[file] == many[file] for file in shared)


def test_every_image_has_one_row_in_order_and_every_file_is_named_once(fans: Path, rows: list[dict[str, str]]) -> None:
    assert [row["file"][-9:-4] for row in rows] == [f"{index:05d}" for index in range(TINY["count"])]
    named = [row["file"] for row in rows] + [row["mask"] for row in rows if row["mask"]]
    assert sorted(named) == sorted(set(digests(fans)) - {"fans.csv"})


def test_the_folders_hold_the_classes_of_the_table(rows: list[dict[str, str]]) -> None:
    for row in rows:
        folder = "GO" if row["class"] == "GO" else f"NG/{row['defect_type']}"
        assert row["file"].startswith(f"{folder}/")
    counts = Counter(row["defect_type"] for row in rows)
    assert counts.pop("") == 9
    assert set(counts) == set(DEFECTS)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_good_fan_has_no_truth_but_its_version(rows: list[dict[str, str]]) -> None:
    good = [row for row in rows if row["class"] == "GO"]
    told = {"file", "class", "version"}
    assert all(not value for row in good for key, value in row.items() if key not in told)
    assert {row["version"] for row in rows} == {str(dataset.VERSION)}


def test_the_box_is_the_smallest_round_the_mask(fans: Path, rows: list[dict[str, str]]) -> None:
    for row in (row for row in rows if row["class"] == "NG"):
        mask = np.asarray(Image.open(fans / row["mask"]))
        assert mask.shape == (TINY["size"], TINY["size"])
        assert set(np.unique(mask)) == {0, 255}
        x0, y0, x1, y1 = (int(row[key]) for key in ("x0", "y0", "x1", "y1"))
        inside = mask[y0:y1, x0:x1] > 0
        assert np.count_nonzero(inside) == np.count_nonzero(mask)
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        assert 0 < float(row["severity"]) <= np.sqrt(np.count_nonzero(mask)) + 0.01


def test_images_are_square_colour_jpegs_of_the_size(fans: Path, rows: list[dict[str, str]]) -> None:
    for row in rows:
        with Image.open(fans / row["file"]) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 64))


@pytest.mark.parametrize(("fraction", "classes"), [(0.0, {"GO"}), (1.0, {"NG"})])
def test_a_set_may_hold_one_class_only(fraction: float, classes: set[str], tmp_path: Path) -> None:
    root = render_fans(tmp_path / "fans", count=2, size=48, ng_fraction=fraction, workers=1)
    assert {path.name for path in root.iterdir() if not path.name.startswith(".") and path.is_dir()} == classes


def test_progress_adds_up_to_the_count(tmp_path: Path) -> None:
    finished: list[int] = []
    render_fans(tmp_path / "fans", count=3, size=48, workers=1, progress=finished.append)
    assert sum(finished) == 3


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "fans").mkdir()
    assert (render_fans(tmp_path / "fans", count=1, size=48, workers=1) / "fans.csv").is_file()


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not an empty folder.*Name a new folder"):
        render_fans(tmp_path, count=1, size=48, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("failure", [RuntimeError("disk on fire"), KeyboardInterrupt()])
def test_a_render_that_fails_leaves_nothing_behind(failure: BaseException, tmp_path: Path) -> None:
    def fail(finished: int) -> None:
        raise failure

    with pytest.raises(type(failure)):
        render_fans(tmp_path / "fans", count=3, size=48, workers=1, progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_in_a_pool_is_passed_on_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too small to show in 48 x 48 pixels.*Raise severity or size"):
        render_fans(tmp_path / "fans", count=40, size=48, severity=1e-6, workers=2)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_filled_in_the_meantime_is_not_overwritten(tmp_path: Path) -> None:
    root = tmp_path / "fans"

    def meddle(finished: int) -> None:
        root.mkdir()
        (root / "theirs.txt").write_text("theirs")

    with pytest.raises(UserError, match="something else may have written there"):
        render_fans(root, count=1, size=48, workers=1, progress=meddle)
    assert [path.name for path in tmp_path.rglob("*")] == ["fans", "theirs.txt"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"count": 0}, "count=0 is out of range: expected from 1 to 1,000,000 images, e.g. 600"),
        ({"seed": -1}, "seed=-1 is out of range: expected 0 or more"),
        ({"ng_fraction": 1.2}, "ng_fraction=1.2 is out of range: expected from 0 to 1"),
        ({"ng_fraction": float("nan")}, "ng_fraction=nan is out of range"),
        ({"size": 40}, "size=40 is out of range: expected from 48 to 4,096 pixels"),
        ({"severity": 0.0}, "severity=0.0 is out of range: expected above 0"),
        ({"workers": 0}, "workers=0 is out of range: expected at least 1"),
    ],
)
def test_values_out_of_range_are_told_in_words(arguments: dict[str, float], text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=text):
        render_fans(tmp_path / "fans", **arguments)
    assert list(tmp_path.iterdir()) == []
