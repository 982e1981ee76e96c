import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fancnn.errors import UserError
from fancnn.surfaces.surface_dataset import render_surfaces

COUNT, SIZE = 12, 160


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_surfaces(tmp_path_factory.mktemp("rendered") / "set", count=COUNT, size=SIZE, workers=1)


@pytest.fixture(scope="module")
def rows(surfaces: Path) -> list[dict[str, str]]:
    with (surfaces / "surfaces.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_arguments_give_the_same_bytes_whatever_the_workers(surfaces: Path, tmp_path: Path) -> None:
    assert digests(render_surfaces(tmp_path / "again", count=COUNT, size=SIZE, workers=2)) == digests(surfaces)


def test_a_larger_set_begins_with_the_same_surfaces(surfaces: Path, tmp_path: Path) -> None:
    few, many = digests(render_surfaces(tmp_path / "few", count=3, ng_fraction=0, size=SIZE)), digests(surfaces)
    shared = [name for name in few if name.startswith("GO/") and name in many]
    assert shared
    assert all(few[name] == many[name] for name in shared)


def test_half_have_one_scratch_of_the_size_asked_for(surfaces: Path, rows: list[dict[str, str]]) -> None:
    scratched = [row for row in rows if row["class"] == "NG"]
    assert len(scratched) == COUNT // 2
    for row in scratched:
        mask = np.asarray(Image.open(surfaces / row["mask"])) > 0
        x0, y0, x1, y1 = (int(row[name]) for name in ("x0", "y0", "x1", "y1"))
        assert mask[y0:y1, x0:x1].sum() == mask.sum() >= 7
        assert 6 <= np.hypot(x1 - x0, y1 - y0) <= 14 + 4 + 4


def test_a_scratched_surface_differs_from_its_good_twin_in_the_scratch_alone(tmp_path: Path) -> None:
    good, bad = (
        render_surfaces(tmp_path / name, count=4, size=SIZE, ng_fraction=share, contrast=(0.3, 0.3), workers=1)
        for name, share in (("good", 0.0), ("bad", 1.0))
    )
    for index in range(4):
        name = f"surface_{index:05d}"
        there, here = (
            np.asarray(Image.open(root / folder / f"{name}.jpg")).astype(int).mean(2)
            for root, folder in ((good, "GO"), (bad, "NG/scratch"))
        )
        mask = np.asarray(Image.open(bad / f".masks/scratch/{name}.png")) > 0
        change = np.abs(there - here)
        assert change[mask].mean() > 25
        rows, columns = np.nonzero(mask)
        far = np.ones_like(mask)
        far[max(rows.min() - 16, 0) : rows.max() + 16, max(columns.min() - 16, 0) : columns.max() + 16] = False
        assert change[far].max() < 6, "what JPEG makes of it in the blocks around"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"size": 64}, "size=64 is out of range: expected from 96 to 4,096 pixels"),
        ({"length": (14, 7)}, r"length=\[14, 7\] should be a least and a most from 1 to 512 pixels"),
        ({"contrast": (0.0, 0.2)}, r"contrast=\[0.0, 0.2\] should be a least and a most from 0.03 to 1"),
        ({"count": 0}, "count=0 is out of range"),
    ],
)
def test_values_out_of_range_are_refused_in_words(arguments: dict[str, object], text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=text):
        render_surfaces(tmp_path / "set", **arguments)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
