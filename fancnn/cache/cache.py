"""The story of `python -m fancnn.cache`: what is kept, whether it is right, and away with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fancnn.cache.settings import CacheSettings
from fancnn.data.cache_index import open_index
from fancnn.data.decoded_cache import is_current, read_about, wrong_rows
from fancnn.files.atomic_files import remove_folder, remove_rest
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess
from fancnn.plurals import agreeing, plural
from fancnn.rendering.rendered_set import SETS
from fancnn.runs.looks import Ledger
from fancnn.system.cache_folder import cache_folder
from fancnn.system.console import print_table, say, track


def look_after(settings: CacheSettings) -> bool:
    """List, verify or clear; False if something kept is not what it should be.

    Raises:
        UserError: If `settings.do` is none of the three.
    """
    settings.validate_paths()
    top = Path(settings.folder).expanduser() if settings.folder else cache_folder()
    caches = {folder: about for folder in sorted(top.glob("decoded/[!.]*")) if (about := read_about(folder))}
    rendered = [
        folder for name in SETS for folder in sorted(top.glob(f"{name}/[!.]*")) if (folder / f"{name}.csv").is_file()
    ]
    if settings.do == "list":
        _list(top, list(caches), rendered)
        return True
    if settings.do == "verify":
        return _verify(list(caches), ImageGate(settings.image_limits))
    for folder in track([*caches, *rendered], "clearing", len(caches) + len(rendered)):
        remove_folder(folder)
    for name in ("decoded", *SETS):
        remove_rest(top / name)
    say(f"cleared {plural(len(caches), 'folder')} of decoded images and {len(rendered)} of rendered ones in {top}")
    return True


def _list(top: Path, decoded: list[Path], rendered: list[Path]) -> None:
    rows = []
    for folder in decoded:
        about = read_about(folder) or {}
        size = "x".join(map(str, about["image_size"]))
        gone = "" if Path(about["root"]).is_dir() else " (gone)"
        rows.append([f"{about['root']}{gone}", f"{size} {about['resize']}", _files(folder, about), _megabytes(folder)])
    rows += [
        [str(folder), f"rendered {folder.parent.name}", str(len(list(folder.rglob("*.jpg")))), _megabytes(folder)]
        for folder in rendered
    ]
    print_table(f"kept in {top}", ["images of", "as", "files", "MB"], rows)
    if looks := Ledger(top / "looks").looks():
        say(
            f"and {plural(len(looks), 'look')} at test images in {top / 'looks'}, which no command removes or "
            "can make again"
        )


def _verify(folders: list[Path], gate: ImageGate) -> bool:
    """Compare every row with its file; a folder with a wrong row is removed, since it can be made again."""
    good = True
    for folder in track(folders, "verifying", len(folders)):
        about = read_about(folder) or {}
        if not is_current(about):
            say(f"{about['root']}: {folder} is of an earlier version and no longer used; it can be removed")
            continue
        wrong = wrong_rows(folder, Preprocess(about["image_size"], about["resize"], about["background"]), gate)
        if wrong:
            good = False
            remove_folder(folder)
            what = f"{plural(len(wrong), 'row')} {agreeing(len(wrong), 'was')} wrong, first of {wrong[0]}"
            say(f"{about['root']}: {what}; the folder is removed")
        else:
            say(f"{about['root']}: every row is what its file decodes to")
    return good


def _files(folder: Path, about: Mapping[str, Any]) -> str:
    if not is_current(about):
        return "no longer used"
    with open_index(folder) as index:
        return str(len(index))


def _megabytes(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:.1f}"
