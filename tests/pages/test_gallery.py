import base64
import io
from pathlib import Path

from made_up import rows_of, write_files
from PIL import Image
from samples import write_images

from fancnn.data.labeled_images import LabeledImage
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds
from fancnn.pages.gallery import SHOWN, SIDE, Thumbnail, gallery_sections, samples, thumbnails


def opened(thumbnail: Thumbnail) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(thumbnail.source.partition(",")[2])))


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
