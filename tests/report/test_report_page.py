"""The page of a report, from a made-up run to its bytes."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_up import ABOUT, rows_of, write_files, write_run, write_table

from fancnn.decisions.line_costs import Costs, Line
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.thresholds import Thresholds
from fancnn.report.report_data import ReportData, of_run, of_table, with_line
from fancnn.report.report_figures import figures_of
from fancnn.report.report_page import report_page


class Seen(HTMLParser):
    """Text, attributes and headings of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def seen(page: str) -> Seen:
    parser = Seen()
    parser.feed(page)
    return parser


def words(page: str) -> str:
    """The text of the page with single spaces, styles left out."""
    return " ".join(" ".join(seen(re.sub("<style>.*?</style>", "", page, flags=re.DOTALL)).text).split())


def page_of(material: ReportData) -> str:
    return report_page(material, figures_of(material))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("made") / "run", [*rows_of(split="val", seed=1), *rows_of()])


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    """Of the run as it is; its images are nowhere."""
    return page_of(of_run(run, None, None))


@pytest.fixture(scope="module")
def recheck_page(run: Path) -> str:
    return page_of(of_run(run, Thresholds(0.3, 0.7), None))


def of_rows(tmp_path: Path, rows: Sequence[Prediction], thresholds: Thresholds | None = None) -> ReportData:
    table = write_table(tmp_path / "table.csv", rows)
    return of_table(table, thresholds or Thresholds.single(0.5), None)


def test_every_section_is_there_in_its_order(page: str) -> None:
    headings = [item["id"] for item in seen(page).all("h2")]
    assert headings == [
        "warnings",
        "scores",
        "decisions",
        "probabilities",
        "where",
        "line",
        "gallery",
        "data",
        "training",
    ]
    titles = [item.get("id") for item in seen(page).all("h3")]
    order = [title for title in titles if title in FIGURES]
    assert order == FIGURES


FIGURES = ["confusion", "roc", "precision-recall", "learning-curves", "histogram", "thresholds", "reliability"]


@pytest.mark.slow
def test_the_headline_says_escapes_and_overkills_of_a_hundred_with_their_intervals(tmp_path: Path) -> None:
    rows = [Prediction(f"{i}", 0.1 if i < 2 else 0.9, label=1, split="test") for i in range(50)]
    rows += [Prediction(f"g{i}", 0.9 if i < 3 else 0.1, label=0, split="test") for i in range(100)]
    text = words(page_of(of_rows(tmp_path, rows)))
    assert "Of 100 bad parts 4 would pass (95 %: 0.48 to 14) 2 of 50 NG parts" in text
    assert "Of 100 good parts 3 would be rejected (95 %: 0.62 to 8.6) 3 of 100 GO parts" in text
    assert "These numbers rest on the test split; how often these images were looked at is not known" in text


def test_what_goes_to_a_person_is_in_the_headline_and_in_the_matrix(page: str, recheck_page: str) -> None:
    one, two = page, recheck_page
    assert "would go to a person" in words(two)
    assert "RECHECK" in re.findall(r'id="confusion">.*?</figure>', two, re.DOTALL)[0]
    assert "gallery-recheck" in two
    assert "would go to a person" not in words(one)
    assert "The thresholds were given for this report" in words(two)


def test_the_page_asks_nothing_of_a_network_and_needs_no_script(run: Path, tmp_path: Path) -> None:
    material = of_run(run, None, write_files(tmp_path / "files", rows_of()))
    page = page_of(material)
    assert "http" not in page
    assert "url(" not in page.replace("url(#", "")
    found = seen(page)
    assert not found.all("script") + found.all("link") + found.all("iframe")
    sources = [item.get("src") for item in found.all("img")]
    assert sources
    assert all(str(source).startswith("data:image/jpeg;base64,") for source in sources)


def test_ids_are_unique_and_every_reference_has_its_target(recheck_page: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', recheck_page)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'(?:href="#|url\(#|aria-labelledby=")([^")]+)', recheck_page)
    assert set(targets) <= set(ids)


def test_figures_have_words_for_those_who_do_not_see_them_and_take_the_pages_colours(page: str) -> None:
    drawings = [item for item in seen(page).all("div") if item.get("role") == "img"]
    assert len(drawings) == len(seen(page).all("svg")) == 7
    assert all(len(item.get("aria-label") or "") > 60 for item in drawings)
    svgs = "".join(re.findall("<svg.*?</svg>", page, re.DOTALL))
    assert not re.findall(r"(?:fill|stroke): #\w+", svgs)
    assert "<text" in svgs


def test_tables_say_what_their_headers_are_headers_of(page: str) -> None:
    headers = seen(page).all("th")
    assert headers
    assert all(item.get("scope") in ("row", "col") for item in headers)


NAMES = ("<script>alert(1)</script>.png", '"onerror="alert(1).png', "金型/傷 é.png", "a&b<b>.png")


def test_names_of_files_types_and_groups_stay_names(tmp_path: Path) -> None:
    rows = rows_of()
    for place, name in zip((1, 3, 5, 7), NAMES, strict=True):
        rows[place] = replace(rows[place], path=name, probability=0.001, defect_type=name, group=name)
    page = page_of(of_rows(tmp_path, rows))
    found, text = seen(page), words(page)
    assert not found.all("script")
    assert not any("onerror" in item for _, item in found.tags)
    assert all(text.count(name) >= 3 for name in NAMES), "as path, as type and as group"


def test_what_is_undefined_is_said_and_never_zero(tmp_path: Path) -> None:
    go = [row for row in rows_of() if row.label == 0]
    text = words(page_of(of_rows(tmp_path, go)))
    assert "Of 100 bad parts, the number that would pass: undefined there are no NG parts to tell by" in text
    assert re.search(r"recall share of NG parts that are not passed undefined", text)
    assert "Undefined: ROC and precision-recall need both good and bad parts" in text
    assert "Without NG parts nothing can be said of escapes" not in text  # said once, as a warning
    assert "There are no NG parts among these images" in text


@pytest.mark.parametrize("lost", ["label", "probability"])
def test_a_table_that_cannot_be_scored_still_has_a_report(lost: str, tmp_path: Path) -> None:
    rows = [replace(row, **{lost: None}) for row in rows_of(6)]  # type: ignore[arg-type]
    text = words(page_of(of_rows(tmp_path, rows)))
    assert "All scores are undefined: no image has both a truth and a probability." in text
    assert "6 images" in text


def test_one_image_is_enough_for_a_report(tmp_path: Path) -> None:
    assert "1 of 1 NG part" in words(page_of(of_rows(tmp_path, [Prediction("a.png", 0.2, label=1)])))


def test_the_same_run_gives_the_same_bytes(run: Path, page: str) -> None:
    assert page_of(of_run(run, None, None)) == page


def test_images_that_are_gone_leave_a_place_that_says_so(run: Path, page: str, tmp_path: Path) -> None:
    gone = words(page)
    assert "no such file: was it moved or deleted?" in gone
    assert "root=... says where they are now" in gone
    there = words(page_of(of_run(run, None, write_files(tmp_path / "files", rows_of()))))
    assert there.count("no such file") < gone.count("no such file")


@pytest.mark.slow
def test_an_image_that_has_changed_since_is_not_shown_and_counted(run: Path, tmp_path: Path) -> None:
    rows = rows_of()
    root = write_files(tmp_path / "files", [*rows, *(replace(row, path=f"{row.path}.train") for row in rows_of(20))])
    assert "on this page" not in words(page_of(of_run(run, None, root)))
    worst = min((row for row in rows if row.label), key=lambda row: row.probability or 0)
    best = max((row for row in rows if not row.label), key=lambda row: row.probability or 0)
    (root / worst.path).write_bytes((root / best.path).read_bytes())
    (root / best.path).unlink()
    text = words(page_of(of_run(run, None, root)))
    assert "changed since: this is not the image that was scored" in text
    assert re.search(r"Of \d+ images on this page 1 has changed since the model scored them\.", text)
    assert re.search(r"Of \d+ images on this page 1 cannot be shown: missing or unreadable now\.", text)


def test_evaluation_on_the_runs_own_folder_is_checked_by_the_runs_split(run: Path, tmp_path: Path) -> None:
    own, other = (write_run(tmp_path / name, rows_of(), run=str(run), root=f"/{name}") for name in ("nowhere", "else"))
    for place in (own, other):
        (place / "split.csv").unlink()
    assert of_run(own, None, None).hashes == of_run(run, None, None).hashes != {}
    assert of_run(other, None, None).hashes == {}


@pytest.mark.slow
def test_a_certificate_is_quoted_for_the_thresholds_that_it_is_about(tmp_path: Path) -> None:
    said = "certified: escape rate at most 0.01 at 0.95 confidence"
    run = write_run(tmp_path / "run", rows_of(), decision=said, decision_split="test")
    text = words(page_of(of_run(run, None, None)))
    assert "Certified on test: escape rate at most 0.01 at 0.95 confidence" in text
    assert text.index("Certified on test") < text.index("These numbers rest on")
    assert "Certified" not in words(page_of(of_run(run, Thresholds.single(0.7), None)))


@pytest.mark.slow
def test_the_page_says_for_which_mix_a_probability_is(tmp_path: Path, run: Path, page: str) -> None:
    assert "For which mix of GO and NG parts P(NG) was meant is not known. The numbers here are for these" in words(
        page
    )
    assert "for parts mixed as these images are, 50 % NG: where bad parts are rarer, they are rarer" in words(page)
    assert "observed share of NG, for the mix of these images" in words(page)
    calibration = {**ABOUT["calibration"], "ng_rate": 0.46}
    material = of_run(write_run(tmp_path / "known", rows_of(), calibration=calibration), None, None)
    text = words(page_of(material))
    assert "P(NG) is for parts mixed like the validation images, 46 % NG; line.ng_rate says what it means on" in text
    assert "temperature 2, for parts of which 46 % are NG" in text
    text = words(page_of(with_line(material, None, None, 0.02)))
    assert "46 % NG; on a line with 2 % NG a part with 0.5 is NG in 2.3 %." in text


def test_the_line_is_forecast_where_it_is_known(run: Path, page: str) -> None:
    material = of_run(run, None, None)
    assert "Say line.ng_rate=0.02 line.parts_per_shift=5000" in words(page)
    text = words(page_of(with_line(material, Line(0.02, 5000, 60), Costs(250, 2))))
    assert "5,000 parts a shift, 2 % of them bad" in text
    assert "cost of mistakes and looks in a month" in text


@pytest.mark.slow
def test_a_cost_of_looks_that_is_not_said_is_undefined(run: Path) -> None:
    material = of_run(run, Thresholds(0.3, 0.7), None)
    text = words(page_of(with_line(material, Line(0.02, 5000, 60), Costs(250, 2))))
    assert "What a month costs is undefined: line.costs.look" in text


def test_training_is_told_by_command_configuration_and_hashes(page: str) -> None:
    text = words(page)
    assert "python -m fancnn.train seed=3 'data.root=/my parts'" in text
    for said in ("ConvNet", "80 x 80", "temperature 2", "2 of 3, chosen by val/loss", "fancnn 0", "Split (SHA-256)"):
        assert said in text


def test_groups_are_listed_worst_first(tmp_path: Path) -> None:
    rows = [Prediction(f"{i}", 0.1 if i == 7 else 0.9, label=1, group=f"lot {i % 12:02}") for i in range(24)]
    page = page_of(of_rows(tmp_path, rows))
    assert "The 10 of 12 groups with most mistakes" in words(page)
    assert re.findall(r"<bdi>(lot \d+)</bdi>", page)[0] == "lot 07"


def test_counts_of_classes_and_parts_are_those_of_the_split(page: str) -> None:
    text = words(page)
    assert "class training validation test together GO (GO) 10 20 20 50 NG (NG) 10 20 20 50" in text


@pytest.mark.slow
def test_parts_of_lots_have_the_intervals_of_lots_in_every_place_of_the_page(tmp_path: Path) -> None:
    rows = [
        Prediction(
            f"{lot}/{part}", 0.1 if lot < 4 or lot == 20 else 0.9, label=int(lot > 3), split="test", group=f"lot {lot}"
        )
        for lot in range(24)
        for part in range(10)
    ]
    line = Line(ng_rate=0.01, parts_per_shift=1000, shifts_per_month=40)
    grouped, alone = (
        words(page_of(with_line(of_rows(tmp_path, of), line, None)))
        for of in (rows, [replace(row, group="") for row in rows])
    )
    assert "Of 100 bad parts 5 would pass (95 %: 2.4 to 9.1) 10 of 200 NG parts" in alone
    assert "Of 100 bad parts 5 would pass (95 %: 0.12 to 25) 10 of 200 NG parts" in grouped  # of 20 lots
    unit = "Intervals are for parts and rest on 24 groups: parts of one group are not taken for independent."
    assert grouped.count(unit) == 2  # below the headline and below the scores
    assert unit not in alone
    assert "test: groups are few (GO parts of 4)" in grouped
    assert (
        "The most that 200 NG parts of 20 groups can prove, if none escapes, is an escape rate of groups of at most "
        "14 %" in grouped
    )
    escapes = [re.search(r"bad parts passed in a shift 0\.5 (\S+) to (\S+)", text) for text in (alone, grouped)]
    (low, high), (lower, higher) = [tuple(map(float, of.groups())) for of in escapes if of]
    assert higher - lower > 1.5 * (high - low)


def test_bands_say_that_they_are_pointwise(page: str) -> None:
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    for name in ("Each point is a threshold", "Of the parts rejected", "What another threshold would do"):
        (caption,) = [text for text in captions if text.startswith(name)]
        assert "pointwise 95 %" in caption


def test_with_recheck_the_page_leads_with_what_the_machine_does_alone(recheck_page: str, page: str) -> None:
    text = words(recheck_page)
    assert re.search(r"The machine decides \d+ of 40 parts alone \(\d+ %\), and \d+ of these rightly", text)
    assert "take the person who looks at the rest never to miss" in text
    order = ["decided by the machine alone", "accuracy of the machine alone", "accuracy, if the person is right"]
    assert [text.index(title) for title in order] == sorted(text.index(title) for title in order)
    assert "if the person is right" not in words(page)
    assert "machine alone" not in words(page)


def test_a_model_that_sends_everything_to_a_person_is_no_perfect_one(run: Path) -> None:
    text = words(page_of(of_run(run, Thresholds(0, 1), None)))
    assert "The machine decides none of 40 parts alone: its own scores are undefined." in text
    assert re.search(r"decided by the machine alone share of parts that no person looks at 0\.0000", text)
    assert re.search(r"accuracy of the machine alone .{0,90}? undefined", text)
    assert re.search(r"accuracy, if the person is right share of parts decided rightly 1\.0000", text)


def test_metrics_of_an_older_version_are_scored_anew(run: Path, tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", rows_of())
    metrics = json.loads((old / "metrics.json").read_text())
    for part in metrics["splits"].values():
        del part["interval_unit"]
        part["intervals"]["recall"] = [0.123, 0.124]
    (old / "metrics.json").write_text(json.dumps({**metrics, "version": 2}))
    assert "0.123 to 0.124" not in words(page_of(of_run(old, None, None)))
