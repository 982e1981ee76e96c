"""The page in a real browser: what a person does and sees."""

import base64
import csv
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Dialog, FilePayload, Page, Route, sync_playwright

import fancnn
from fancnn.metrics.defect_regions import regions_from_text
from fancnn.model import Model

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")

CONTRAST, DROP = (Path(__file__).with_name(name).read_text() for name in ("contrast.js", "drop.js"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    options = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page, on a phone; whatever it asks of another origin fails the test."""
    with opened(browser, address) as made:
        yield made


@pytest.fixture
def cell_page(browser: Browser, cell_address: str) -> Iterator[Page]:
    """The same of a model that says where the defect is."""
    with opened(browser, cell_address) as made:
        yield made


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    made = browser.new_page(viewport={"width": 390, "height": 780})
    made.set_default_timeout(300_000)  # a slow machine is no fault
    asked: list[str] = []
    faults: list[str] = []
    made.on("request", lambda request: asked.append(request.url))
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.goto(address)
    yield made
    assert all(url.startswith((address, "data:", f"blob:{address}")) for url in asked), asked
    assert not faults
    made.close()


@pytest.fixture(scope="module")
def chosen(image_folder: Path, inspector: Model, exported: Path) -> dict[str, Path]:
    """An image of each decision."""
    files = sorted(image_folder.rglob("*.png"))[::9]
    return dict(zip(inspector.predict(files).decisions, files, strict=True))


def counted(page: Page, words: str) -> None:
    page.locator("#counts").filter(has_text=words).wait_for()


def downloaded(page: Page) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    return list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_decision_is_large_in_words_and_can_be_read(
    page: Page, chosen: dict[str, Path], inspector: Model, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    colours = set()
    for count, (decision, path) in enumerate(sorted(chosen.items()), start=1):
        page.locator("#files").set_input_files(path)
        counted(page, f"{count} image")
        assert page.get_by_role("alert").inner_text().split()[:2][-1] == decision
        page.locator("#heat[src^='data:image/png']").wait_for()
        colours.add(page.locator("#verdict").evaluate("node => getComputedStyle(node).backgroundColor"))
        assert page.locator("#score").inner_text().endswith(f"; {inspector.thresholds.in_words()}")
        size = page.locator("#word").evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
        assert size >= 40
        poor = [(name, ratio) for name, ratio in page.evaluate(CONTRAST) if ratio < 4.5]
        assert not poor
    assert len(colours) == 3
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a phone need not scroll sideways"
    assert page.get_by_role("region").count() == 3, "sections have names"
    assert all(button.inner_text() for button in page.get_by_role("button").all())


def test_images_come_by_choice_paste_drop_and_camera_and_go_as_a_table(page: Page, chosen: dict[str, Path]) -> None:
    page.locator("#files").set_input_files(list(chosen.values()))
    counted(page, "3 images: 1 NG, 1 RECHECK, 1 GO")
    for count, kind in enumerate(("paste", "drop"), start=4):
        page.evaluate(DROP, [kind, base64.b64encode(chosen["NG"].read_bytes()).decode()])
        counted(page, f"{count} image")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the image").click()
    counted(page, "6 images")
    page.get_by_role("button", name="Close the camera").click()
    rows = downloaded(page)
    assert [row["decision"] for row in rows[:5]] == [*chosen, "NG", "NG"]
    assert [row["path"] for row in rows[:5]] == [*(path.name for path in chosen.values()), "paste.png", "drop.png"]


def test_a_keyboard_is_enough(page: Page, chosen: dict[str, Path]) -> None:
    page.on("filechooser", lambda chooser: chooser.set_files([chosen["GO"], chosen["NG"]]))
    page.keyboard.press("Tab")
    assert page.locator("#choose").evaluate("node => node === document.activeElement")
    page.keyboard.press("Enter")
    counted(page, "2 images")
    page.locator("#heated").focus()
    page.keyboard.press("Space")
    assert not page.locator("#heat").is_visible()
    page.locator("#rows button").last.focus()
    page.keyboard.press("Enter")
    assert page.locator("#word").inner_text() == "GO"


def test_what_is_not_decided_takes_the_place_of_the_last_decision_and_leaves_a_trace(
    page: Page, chosen: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    page.locator("#files").set_input_files(chosen["GO"])
    counted(page, "1 image: 1 GO")
    was = page.locator("#verdict").evaluate("node => getComputedStyle(node).backgroundColor")
    page.locator("#files").set_input_files(tmp_path / "notes.txt")
    counted(page, "2 images: 1 not decided, 1 GO")
    page.route("**/predict*", lambda route: route.fulfill(status=503, json={"reason": "busy"}))
    page.locator("#files").set_input_files(chosen["GO"])
    counted(page, "3 images: 2 not decided, 1 GO")
    page.route("**/predict*", lambda route: route.abort())
    page.locator("#files").set_input_files(chosen["GO"])
    page.get_by_text("Nothing was decided: the server does not answer").wait_for()
    assert page.locator("#word").inner_text() == "NOT DECIDED"
    assert page.locator("#verdict").evaluate("node => getComputedStyle(node).backgroundColor") != was
    assert not any(page.locator(place).is_visible() for place in ("#measured", "#heat"))
    assert not [(name, ratio) for name, ratio in page.evaluate(CONTRAST) if ratio < 4.5]
    assert page.locator("#rows tr", has_text="not decided").count() == 3
    rows = downloaded(page)
    assert [row["decision"] + row["error"][:4] for row in rows] == ["GO", "not ", "busy", "the "]


def test_the_worst_of_several_is_large_and_a_row_shows_its_own(page: Page, chosen: dict[str, Path]) -> None:
    content = {**{name: path.read_bytes() for name, path in chosen.items()}, "notes.txt": b"no image"}
    files = {name: FilePayload(name=name, mimeType="", buffer=found) for name, found in content.items()}
    page.locator("#files").set_input_files([files["NG"], files["RECHECK"], files["notes.txt"], files["GO"]])
    counts = "4 images: 1 NG, 1 not decided, 1 RECHECK, 1 GO. Shown: NG."
    page.locator("#verdict.NG").filter(has_text=counts).wait_for()
    assert page.get_by_alt_text("Inspected: NG").is_visible()
    page.get_by_role("button", name="RECHECK").click()
    assert page.locator("#meaning").inner_text() == "A person should look."
    page.locator("#files").set_input_files([files["RECHECK"], files["notes.txt"], files["GO"]])
    page.locator("#verdict.not-decided").filter(has_text="Shown: notes.txt").wait_for()


def test_the_verdict_of_the_camera_is_in_the_window_and_the_button_keeps_the_focus(page: Page) -> None:
    page.set_viewport_size({"width": 1366, "height": 700})
    page.get_by_role("button", name="Use the camera").click()
    page.locator("#take:focus").wait_for()
    page.evaluate("scrollTo(0, 0)")
    page.keyboard.press("Enter")
    counted(page, "1 image")
    within = "node => node.getBoundingClientRect().top >= 0 && node.getBoundingClientRect().bottom <= innerHeight"
    assert all(page.locator(place).evaluate(within) for place in ("#verdict", "#take"))
    assert page.locator("#take").evaluate("node => node === document.activeElement")


def test_heat_lies_exactly_over_an_enlarged_image_and_not_over_one_that_no_browser_draws(
    page: Page, chosen: dict[str, Path], tmp_path: Path
) -> None:
    with Image.open(chosen["NG"]) as image:
        image.resize((50, 40)).save(tmp_path / "small.png")
        image.save(tmp_path / "board.tiff")
    page.locator("#files").set_input_files(tmp_path / "small.png")
    page.locator("#heat").wait_for()
    box = page.locator("#shown").bounding_box()
    assert box and box == page.locator("#heat").bounding_box()  # noqa: PT018  # for the types
    assert [box["width"], box["height"]] == pytest.approx([350, 280], abs=1)
    assert page.locator("#shown").evaluate("node => getComputedStyle(node).imageRendering") == "pixelated"
    page.locator("#files").set_input_files(tmp_path / "board.tiff")
    page.get_by_text("This browser cannot show this kind of file").wait_for()
    assert not any(page.locator(place).is_visible() for place in ("#shown", "#heat"))


def test_a_heat_map_is_asked_for_only_where_it_is_wanted(page: Page, chosen: dict[str, Path]) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "predict" in request.url else None)
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#heated").evaluate("node => node.click()")
    page.locator("#files").set_input_files(chosen["NG"])
    counted(page, "1 image")
    assert not any("heatmap" in url for url in asked)
    assert "heat map" not in page.locator("#facts").inner_text()
    page.locator("#heated").check()
    page.locator("#heat").wait_for()
    assert ["heatmap=1" in url for url in asked] == [False, True]
    page.locator("#files").set_input_files(chosen["NG"])
    page.get_by_text("ms with its heat map").wait_for()
    page.locator("#heated").uncheck()
    page.reload()
    assert not page.locator("#heated").is_checked()


def test_boxes_lie_around_the_defect_at_no_extra_request(
    cell_page: Page, cell_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    bad = image_folder / "NG/scratch/000.png"
    large = tmp_path / "large.png"
    with Image.open(bad) as image:
        image.resize((10 * image.width, 10 * image.height), Image.Resampling.NEAREST).save(large)
    ((first, *_),) = fancnn.load(cell_run).predict(large).regions or [()]
    asked: list[str] = []
    cell_page.on("request", lambda request: asked.append(request.url) if "predict" in request.url else None)
    cell_page.locator("#model").filter(has_text="inspector.onnx").wait_for()
    cell_page.locator("#files").set_input_files(large)
    counted(cell_page, "1 image: 1 NG")
    image_box, box = (cell_page.locator(at).bounding_box() for at in ("#shown", "#boxes b:last-child"))
    assert image_box and box  # noqa: PT018  # for the types
    scale = image_box["width"] / 200
    inner = [box["x"] - image_box["x"] + 3, box["y"] - image_box["y"] + 3, box["width"] - 6, box["height"] - 6]
    assert inner == pytest.approx([scale * side for side in (first.left, first.top, first.width, first.height)], abs=2)
    assert f"{first.width}x{first.height} px, {first.width / 10:.3g}x{first.height / 10:.3g} mm" in (
        cell_page.locator("#facts").inner_text()
    )
    assert ["heatmap" in url for url in asked] == [False]
    (row,) = downloaded(cell_page)
    assert (row["region_width"], float(row["region_width_mm"])) == (str(first.width), first.width / 10)
    assert regions_from_text(row["region_boxes"])[0].box == first.box


def test_a_good_part_has_no_box(cell_page: Page, cell_run: Path, image_folder: Path) -> None:
    files = sorted((image_folder / "GO").iterdir())
    decisions = fancnn.load(cell_run).predict(files).decisions
    cell_page.locator("#files").set_input_files(files[decisions.index("GO")])
    counted(cell_page, "1 image: 1 GO")
    assert cell_page.locator("#boxes b").count() == 0
    assert "defect at" not in cell_page.locator("#facts").inner_text()


def test_the_probability_on_the_line_is_shown_where_there_is_one(page: Page, chosen: dict[str, Path]) -> None:
    def answer(route: Route) -> None:
        found = route.fetch().json()
        found["images"][0].update(probability=0.8, line_probability=0.0123)
        route.fulfill(json=found)

    page.locator("#files").set_input_files(chosen["NG"])
    counted(page, "1 image")
    assert "on the line" not in page.locator("#facts").inner_text()
    page.route("**/predict*", answer)
    page.locator("#files").set_input_files(chosen["NG"])
    page.get_by_text("P(NG) 0.0123 among its parts; the decision is made of 0.8000").wait_for()
    assert [row["line_probability"] for row in downloaded(page)] == ["", "0.0123"]


def test_a_token_is_asked_for_and_a_wrong_one_is_named(page: Page) -> None:
    def answer(route: Route) -> None:
        right = route.request.headers.get("authorization") == "Bearer right"
        route.continue_() if right else route.fulfill(status=401, json={"reason": "expected the header"})

    page.route("**/model", answer)
    page.reload()
    page.get_by_role("alert").filter(has_text="This server asks for a token").wait_for()
    page.locator("#token").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").filter(has_text="This is not the server's token").wait_for()
    assert "header" not in page.locator("body").inner_text()
    page.locator("#token").fill("right")
    page.keyboard.press("Enter")
    page.locator("#access").wait_for(state="hidden")


def test_clear_asks_first_and_drops_what_waits_and_leaving_warns(page: Page, chosen: dict[str, Path]) -> None:
    asked: list[str] = []

    def reply(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept() if len(asked) == 2 else dialog.dismiss()

    page.on("dialog", reply)
    page.locator("#files").set_input_files(chosen["GO"])
    counted(page, "1 image")
    page.route("**/predict*", lambda route: None)  # held for ever
    with page.expect_request("**/predict*"):
        page.locator("#files").set_input_files([chosen["NG"], chosen["NG"]])
    page.get_by_role("button", name="Clear").click()
    counted(page, "1 image")
    page.get_by_role("button", name="Clear").click()
    counted(page, "Nothing inspected yet.")
    page.unroute("**/predict*")
    page.locator("#files").set_input_files(chosen["GO"])
    counted(page, "1 image")
    with page.expect_event("dialog"):
        page.evaluate("() => { location.reload(); }")
    assert asked == ["confirm", "confirm", "beforeunload"]
    assert [row["decision"] for row in downloaded(page)] == ["GO"]
    page.get_by_role("button", name="Clear").click()
    counted(page, "Nothing inspected yet.")
    assert len(asked) == 3, "what was downloaded may go"


def test_more_rows_than_are_listed_are_said(page: Page, chosen: dict[str, Path]) -> None:
    page.locator("#heated").evaluate("node => node.click()")
    page.locator("#files").set_input_files([chosen["GO"]] * 102)
    counted(page, "102 images: 102 GO. The last 100 of 102 are listed; the CSV has all.")
    assert [page.locator("#rows tr").count(), len(downloaded(page))] == [100, 102]


def test_a_server_that_is_not_ready_says_so_until_it_is(page: Page) -> None:
    page.clock.install()
    page.route("**/ready", lambda route: route.fulfill(status=503, json={"status": "not ready", "reason": "golden: 1"}))
    page.reload()
    page.get_by_role("alert").filter(has_text="Nothing is decided now: golden: 1").wait_for()
    page.unroute("**/ready")
    page.clock.run_for(10_000)
    page.locator("#unready").wait_for(state="hidden")
