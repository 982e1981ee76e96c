"""The page in a real browser: what a person does and sees."""

import base64
import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from fancnn.model import Model

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")

CONTRAST = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => numbers(colour).slice(0, 3).map((level) => level / 255)
    .map((level) => level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4)
    .reduce((sum, level, place) => sum + level * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (node) => { for (; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor;
    if ((numbers(colour)[3] ?? 1) > 0) return colour; } return "rgb(255, 255, 255)"; };
  const shown = [...document.querySelectorAll("body *")].filter((node) => node.checkVisibility() &&
    !node.disabled && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()));
  return shown.map((node) => {
    const [a, b] = [getComputedStyle(node).color, behind(node)].map(light);
    return [node.id || node.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
}"""
DROP = """([kind, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], `${kind}.png`, { type: "image/png" }));
  const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
    : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


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
def chosen(pictures: Path, inspector: Model, exported: Path) -> dict[str, Path]:
    """A picture of each decision."""
    files = sorted(pictures.rglob("*.png"))[::9]
    return dict(zip(inspector.predict(files).decisions, files, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_decision_is_large_in_words_and_can_be_read(page: Page, chosen: dict[str, Path], scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    colours = set()
    for count, (decision, path) in enumerate(sorted(chosen.items()), start=1):
        page.locator("#files").set_input_files(path)
        page.get_by_text(f"{count} inspected").wait_for()
        assert page.get_by_role("alert").inner_text().split()[:2][-1] == decision
        assert page.locator("#heat").get_attribute("src").startswith("data:image/png")  # type: ignore[union-attr]
        colours.add(page.locator("#verdict").evaluate("node => getComputedStyle(node).backgroundColor"))
        size = page.locator("#word").evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
        assert size >= 40
        poor = [(name, ratio) for name, ratio in page.evaluate(CONTRAST) if ratio < 4.5]
        assert not poor
    assert len(colours) == 3
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a phone need not scroll sideways"
    names = page.get_by_role("region").all()
    assert len(names) == 3, "sections have names"
    assert all(button.inner_text() for button in page.get_by_role("button").all())


def test_pictures_come_by_choice_paste_drop_and_camera_and_go_as_a_table(page: Page, chosen: dict[str, Path]) -> None:
    page.locator("#files").set_input_files(list(chosen.values()))
    page.get_by_text("3 inspected: 1 GO, 1 RECHECK, 1 NG").wait_for()
    for count, kind in enumerate(("paste", "drop"), start=4):
        page.evaluate(DROP, [kind, base64.b64encode(chosen["NG"].read_bytes()).decode()])
        page.get_by_text(f"{count} inspected").wait_for()
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take the picture").click()
    page.get_by_text("6 inspected").wait_for()
    page.get_by_role("button", name="Close the camera").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert [row["decision"] for row in rows[:5]] == [*chosen, "NG", "NG"]
    assert [row["path"] for row in rows[:5]] == [*(path.name for path in chosen.values()), "paste.png", "drop.png"]


def test_a_keyboard_is_enough(page: Page, chosen: dict[str, Path]) -> None:
    page.keyboard.press("Tab")
    assert page.locator("#choose").evaluate("node => node === document.activeElement")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([chosen["GO"], chosen["NG"]])
    page.get_by_text("2 inspected").wait_for()
    page.locator("#heated").focus()
    page.keyboard.press("Space")
    assert not page.locator("#heat").is_visible()
    page.locator("#rows button").last.focus()
    page.keyboard.press("Enter")
    assert page.locator("#word").inner_text() == "GO"


def test_what_is_refused_is_said_and_not_counted(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    page.locator("#files").set_input_files(tmp_path / "notes.txt")
    page.get_by_text("notes.txt was not decided: not a picture").wait_for()
    assert page.get_by_text("Nothing inspected yet.").is_visible()
