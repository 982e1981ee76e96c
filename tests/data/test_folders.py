from pathlib import Path

import pytest
from samples import write_images

from fancnn.data.folders import Listing, list_images, validate_for_training
from fancnn.errors import UserError


def listed(root: Path, go_class: str = "GO") -> Listing:
    listing = list_images(root, go_class)
    validate_for_training(listing, go_class)
    return listing


def test_folder_names_decide_labels_whatever_their_order(tmp_path: Path) -> None:
    """`100` sorts before `60` as a string: the original called bad parts GO."""
    listing = listed(write_images(tmp_path, {"100": 2, "60": 3}), go_class="100")
    assert {(image.class_name, image.label) for image in listing.images} == {("100", 0), ("60", 1)}


def test_every_other_folder_is_ng_and_folders_inside_are_defect_types(tmp_path: Path) -> None:
    listing = listed(write_images(tmp_path, {"GO": 1, "NG/scratch/deep": 1, "NG": 1, "broken": 1}))
    found = [(image.path, image.label, image.defect_type) for image in listing.images]
    assert found == [
        ("GO/000.png", 0, ""),
        ("NG/000.png", 1, ""),
        ("NG/scratch/deep/000.png", 1, "scratch/deep"),
        ("broken/000.png", 1, ""),
    ]


def test_what_systems_leave_among_images_is_neither_class_nor_image(tmp_path: Path) -> None:
    hidden_parent = tmp_path / ".cache" / "set"  # a hidden folder above the root hides nothing
    root = write_images(hidden_parent, {"GO": 2, "NG": 2, ".git": 1, "__MACOSX": 1, "NG/.trash": 1})
    for name in (".DS_Store", "GO/._000.png", "GO/Thumbs.db", "GO/desktop.ini", "NG/.hidden.jpg"):
        (root / name).write_bytes(b"litter")
    listing = listed(root)
    assert listing.classes == ("GO", "NG")
    assert len(listing.images) == 4
    assert not listing.ignored


def test_visible_files_of_other_kinds_are_counted(tmp_path: Path) -> None:
    root = write_images(tmp_path, {"GO": 1, "NG": 1})
    (root / "GO/notes.txt").write_text("fine")
    (root / "GO/photo.HEIC").write_bytes(b"x")
    assert listed(root).ignored == {".txt": 1, ".heic": 1}


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    root = write_images(tmp_path / "set", {"GO": 2, "NG": 2})
    elsewhere = write_images(tmp_path / "elsewhere", {"more": 3})
    (root / "GO/up").symlink_to(root)
    (root / "GO/self").symlink_to(root / "GO")
    (root / "NG/more").symlink_to(elsewhere / "more")
    names = [image.path for image in listed(root).images]
    assert len(names) == 2 + 2 + 3
    assert "NG/more/001.png" in names


def test_names_in_any_script(tmp_path: Path) -> None:
    listing = listed(write_images(tmp_path, {"良品": 1, "брак": 1}), go_class="良品")
    assert {image.path: image.label for image in listing.images} == {"брак/000.png": 1, "良品/000.png": 0}


def test_parts_are_taken_as_they_are(tmp_path: Path) -> None:
    root = write_images(tmp_path, {"train/GO": 2, "train/NG/dent": 2, "test/GO": 1, "test/NG": 1})
    found = {(image.path, image.split, image.class_name, image.defect_type) for image in listed(root).images}
    assert ("train/NG/dent/001.png", "train", "NG", "dent") in found
    assert ("test/GO/000.png", "test", "GO", "") in found


MISTAKES = [
    ({}, "GO", "holds no class folders. Expected one folder per class"),
    ({".": 2}, "GO", "holds no class folders, but 2 images beside them"),
    ({"GO": 2}, "GO", "holds one class folder only: GO"),
    ({"GO": 2, "NG": 0}, "GO", "no images in the class folder NG"),
    ({"OK": 2, "NG": 2}, "GO", "data.go_class='GO' names no class folder under .* Found: NG, OK.*data.go_class=NG"),
    (
        {"train/GO": 2, "train/NG": 2, "GO": 2},
        "GO",
        "mixes two layouts: train for splits .* beside them GO",
    ),
    ({"test/GO": 2, "test/NG": 2}, "GO", "has no images in train/"),
    ({"train/GO": 2, "train/NG": 2, "val/GO": 2, "val/bad": 1}, "GO", "val has classes that train/ has not: bad"),
    ({"train/GO": 2, "train/NG": 2, "val/GO": 2}, "GO", "val lacks GO or NG images"),
]


@pytest.mark.parametrize(("counts", "go_class", "text"), MISTAKES, ids=[text for *_, text in MISTAKES])
def test_what_cannot_be_trained_on_is_said(counts: dict[str, int], go_class: str, text: str, tmp_path: Path) -> None:
    root = write_images(tmp_path, counts)
    with pytest.raises(UserError, match=text):
        listed(root, go_class)


def test_a_missing_root_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.root='.*nowhere' is no folder. Expected a folder of class folders"):
        list_images(tmp_path / "nowhere", "GO")


def test_folders_of_other_kinds_of_files_are_said_with_the_kinds(tmp_path: Path) -> None:
    for name in ("GO/a.heic", "GO/b.heic", "NG/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=r"no images .* only files of other kinds: .heic \(2\), .txt \(1\)"):
        list_images(tmp_path, "GO")
