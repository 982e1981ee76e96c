import csv
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import compose_command, run_command, write_images

from fancnn.errors import UserError
from fancnn.files.run import Run
from fancnn.size.settings import SizeSettings
from fancnn.size.size import COLUMNS, REDUCTIONS, default_reductions, size

OPTIONS = ("model=tiny", "trainer.max_epochs=2", "trainer.accelerator=cpu", "report=false", "overrides=[]")


def find_size(root: Path, output: Path, *overrides: str) -> None:
    given = [*OPTIONS, f"data.root={root}", f"output_dir={output}", "data.test_fraction=0.2"]
    size(compose_command("size", SizeSettings, *given, *overrides))


@pytest.fixture(scope="module")
def finished(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search, to be copied: images of 24 x 20 pixels, and these halved."""
    output = tmp_path_factory.mktemp("sizes") / "run"
    find_size(image_folder, output, "reductions=[1,2]")
    return output


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "sizes.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@given(height=st.integers(1, 5000), width=st.integers(1, 5000))
def test_default_sizes_are_few_within_bounds_and_reach_both_ends(height: int, width: int) -> None:
    chosen = default_reductions((height, width), 32, 512, REDUCTIONS)
    fitting = [item for item in REDUCTIONS if min(height, width) / item >= 32 and max(height, width) / item <= 512]
    assert set(chosen) <= set(fitting)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(len(fitting), 5)
    assert {*chosen[:1], *chosen[-1:]} == {*fitting[:1], *fitting[-1:]}


def test_each_size_is_a_run_whose_test_split_was_not_scored(finished: Path) -> None:
    rows = rows_of(finished)
    assert list(rows[0]) == [*COLUMNS, "version"]
    assert [(row["reduction"], row["height"], row["width"], row["run"]) for row in rows] == [
        ("2.0", "12", "10", "reduced-2"),
        ("1.0", "24", "20", "reduced-1"),
    ]
    for row in rows:
        metrics = json.loads(Run(finished / row["run"]).metrics.read_text())
        assert set(metrics["splits"]) == {"val"}
        assert float(row["auroc"]) == metrics["splits"]["val"]["auroc"]
        assert all(float(row[name]) > 0 for name in ("seconds", "milliseconds", "megabytes"))


def test_the_advised_size_is_the_smallest_that_the_comparison_cannot_tell_from_the_best(finished: Path) -> None:
    rows = rows_of(finished)
    comparison = json.loads((finished / "comparison/compare.json").read_text())
    (pair,) = comparison["pairs"]
    best = max(rows, key=lambda row: float(row["auroc"]))
    (other,) = (row for row in rows if row is not best)
    assert comparison["models"]["A"]["place"] == str(finished / best["run"])
    told = [float(other[name]) for name in ("difference", "low", "high")]
    assert told == pair["differences"]["auroc"]
    assert best["difference"] == ""
    worse = told[2] < 0 or (pair["mcnemar"]["adjusted"] < 0.05 and pair["differences"]["accuracy"][0] < 0)
    assert [row["verdict"] for row in rows].count("advised") == 1
    smallest = best if worse else rows[0]
    assert smallest["verdict"] == "advised"


def test_sizes_that_are_finished_are_kept_with_what_they_cost(
    finished: Path, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    before, trained = rows_of(run), (run / "reduced-2/metrics.json").stat().st_mtime_ns
    shutil.rmtree(run / "reduced-1")  # as after a kill while it trains
    find_size(image_folder, run, "reductions=[1,2]")
    assert "size 1 of 2: 12 x 10 pixels: finished before" in capsys.readouterr().out
    assert (run / "reduced-2/metrics.json").stat().st_mtime_ns == trained
    after = rows_of(run)
    assert after[0] == before[0]
    scores = ("auroc", "difference", "low", "high", "mcnemar", "verdict")
    assert [[row[name] for name in scores] for row in after] == [[row[name] for name in scores] for row in before]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("reductions=[2]", "2 to 12 different numbers from 1"),
        ("reductions=[2,2]", "2 to 12 different numbers from 1"),
        ("reductions=[0.5,2]", "2 to 12 different numbers from 1"),
        ("confidence=1.5", "confidence"),
    ],
)
def test_what_cannot_be_compared_is_refused(given: str, expected: str, image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=expected):
        find_size(image_folder, tmp_path / "run", given)


def test_images_at_their_own_size_are_reduced_by_whole_numbers(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"reductions=\[1.5, 3.0\] should be whole numbers"):
        find_size(image_folder, tmp_path / "run", "experiment=patches", "reductions=[1.5,3]")


def test_small_images_have_no_usual_sizes(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the images are 24 x 20 pixels: there are no two usual reductions"):
        find_size(image_folder, tmp_path / "run")


def test_a_size_that_the_network_cannot_take_is_named_before_any_training(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"images reduced 20 times, to 1 x 1 pixels: .*\nLeave it out"):
        find_size(image_folder, tmp_path / "run", "model=basic", "reductions=[1,20]")
    assert not (tmp_path / "run").exists()


def test_a_run_of_one_training_is_not_mixed_with_sizes(trained_run: Path, image_folder: Path) -> None:
    with pytest.raises(UserError, match="holds a run of one training"):
        find_size(image_folder, trained_run, "reductions=[1,2]")


@pytest.mark.slow
def test_the_command_finds_cells_at_two_reductions_and_goes_on_in_its_folder(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", {"GO": 16, "NG": 16}, size=(160, 140))
    given = ["data.root=photos", "experiment=patches", "reductions=[1,2]", "report=false", "trainer.max_epochs=2"]
    given += ["windows.side=64", "windows.repeat=1", "windows.warm_up=1", "windows.every=1"]
    answer = run_command("fancnn.size", *given, "hydra.run.dir=out", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "data.reduce=" in answer.stdout
    (tmp_path / "out/reduced-1/metrics.json").unlink()
    answer = run_command("fancnn.size", "ckpt=out", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "size 1 of 2: 80 x 70 pixels: finished before" in answer.stdout
    assert [row["run"] for row in rows_of(tmp_path / "out")] == ["reduced-2", "reduced-1"]
