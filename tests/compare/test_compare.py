import csv
import html
import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import rows_of, write_files, write_run, write_table
from samples import compose_command, run_command

from fancnn.cli.arguments import with_positional
from fancnn.compare.compare import Compared, compare
from fancnn.compare.settings import CompareSettings
from fancnn.errors import UserError
from fancnn.metrics.predictions import read_predictions
from fancnn.metrics.thresholds import Thresholds


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
    assert compared(tmp_path, *tables).verdict == "new escapes"
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
    assert (found["format"], found["version"], found["verdict"], found["passes"]) == (
        *("fancnn-comparison", 2, "new escapes", False),
    )
    assert [(pair["verdict"], pair["passes"]) for pair in found["pairs"]] == [("new escapes", False), ("passes", True)]
    assert found["pairs"][1]["differences"]["accuracy"][0] == pytest.approx(0.05)
    printed = capsys.readouterr().out
    assert "New escapes. Up to " in printed
    assert "1 new escape among 10 NG parts." in printed


def everything_said(output: Path, printed: str) -> list[str]:
    """Console, page and JSON, as a person reads them."""
    page = html.unescape((output / "compare.html").read_text(encoding="utf-8"))
    plain = json.loads((output / "compare.json").read_text())
    return [printed, page, " ".join((*plain["notes"], *(pair["conclusion"] for pair in plain["pairs"])))]


def test_console_page_and_json_say_the_same_bounds_with_their_unit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        replace(row, group=f"lot {number // 10}", probability=float(row.label or 0))
        for number, row in enumerate(rows_of(40))
    ]
    table = write_table(tmp_path / "a.csv", [*rows, replace(rows[1])])
    margins = ("new_escape_rate=0.02", "new_overkill_rate=0.9", "confidence=0.9")
    assert compared(tmp_path, table, table, more=margins).verdict == "not proven"
    for text in everything_said(tmp_path / "out", capsys.readouterr().out):
        assert (
            "Not proven. Up to 43.8 % of NG parts may pass B that do not pass A, and new_escape_rate allows 2 %" in text
        )
        assert "0 new escapes among 20 NG parts in 4 groups" in text
        assert "(90 % confidence, groups kept together.)" in text
        assert "A has 1 row more of these images (same path, or same content where that is known)" in text
    found = json.loads((tmp_path / "out/compare.json").read_text())
    assert {name: found[name] for name in ("split", "images", "go", "ng", "unit", "confidence", "repeated")} == {
        **{"split": "test", "images": 40, "go": 20, "ng": 20, "unit": "group", "confidence": 0.9},
        "repeated": {"A": 1, "B": 1},
    }
    (pair,) = found["pairs"]
    assert pair["new_escapes"] == {
        **{"count": 0, "parts": 20, "units": 4, "level": pytest.approx(0.9), "margin": 0.02, "within": False},
        "bound": pytest.approx(1 - 0.1 ** (1 / 4)),
    }
    assert pair["new_overkills"]["within"] is True
    assert pair["mcnemar"] == {"p": 1.0, "adjusted": 1.0, "unit": "group"}
    low, high = pair["differences"]["escape_rate"][1:]
    assert low < 0 < high, "an interval of no width would say that nothing is open"


@pytest.mark.parametrize("key", ["new_escape_rate", "new_overkill_rate", "confidence"])
@pytest.mark.parametrize("value", ["0", "1", "2"])
def test_a_margin_is_a_share(tables: list[Path], tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(UserError, match=f"{key}=.*expected a share above 0 and below 1"):
        compared(tmp_path, *tables, more=(f"{key}={value}",))


def test_the_page_has_the_verdict_scores_and_a_thumbnail_of_each_flip(tables: list[Path], tmp_path: Path) -> None:
    root = write_files(tmp_path / "files", rows_of(20))
    page = compared(tmp_path, *tables[:2], more=(f"root={root}",)).page.read_text(encoding="utf-8")
    for text in ("New escapes. Up to ", "Scores side by side", "McNemar", "Decided differently: 2"):
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
    assert compared(tmp_path, trained_run, trained_run / "predictions.csv").passes
    found = json.loads((tmp_path / "out/compare.json").read_text())
    thresholds = json.loads((trained_run / "metrics.json").read_text())["thresholds"]
    assert [model["thresholds"] for model in found["models"].values()] == [thresholds, thresholds]
    assert found["split"] == "test"


def test_one_class_alone_leaves_differences_undefined_and_gives_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_table(tmp_path / "go.csv", [row for row in rows_of() if row.label == 0])
    found = compared(tmp_path, table, table)
    page, said = found.page.read_text(encoding="utf-8"), capsys.readouterr().out
    assert "undefined" in page
    assert found.verdict == "not proven"
    assert all("A and B have no NG part in common: nothing is known of new escapes." in text for text in (page, said))
    plain = json.loads((tmp_path / "out/compare.json").read_text())
    assert (plain["verdict"], plain["passes"]) == ("not proven", False)
    assert plain["pairs"][0]["new_escapes"]["bound"] == 1.0


def test_bad_parts_that_the_new_model_lacks_are_listed_and_no_verdict_passes_it(
    tables: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read_predictions(tables[2])
    lost = write_table(tmp_path / "lost.csv", [rows[0], replace(rows[1], probability=None), *rows[2:]])
    found = compared(tmp_path, tables[2], lost)
    page, said = found.page.read_text(encoding="utf-8"), capsys.readouterr().out
    assert (found.verdict, found.passes) == ("not all compared", False)
    for text in (page, said):
        assert "1 bad part that A decided is not compared: whether B would pass it is open." in text
        assert rows[1].path in text
        assert "B has no probability of it" in text
        assert "Passes" not in text
    plain = json.loads((tmp_path / "out/compare.json").read_text())
    assert plain["pairs"][0]["not_compared"] == [
        {"path": rows[1].path, "label": 1, "reason": "B has no probability of it"}
    ]
    assert (plain["verdict"], plain["passes"]) == ("not all compared", False)


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
    assert pair["flips"]["new escape"] > 0
    assert (pair["equal_overkill"]["new_escapes"], pair["equal_overkill"]["caught"]) == (0, 0)
    assert pair["equal_overkill"]["thresholds"][0] < 0.5


def test_an_image_that_has_changed_is_not_shown_beside_its_old_score(tmp_path: Path) -> None:
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
        (["old.csv"], "split=test", "1 given: expected two to 26 runs or tables, the one in use first"),
        (["old.csv", "nowhere"], "split=test", "nowhere is no run folder with predictions.csv and no table"),
        (["old.csv", "new.csv"], "split=tset", "split='tset' is none of train, val, test, all"),
        (["old.csv", "new.csv"], "split=val", "old.csv has no images of known truth in the split val"),
    ],
)
def test_mistakes_are_told(tables: list[Path], runs: list[str], more: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=text):
        compared(tmp_path, *(tmp_path / run for run in runs), more=(more,))


@pytest.mark.parametrize("name", ["plain", "a b", "[x], 'y' \"z\"", "k=v", "${oc.env:HOME}", "back\\slash\\", "é 傷"])
def test_paths_of_any_name_reach_the_settings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()  # what exists is a path, also with = in it
    given = with_positional([name, "b.csv", "output_dir=out"], "runs")
    assert compose_command("compare", CompareSettings, *given).runs == [name, "b.csv"]


@pytest.mark.slow
def test_the_command_answers_by_its_exit_code(tmp_path: Path) -> None:
    rows = [replace(row, probability=0.9 if row.label else 0.1) for row in rows_of(10)]
    good, bad = Path("day [1]/good.csv"), Path("day [1]/bad.csv")
    write_table(tmp_path / good, rows)
    write_table(tmp_path / bad, [rows[0], replace(rows[1], probability=0.3), *rows[2:]])
    few = Path("few.csv")
    write_table(tmp_path / few, [rows[0], *rows[2:]])
    margins = ("new_escape_rate=0.02", "new_overkill_rate=0.02")
    answers = [
        run_command("fancnn.compare", *order, "output=out", cwd=tmp_path)
        for order in ((good, bad), (bad, good), (good, few), (good, good, *margins))
    ]
    assert [answer.returncode for answer in answers] == [3, 0, 3, 3], answers[0].stderr
    assert "New escapes." in answers[0].stdout
    assert "nothing below that is ruled out" in answers[1].stdout
    assert "Not proven." in answers[3].stdout
    assert (tmp_path / "out/compare.html").is_file()


def test_arguments_with_a_key_and_options_stay_what_they_are() -> None:
    given = ["--cfg", "job", "a", "split=val", "-m", "+x=1", "b c"]
    assert with_positional(given, "runs") == ["--cfg", "job", "split=val", "-m", "+x=1", 'runs=["a","b c"]']
    assert with_positional(["runs=[a,b]"], "runs") == ["runs=[a,b]"]
