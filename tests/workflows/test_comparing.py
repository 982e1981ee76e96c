import csv
import html
import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import rows_of, write_files, write_run, write_table
from samples import compose_command, run_command

from fancnn.arguments import with_listed
from fancnn.errors import UserError
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.predictions import read_predictions
from fancnn.settings import CompareSettings
from fancnn.workflows.comparing import Compared, compare


@pytest.fixture
def tables(tmp_path: Path) -> list[Path]:
    """A model, one that passes one bad part more and one good part more, and one that is right throughout."""
    rows = [replace(row, probability=0.9 if row.label else 0.1) for row in rows_of(20)]
    old = [replace(rows[0], probability=0.8), *rows[1:]]
    new = [rows[0], replace(rows[1], probability=0.2), *rows[2:]]
    return [write_table(tmp_path / f"{name}.csv", of) for name, of in (("old", old), ("new", new), ("best", rows))]


def compared(tmp_path: Path, *runs: Path, more: tuple[str, ...] = ()) -> Compared:
    listed = "runs=[" + ",".join(f'"{run}"' for run in runs) + "]"
    given = [listed, f"output_dir={tmp_path / 'out'}", *more]
    return compare(compose_command("compare", CompareSettings, *given))


def test_a_new_escape_is_the_verdict_and_the_first_flip(
    tables: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not compared(tmp_path, *tables).no_new_escapes
    with (tmp_path / "out/flips.csv").open() as file:
        flips = list(csv.DictReader(file))
    assert [(row["first"], row["second"], row["change"]) for row in flips] == [
        ("A", "B", "new escape"),
        ("A", "B", "overkill gone"),
        ("A", "C", "overkill gone"),
    ]
    assert (flips[0]["first_decision"], flips[0]["second_decision"]) == ("NG", "GO")
    assert {row["version"] for row in flips} == {"1"}
    found = json.loads((tmp_path / "out/compare.json").read_text())
    assert (found["format"], found["version"], found["no_new_escapes"]) == ("fancnn-comparison", 1, False)
    assert [pair["no_new_escapes"] for pair in found["pairs"]] == [False, True]
    assert found["pairs"][1]["differences"]["accuracy"][0] == pytest.approx(0.05)
    said = capsys.readouterr().out
    assert "1 new escape: B passes 1 bad part that A does not pass." in said
    assert "No new escapes: C passes no bad part that A does not pass." in said


def test_the_page_has_the_verdict_scores_and_a_thumbnail_of_each_flip(tables: list[Path], tmp_path: Path) -> None:
    root = write_files(tmp_path / "files", rows_of(20))
    page = compared(tmp_path, *tables[:2], more=(f"root={root}",)).page.read_text(encoding="utf-8")
    for text in ("1 new escape: B passes", "Scores side by side", "McNemar", "Decided differently: 2"):
        assert text in page
    assert page.count("<img") == 2
    assert "http" not in page
    assert "<script" not in page


def test_the_same_tables_give_the_same_bytes(tables: list[Path], tmp_path: Path) -> None:
    pages = [compared(tmp_path, *tables[:2]).page.read_bytes() for _ in range(2)]
    assert pages[0] == pages[1]


def test_file_names_stay_names(tmp_path: Path) -> None:
    rows = [replace(row, path=f"<script>{row.path}") for row in rows_of(10)]
    flipped = [replace(row, probability=1 - (row.probability or 0)) for row in rows]
    page = compared(tmp_path, write_table(tmp_path / "a.csv", rows), write_table(tmp_path / "b.csv", flipped)).page
    assert "<script" not in page.read_text(encoding="utf-8")


def test_runs_are_compared_at_their_own_thresholds(trained_run: Path, tmp_path: Path) -> None:
    assert compared(tmp_path, trained_run, trained_run / "predictions.csv").no_new_escapes
    found = json.loads((tmp_path / "out/compare.json").read_text())
    thresholds = json.loads((trained_run / "metrics.json").read_text())["thresholds"]
    assert [model["thresholds"] for model in found["models"].values()] == [thresholds, thresholds]
    assert found["part"] == "test"


def test_one_class_alone_leaves_differences_undefined_and_gives_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_table(tmp_path / "go.csv", [row for row in rows_of() if row.label == 0])
    found = compared(tmp_path, table, table)
    page, said = found.page.read_text(encoding="utf-8"), capsys.readouterr().out
    assert "undefined" in page
    assert not found.no_new_escapes
    assert all("No verdict: A and B have no bad part in common." in text for text in (page, said))
    plain = json.loads((tmp_path / "out/compare.json").read_text())
    assert (plain["verdict"], plain["no_new_escapes"]) == (None, None)
    assert (plain["pairs"][0]["verdict"], plain["pairs"][0]["no_new_escapes"]) == (None, None)


def test_bad_parts_that_the_new_model_lacks_are_listed_and_no_verdict_passes_it(
    tables: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read_predictions(tables[2])
    lost = write_table(tmp_path / "lost.csv", [rows[0], replace(rows[1], probability=None), *rows[2:]])
    found = compared(tmp_path, tables[2], lost)
    page, said = found.page.read_text(encoding="utf-8"), capsys.readouterr().out
    assert (found.verdict, found.no_new_escapes) == ("not all compared", False)
    for text in (page, said):
        assert "B has not decided 1 bad part that A decided" in text
        assert rows[1].path in text
        assert "B has no probability of it" in text
        assert "No new escapes" not in text
    plain = json.loads((tmp_path / "out/compare.json").read_text())
    assert plain["pairs"][0]["not_compared"] == [{"path": rows[1].path, "reason": "B has no probability of it"}]
    assert (plain["verdict"], plain["no_new_escapes"]) == ("not all compared", None)


def test_different_thresholds_are_said_and_taken_out_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [write_run(tmp_path / f"{at}", rows_of(100), Thresholds.single(at)) for at in (0.1, 0.5)]
    found = compared(tmp_path, *runs)
    page, said = found.page.read_text(encoding="utf-8"), capsys.readouterr().out
    for text in (html.unescape(page), said):
        assert "The thresholds differ: A decides NG above 0.1; B decides NG above 0.5." in text
        assert "At B's threshold that rejects as many good parts as A does now (" in text
        assert "): 0 new escapes." in text
        assert "equal overkill" in text
    (pair,) = json.loads((tmp_path / "out/compare.json").read_text())["pairs"]
    assert pair["changes"]["new escape"] > 0
    assert (pair["equal_overkill"]["new_escapes"], pair["equal_overkill"]["caught"]) == (0, 0)
    assert pair["equal_overkill"]["thresholds"][0] < 0.5


def test_a_picture_that_has_changed_is_not_shown_beside_its_old_score(tmp_path: Path) -> None:
    rows = rows_of(10)
    root = write_files(tmp_path / "files", rows)
    first = write_run(tmp_path / "a", rows, root=str(root))
    flipped = [replace(row, probability=1 - (row.probability or 0)) for row in rows]
    second = write_run(tmp_path / "b", flipped, root=str(root))
    assert "changed since" not in compared(tmp_path, first, second).page.read_text(encoding="utf-8")
    (root / rows[1].path).write_bytes((root / rows[0].path).read_bytes())
    assert compared(tmp_path, first, second).page.read_text(encoding="utf-8").count("changed since") == 1


@pytest.mark.parametrize(
    ("runs", "more", "text"),
    [
        (["old.csv"], "part=test", "1 given: expected two to 26 runs or tables, the one in use first"),
        (["old.csv", "nowhere"], "part=test", "nowhere is no run folder with predictions.csv and no table"),
        (["old.csv", "new.csv"], "part=tset", "part='tset' is none of train, val, test, all"),
        (["old.csv", "new.csv"], "part=val", "old.csv has no pictures of known truth in the part val"),
    ],
)
def test_mistakes_are_told(tables: list[Path], runs: list[str], more: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=text):
        compared(tmp_path, *(tmp_path / run for run in runs), more=(more,))


@pytest.mark.parametrize("name", ["plain", "a b", "[x], 'y' \"z\"", "k=v", "${oc.env:HOME}", "back\\slash\\", "é 傷"])
def test_paths_of_any_name_reach_the_settings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()  # what exists is a path, also with = in it
    given = with_listed([name, "b.csv", "output_dir=out"], "runs")
    assert compose_command("compare", CompareSettings, *given).runs == [name, "b.csv"]


def test_the_command_answers_by_its_exit_code(tmp_path: Path) -> None:
    rows = [replace(row, probability=0.9 if row.label else 0.1) for row in rows_of(10)]
    good, bad = Path("day [1]/good.csv"), Path("day [1]/bad.csv")
    write_table(tmp_path / good, rows)
    write_table(tmp_path / bad, [rows[0], replace(rows[1], probability=0.3), *rows[2:]])
    few = Path("few.csv")
    write_table(tmp_path / few, [rows[0], *rows[2:]])
    answers = [
        run_command("fancnn.compare", *order, "output=out", cwd=tmp_path)
        for order in ((good, bad), (bad, good), (good, few))
    ]
    assert [answer.returncode for answer in answers] == [3, 0, 3], answers[0].stderr
    assert "1 new escape: B passes 1 bad part" in answers[0].stdout
    assert (tmp_path / "out/compare.html").is_file()


def test_arguments_with_a_key_and_options_stay_what_they_are() -> None:
    given = ["--cfg", "job", "a", "part=val", "-m", "+x=1", "b c"]
    assert with_listed(given, "runs") == ["--cfg", "job", "part=val", "-m", "+x=1", 'runs=["a","b c"]']
    assert with_listed(["runs=[a,b]"], "runs") == ["runs=[a,b]"]
