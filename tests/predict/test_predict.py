import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from samples import compose_command, write_images

from fancnn.errors import UserError
from fancnn.metrics.predictions import Prediction, read_predictions
from fancnn.metrics.prior_shift import at_prior
from fancnn.predict.predict import Counts, input_files, predict
from fancnn.predict.settings import PredictSettings

Predict = Callable[[str], tuple[Counts, list[Prediction]]]


@pytest.fixture
def run_predict(trained_run: Path, tmp_path: Path) -> Predict:
    def run(wanted: str) -> tuple[Counts, list[Prediction]]:
        output = tmp_path / "out/predictions.csv"
        given = [f"run={trained_run}", f"input='{wanted}'", f"output={output}", "device=cpu", f"output_dir={tmp_path}"]
        counts = predict(compose_command("predict", PredictSettings, *given))
        return counts, read_predictions(output)

    return run


def test_a_folder_gives_a_row_an_image_in_the_order_of_paths(run_predict: Predict, image_folder: Path) -> None:
    counts, rows = run_predict(str(image_folder))
    assert [row.path for row in rows] == sorted(str(path) for path in image_folder.rglob("*.png"))
    assert counts.decided["GO"] + counts.decided["NG"] == len(rows) == 70
    assert min(counts.decided["GO"], counts.decided["NG"]) > 0
    assert {row.decision for row in rows if (row.probability or 0) > 0.5} == {"NG"}
    assert {row.decision for row in rows if (row.probability or 0) <= 0.5} == {"GO"}


def test_decisions_are_those_of_the_run(run_predict: Predict, image_folder: Path, trained_run: Path) -> None:
    found = {row.path: row for row in run_predict(str(image_folder))[1]}
    for row in read_predictions(trained_run / "predictions.csv"):
        again = found[str(image_folder / row.path)]
        assert again.probability == pytest.approx(row.probability, abs=1e-6)
        assert again.decision == row.decision


def test_a_bad_file_has_a_row_with_its_reason_and_is_counted(run_predict: Predict, tmp_path: Path) -> None:
    root = write_images(tmp_path / "new", {"x": 3})
    (root / "x/001.png").write_bytes(b"")
    counts, rows = run_predict(str(root))
    assert counts.unread == 1
    assert (rows[1].probability, rows[1].decision) == (None, "")
    assert rows[1].error.startswith("empty")


@pytest.mark.parametrize("model", ["run", "exported"])
def test_a_known_line_gets_a_column_of_its_own_and_no_other_decisions(
    model: str,
    trained_run: Path,
    exported: Path,
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    which = f"run={trained_run}" if model == "run" else f"file={exported}"
    tables = {}
    for name, given in {"without": [], "with": ["line.ng_rate=0.02"]}.items():
        output = tmp_path / f"{name}.csv"
        settings = [which, f"input={image_folder}", f"output={output}", "device=cpu", f"output_dir={tmp_path}", *given]
        predict(compose_command("predict", PredictSettings, *settings))
        tables[name] = read_predictions(output)
        assert ("line_probability" in output.read_text().splitlines()[0]) == (name == "with")
    for before, row in zip(tables["without"], tables["with"], strict=True):
        assert (row.probability, row.decision) == (before.probability, before.decision)
        assert before.line_probability is None
        assert row.line_probability == pytest.approx(float(at_prior(row.probability, 6 / 14, 0.02)), abs=1e-12)
    printed = capsys.readouterr().out
    assert (
        "P(NG) is for parts mixed like the validation images, 43 % NG; on a line with 2 % NG a part with 0.5 is NG in "
        "2.6 % (line_probability)"
    ) in printed


def test_a_line_that_the_run_knows_needs_no_key(trained_run: Path, image_folder: Path, tmp_path: Path) -> None:
    run = known_run(trained_run, tmp_path / "run", lambda about: about["line"].update(ng_rate=0.1))
    output = tmp_path / "found.csv"
    given = [f"run={run}", f"input={image_folder / 'GO'}", f"output={output}", "device=cpu", f"output_dir={tmp_path}"]
    predict(compose_command("predict", PredictSettings, *given))
    for row in read_predictions(output):
        assert row.line_probability == pytest.approx(float(at_prior(row.probability, 6 / 14, 0.1)), abs=1e-12)


def test_a_line_says_nothing_of_a_model_that_does_not_know_its_own_mix(
    trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    run = known_run(trained_run, tmp_path / "run", lambda about: about["calibration"].pop("ng_rate"))
    output = tmp_path / "found.csv"
    given = [f"run={run}", f"input={image_folder / 'GO'}", f"output={output}", "device=cpu", f"output_dir={tmp_path}"]
    with pytest.raises(
        UserError, match=r"line.ng_rate=0.02: the model does not know for which share of NG its P\(NG\)"
    ):
        predict(compose_command("predict", PredictSettings, *given, "line.ng_rate=0.02"))
    with pytest.raises(UserError, match="line.ng_rate=2.0: expected a share above 0 and below 1"):
        predict(compose_command("predict", PredictSettings, *given, "line.ng_rate=2"))
    assert not output.exists()
    predict(compose_command("predict", PredictSettings, *given))  # a checkpoint of before decides as it did
    assert {row.line_probability for row in read_predictions(output)} == {None}


def known_run(run: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a run whose checkpoint says something else of itself."""
    shutil.copytree(run, folder)
    path = folder / "checkpoints/best.ckpt"
    content = torch.load(path, weights_only=True)
    change(content["fancnn"])
    torch.save(content, path)
    return folder


def test_one_file_whatever_its_suffix(run_predict: Predict, image_folder: Path, tmp_path: Path) -> None:
    path = shutil.copy(image_folder / "GO/000.png", tmp_path / "upload")
    counts, rows = run_predict(path)
    assert len(rows) == 1
    assert counts.unread == 0


def test_a_pattern(run_predict: Predict, image_folder: Path) -> None:
    assert len(run_predict(f"{image_folder}/**/00?.png")[1]) == 30


def test_a_list_on_standard_input_keeps_its_order(
    run_predict: Predict, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [str(image_folder / name) for name in ("NG/stain/003.png", "GO/002.png", "GO/missing.png")]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(wanted) + "\n\n"))
    counts, rows = run_predict("-")
    assert [row.path for row in rows] == wanted
    assert counts.unread == 1


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    root = write_images(tmp_path / ".hidden above", {"a": 1, ".b": 1, "__MACOSX": 1})
    (root / "a/._000.png").write_bytes(b"litter")
    assert input_files(str(root)) == [root / "a/000.png"]


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("{tmp}/nothing", "is no file, no folder, and matches no images"),
        ("{tmp}", "holds no images. Expected files"),
    ],
)
def test_an_input_that_is_not_there_is_said(wanted: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=text):
        input_files(wanted.format(tmp=tmp_path))


def test_an_empty_list_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(UserError, match="input=- expects one path a line"):
        input_files("-")


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("inspector.onnx", "inspector.onnx should end in .csv: a table is written there"),
        ("run/predictions.csv", "is a table that the run there keeps: name another file"),
    ],
)
def test_a_table_takes_the_place_of_no_other_file(
    output: str, text: str, trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / output
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    path.write_text("precious")
    given = [f"run={trained_run}", f"input={image_folder}", f"output={path}", f"output_dir={tmp_path}"]
    with pytest.raises(UserError, match=text):
        predict(compose_command("predict", PredictSettings, *given))
    assert path.read_text() == "precious"


def test_an_output_that_cannot_be_written_is_said_and_nothing_is_left(
    trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    output = tmp_path / "file/predictions.csv"
    given = [f"run={trained_run}", f"input={image_folder}", f"output={output}", f"output_dir={tmp_path}"]
    with pytest.raises(
        UserError, match="output=.*predictions.csv.*/file is a file, and nothing can be written into it"
    ):
        predict(compose_command("predict", PredictSettings, *given))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
