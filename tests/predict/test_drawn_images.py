"""Where the defects are, in the table and drawn on the images, by a run and by its exported file."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import compose_command, write_images

from fancnn.errors import UserError
from fancnn.images.reading import read_image
from fancnn.metrics.predictions import read_predictions
from fancnn.predict.predict import predict
from fancnn.predict.settings import PredictSettings


def predicted(output: Path, *given: str | Path) -> list[dict[str, str]]:
    settings = [f"output={output}", "device=cpu", f"output_dir={output.parent}", *map(str, given)]
    predict(compose_command("predict", PredictSettings, *settings))
    with output.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Images of three times the size that the network sees, in folders."""
    root = write_images(tmp_path / "new", {"a/GO": 6, "b/NG": 6})
    for path in root.rglob("*.png"):
        image = Image.open(path)
        image.resize((3 * image.width, 3 * image.height), Image.Resampling.NEAREST).save(path)
    return root


def test_a_run_and_its_exported_file_say_the_same_of_where(
    cell_run: Path, cell_exported: Path, large: Path, tmp_path: Path
) -> None:
    tables: Sequence[list[dict[str, str]]] = [
        predicted(tmp_path / f"{name}.csv", f"{name}={path}", f"input={large}")
        for name, path in (("run", cell_run), ("file", cell_exported))
    ]
    for ours, theirs in zip(*tables, strict=True):
        assert ours["decision"] == theirs["decision"]
        assert (ours["decision"] == "GO") == (ours["regions"] == "0")
        for name in ("regions", "region_width", "region_height", "region_x_mm", "mm_per_pixel"):
            assert ours[name] == theirs[name], name
        if ours["regions"] != "0":
            assert float(ours["region_width_mm"]) == pytest.approx(0.1 * float(ours["region_width"]))
    assert {row["decision"] for row in tables[0]} >= {"NG"}
    boxes = [[one.box for one in row.regions or ()] for row in read_predictions(tmp_path / "run.csv")]
    assert boxes == [[one.box for one in row.regions or ()] for row in read_predictions(tmp_path / "file.csv")]


def test_images_that_are_not_go_are_drawn_with_boxes_and_others_are_not(
    cell_exported: Path, large: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (f"file={cell_exported}", f"input={large}", f"drawn={tmp_path / 'drawn'}", "mm_per_pixel=0.02")
    rows = predicted(tmp_path / "found.csv", *given)
    drawn = sorted(path for path in (tmp_path / "drawn").rglob("*") if path.is_file())
    expected = [Path(row["path"]) for row in rows if row["decision"] != "GO"]
    assert drawn == [tmp_path / "drawn" / f"{path.relative_to(large)}.jpg" for path in expected]
    assert f"{len(expected)} images with boxes" in capsys.readouterr().out
    for path, image in zip(expected, drawn, strict=True):
        before, after = read_image(path).astype(int), read_image(image).astype(int)
        assert before.shape == after.shape
        assert np.abs(before - after).max() > 100, "a box is seen"
    assert {row["mm_per_pixel"] for row in rows} == {"0.02"}


def test_images_of_several_folders_and_of_none_keep_their_names(
    cell_exported: Path, large: Path, tmp_path: Path
) -> None:
    Image.open(large / "b/NG/000.png").save(tmp_path / "one.jpeg", quality=95)
    predicted(tmp_path / "t.csv", f"file={cell_exported}", f"input={tmp_path / 'one.jpeg'}", f"drawn={tmp_path / 'd'}")
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["one.jpeg"]


@pytest.mark.parametrize("key", ["drawn={tmp}/drawn", "mm_per_pixel=0.5"])
def test_a_model_without_cells_cannot_say_where(key: str, trained_run: Path, large: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the model does not say where a defect is. Leave it out, or train one"):
        predicted(tmp_path / "t.csv", f"run={trained_run}", f"input={large}", key.format(tmp=tmp_path))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("drawn={images}/drawn", "is inside input=.*name a folder beside it"),
        ("drawn={images}/a/GO/000.png", "000.png is a file, and nothing can be written into it"),
        ("mm_per_pixel=0", "mm_per_pixel=0.0 is out of range: expected the millimetres of the part"),
    ],
)
def test_mistakes_are_told(key: str, text: str, cell_exported: Path, large: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=text):
        predicted(tmp_path / "t.csv", f"file={cell_exported}", f"input={large}", key.format(images=large))
