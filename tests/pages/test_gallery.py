import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import rows_of, write_files
from PIL import Image
from samples import write_images

from fancnn.data.labeled_images import LabeledImage
from fancnn.metrics.defect_regions import DefectRegion
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds
from fancnn.pages.gallery import SHOWN, SIDE, Thumbnail, gallery_sections, samples, thumbnails


def opened(thumbnail: Thumbnail) -> Image.Image:
    return decoded(thumbnail.source)


def decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_the_worst_mistakes_come_first_and_nothing_is_on_two_shelves(tmp_path: Path) -> None:
    rows = rows_of(200, shift=1)
    found = {section.name: section for section in gallery_sections(rows, Thresholds(0.3, 0.6), tmp_path)}
    assert list(found) == ["escapes", "overkills", "recheck", "unsure"]
    chances = {name: [item.probability for item in section.images] for name, section in found.items()}
    assert chances["escapes"] == sorted(row.probability for row in rows if row.label and row.probability <= 0.3)[:SHOWN]
    assert chances["overkills"][0] == max(row.probability for row in rows if not row.label)
    assert found["recheck"].total == sum(0.3 < row.probability <= 0.6 for row in rows)
    paths = [item.path for section in found.values() for item in section.images]
    assert len(paths) == len(set(paths))


def test_a_thumbnail_is_small_keeps_its_shape_and_is_never_enlarged(tmp_path: Path) -> None:
    write_images(tmp_path, {"GO": 1}, size=(400, 800))
    write_images(tmp_path, {"NG": 1}, size=(24, 20))
    rows = [Prediction("GO/000.png", 0.1, label=0), Prediction("NG/000.png", 0.9, label=1)]
    large, small = map(opened, thumbnails(rows, tmp_path, Thresholds.single(0.5)))
    assert large.size == (SIDE, SIDE // 2)
    assert small.size == (20, 24)


REGION = DefectRegion(300, 100, 340, 120, 320.0, 110.0, 0.9)


def test_a_thumbnail_has_boxes_around_its_defects_unless_it_is_go(tmp_path: Path) -> None:
    Image.new("RGB", (800, 400), (60, 60, 60)).save(tmp_path / "a.png")
    row = Prediction("a.png", 0.6, label=1, regions=(REGION, REGION), mm_per_pixel=0.05)
    (boxed,), (plain,) = (thumbnails([row], tmp_path, Thresholds.single(at)) for at in (0.5, 0.7))
    assert (boxed.where, plain.where) == ("40x20 px, 2x1 mm at 320, 110, and 1 more", "")
    image = np.asarray(opened(boxed).convert("RGB")).astype(int)
    assert image.shape == (SIDE, 2 * SIDE, 3), "twice as large: a defect is small"
    red = image[..., 0] - image[..., 2] > 60
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    scale = 2 * SIDE / 800
    expected = [scale * side for side in (100, 120, 300, 340)]
    assert [rows[0], rows[-1], columns[0], columns[-1]] == pytest.approx(expected, abs=3)
    assert np.ptp(np.asarray(opened(plain))) < 20, "nothing is drawn on it"


@pytest.mark.parametrize("corner", [(0, 0), (300, 100), (760, 380)])
def test_a_small_defect_is_seen_in_a_close_up_wherever_it_lies(corner: tuple[int, int], tmp_path: Path) -> None:
    left, top = corner
    pixels = np.full((400, 800, 3), 60, np.uint8)
    pixels[top : top + 20, left : left + 40] = 250
    Image.fromarray(pixels).save(tmp_path / "a.png")
    region = DefectRegion(left, top, left + 40, top + 20, left + 20.0, top + 10.0, 0.9)
    (found,) = thumbnails([Prediction("a.png", 0.6, label=1, regions=(region,))], tmp_path, Thresholds.single(0.5))
    close_up = np.asarray(decoded(found.close_up).convert("L"))
    assert close_up.shape == (2 * SIDE, 2 * SIDE)
    assert (close_up > 155).mean() == pytest.approx(40 * 20 / 120**2, abs=0.01)


def test_a_large_defect_needs_no_close_up(tmp_path: Path) -> None:
    Image.new("RGB", (300, 300)).save(tmp_path / "a.png")
    region = DefectRegion(10, 10, 110, 60, 60.0, 35.0, 0.9)
    rows = [Prediction("a.png", 0.6, label=1, regions=(region,)), Prediction("a.png", 0.6, label=1, regions=())]
    assert [item.close_up for item in thumbnails(rows, tmp_path, Thresholds.single(0.5))] == ["", ""]


def test_what_was_found_is_shown_with_its_place_where_the_network_says_it(tmp_path: Path) -> None:
    rows = [replace(row, regions=(REGION,) if (row.probability or 0) > 0.6 else ()) for row in rows_of(200, shift=1)]
    found = {section.name: section for section in gallery_sections(rows, Thresholds(0.3, 0.6), tmp_path)}
    assert list(found) == ["escapes", "overkills", "recheck", "found", "unsure"]
    right = sorted((row.probability for row in rows if row.label and row.regions), reverse=True)
    assert [item.probability for item in found["found"].images] == right[:SHOWN]
    assert found["found"].total == len(right)
    paths = [item.path for section in found.values() for item in section.images]
    assert len(paths) == len(set(paths))


def test_a_damaged_file_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    (found,) = thumbnails([Prediction("a.png", 0.5)], tmp_path, Thresholds.single(0.5))
    assert found.source == ""
    assert found.missing


def test_samples_show_every_kind_good_ones_first(tmp_path: Path) -> None:
    rows = rows_of(40)
    images = [LabeledImage(row.path, row.class_name, row.label or 0, defect_type=row.defect_type) for row in rows]
    found = samples(images, write_files(tmp_path, rows), each=3)
    assert [(section.name, section.total, len(section.images)) for section in found] == [
        ("GO", 20, 3),
        ("NG/scratch", 10, 3),
        ("NG/stain", 10, 3),
    ]
