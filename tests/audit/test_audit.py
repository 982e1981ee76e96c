import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import compose_command, run_command
from textures import textures

from fancnn.audit.audit import audit
from fancnn.audit.audit_checks import CHECKS
from fancnn.audit.settings import CODES, AuditSettings
from fancnn.errors import UserError
from fancnn.files.tables import read_table


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return class folders of 30 GO and 30 NG images, no two of one photograph."""
    folder = tmp_path / "images"
    for number, pixels in enumerate(textures(60).byte().numpy()):
        path = folder / ("NG" if number % 2 else "GO") / f"part{number // 4}_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def settings_of(root: Path, tmp_path: Path, *overrides: str) -> AuditSettings:
    output = tmp_path / "audit"
    return compose_command("audit", AuditSettings, f"data.root={root}", f"output_dir={output}", *overrides)


def codes(tmp_path: Path) -> list[str]:
    rows = read_table(tmp_path / "audit/audit.csv", ("code", "severity", "path", "other", "detail", "silenced"), 1)
    return sorted({row["code"] for row in rows})


def turn(path: Path, target: Path) -> None:
    Image.open(path).transpose(Image.Transpose.ROTATE_90).save(target)


def test_every_code_is_a_check() -> None:
    assert tuple(CHECKS) == CODES


def test_a_good_folder_has_nothing_but_few_parts(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(settings_of(root, tmp_path))
    assert codes(tmp_path) == ["A015"]
    printed = capsys.readouterr().out
    assert "30 GO and 30 NG images" in printed
    assert "if all were tested and none escaped, an escape rate below 9.6 % would be proven; 1 % takes 299" in printed
    rows = read_table(tmp_path / "audit/groups.csv", ("image", "class", "label", "group", "sequence"), 1)
    assert len(rows) == 60
    assert all(row["group"] == row["image"] for row in rows)


def test_what_is_wrong_is_named_and_written(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(root / "GO/part0_0.png", root / "NG/part0_0.png")
    turn(root / "GO/part1_4.png", root / "GO/turned.png")
    (root / "GO/cut.png").write_bytes((root / "GO/part0_0.png").read_bytes()[:200])
    assert not audit(settings_of(root, tmp_path))
    assert codes(tmp_path) == ["A001", "A002", "A004", "A005", "A015"]
    printed = capsys.readouterr().out
    assert "A005 one image in two classes (error): 1 pair of copies are in GO and in NG" in printed
    assert "NG/part0_0.png ~ GO/part0_0.png (the same bytes)" in printed
    assert "A004 near-duplicates (warning): 2 images in 1 set share a photograph: turned by 270 degrees (1)" in printed
    assert "GO/cut.png (cut off: the file ends before its pixels do)" in printed
    groups = {row["image"]: row["group"] for row in read_table(tmp_path / "audit/groups.csv", ("image", "group"), 1)}
    assert groups["GO/turned.png"] == groups["GO/part1_4.png"] == "GO/part1_4.png"
    page = (tmp_path / "audit/audit.html").read_text()
    assert page.count("data:image/jpeg") == 6
    assert "A003 equal pixels in another file" in page  # among those that found nothing


def test_copies_across_splits_and_groups_are_named(tmp_path: Path, root: Path) -> None:
    for path in sorted(root.rglob("*.png")):
        target = tmp_path / "split" / ("test" if int(path.stem.split("_")[1]) >= 40 else "train") / path.parent.name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    turn(tmp_path / "split/train/GO/part0_0.png", tmp_path / "split/test/GO/part99_99.png")
    assert not audit(settings_of(tmp_path / "split", tmp_path, r"data.group='part\d+'"))
    assert codes(tmp_path) == ["A004", "A006", "A007", "A015"]


def test_a_silenced_check_does_not_count_and_says_why(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turn(root / "GO/part1_4.png", root / "GO/turned.png")
    assert audit(settings_of(root, tmp_path, 'silence={A004: "turned on purpose"}'))
    assert "A004 near-duplicates (silenced: turned on purpose)" in capsys.readouterr().out
    rows = read_table(tmp_path / "audit/audit.csv", ("code", "silenced"), 1)
    assert [row["silenced"] for row in rows if row["code"] == "A004"] == ["turned on purpose"]


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("silence={A999: x}", "silence.A999 is no check. Checks: A001 to A015"),
        ("silence={A004: ' '}", "silence.A004 needs a reason in words"),
        ("data.group='lot'", "data.group"),
    ],
)
def test_mistakes_are_named_by_their_key(root: Path, tmp_path: Path, override: str, text: str) -> None:
    with pytest.raises(UserError, match=text):
        audit(settings_of(root, tmp_path, override))


def test_a_folder_of_damaged_files_is_refused(tmp_path: Path) -> None:
    for name in ("GO", "NG"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "a.png").write_bytes(b"x")
    with pytest.raises(UserError, match="none of 2 files under .* can be read; the first: not an image"):
        audit(settings_of(tmp_path / "images", tmp_path))


def test_the_same_images_give_the_same_files(root: Path, tmp_path: Path) -> None:
    turn(root / "GO/part1_4.png", root / "GO/turned.png")
    kept = []
    for _ in range(2):
        audit(settings_of(root, tmp_path, f"data.cache={tmp_path / 'cache'}"))
        kept.append([(tmp_path / "audit" / name).read_bytes() for name in ("audit.html", "audit.csv", "groups.csv")])
    assert kept[0] == kept[1]


@pytest.mark.slow
def test_the_command_answers_by_its_exit_code(root: Path, tmp_path: Path) -> None:
    turn(root / "GO/part1_4.png", root / "GO/turned.png")
    for arguments, code in (((), 0), (("strict=true",), 3), (("strict=true", "silence={A004: known}"), 0)):
        answer = run_command("fancnn.audit", f"data.root={root}", *arguments, cwd=tmp_path)
        assert answer.returncode == code, answer.stderr
    assert np.all([path.is_file() for path in tmp_path.glob("outputs/audit/*/audit.html")])
    assert run_command("fancnn.audit", f"data.root={tmp_path}/none", cwd=tmp_path).returncode == 1
