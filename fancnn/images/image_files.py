"""The images in a folder and below it, or that a pattern means; nothing that cannot be looked into is passed over."""

import os
from collections import Counter, deque
from collections.abc import Iterator
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path

from fancnn.errors import UserError
from fancnn.images.reading import is_hidden, is_image_file

MOST_FOLDERS, MOST_FILES = 200_000, 2_000_000
SYSTEM_FOLDERS = ("/proc", "/sys", "/dev")  # without an end, and without images

Identity = tuple[int, int]  # of a folder, whatever path leads there: device and inode


def iter_image_files(root: Path, others: Counter[str] | None = None) -> Iterator[Path]:
    """Yield the paths relative to `root`, by folder and name; hidden ones are passed over.

    Links are followed, and each folder is looked into once, whatever paths lead there: under its own where that lies
    below `root`, else under that of the first link, by depth and name. A folder that cannot be looked into is one of
    the paths: whoever reads it as a file gets the reason.

    Args:
        root: Where to look.
        others: Gets how many visible files of other kinds there are, by suffix.

    Raises:
        UserError: If there are more files or folders than anybody has images, or folders of the system.
    """
    files, folders = _folders_and_files(root)
    pending = [Path()]
    while pending:
        relative = pending.pop()
        names = files[relative]
        if names is None:
            yield relative
            continue
        for name in names:
            if is_image_file(relative / name):
                yield relative / name
            elif others is not None and not is_hidden(relative / name):
                others[Path(name).suffix.lower() or name] += 1
        pending += [relative / name for name in sorted(folders.get(relative, ()), reverse=True)]


def matching_image_files(pattern: Path) -> list[Path]:
    """Return image files that match a pattern: `*`, `?`, `[...]` in names, `**` for any folders, links as above.

    Raises:
        UserError: As `iter_image_files`.
    """
    matches: list[Path] = []
    parts = pattern.parts
    place = next((index for index, part in enumerate(parts) if has_magic(part)), len(parts))
    pending = deque([(Path(*parts[:place]), parts[place:])])
    while pending:
        base, left = pending.popleft()
        if not left:
            matches += [base] if is_image_file(Path(base.name)) and not base.is_dir() and os.path.lexists(base) else []
        elif left[0] == "**":
            below = iter_image_files(base) if base.is_dir() else ()
            matches += [base / path for path in below if _fits(path, left) or not is_image_file(path)]
        elif not has_magic(left[0]):
            pending.append((base / left[0], left[1:]))
        elif (listing := _listed(base)) is None:
            matches += [base] if base.is_dir() else []
        else:
            names = sorted([*listing.folders, *listing.links, *listing.files])
            pending += [(base / name, left[1:]) for name in names if _name_fits(name, left[0])]
        _validate_count(len(matches) + len(pending), MOST_FILES, pattern, "files")
    return sorted(set(matches))


class _Listing:
    """What is in a folder, sorted: names of folders, of links to folders, and of all else."""

    def __init__(self, folder: Path) -> None:
        self.folders, self.links, self.files = list[str](), list[str](), list[str]()
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _is_folder(entry):
                    self.files.append(entry.name)
                elif entry.is_symlink():
                    self.links.append(entry.name)
                else:
                    self.folders.append(entry.name)
        for names in (self.folders, self.links, self.files):
            names.sort()


def _folders_and_files(root: Path) -> tuple[dict[Path, list[str] | None], dict[Path, list[str]]]:
    """Return the files in each folder by its path, None if it cannot be listed, and its folders that are searched.

    All that are reached without a link come first, so that a link takes no folder away from its own place.
    """
    files: dict[Path, list[str] | None] = {}
    folders: dict[Path, list[str]] = {}
    seen, system, count = set[Identity](), _system_devices(), 0
    pending, linked, top = deque([Path()]), deque[Path](), root.resolve()
    while pending or linked:
        is_link = not pending
        relative = linked.popleft() if is_link else pending.popleft()
        here = root / relative
        if is_link and _leads_up(here, top):
            continue
        if (identity := _identity(here)) is not None:
            if identity in seen:
                continue
            seen.add(identity)
            if identity[0] in system:
                raise UserError(
                    f"{here} lies in {system[identity[0]]}, a folder of the operating system without images: name "
                    "another, or remove the link that leads there"
                )
        if relative != Path():
            folders.setdefault(relative.parent, []).append(relative.name)
        if (listing := _listed(here)) is None:
            files[relative] = None
        else:
            files[relative] = listing.files
            count += len(listing.files)
            pending += [relative / name for name in listing.folders if not is_hidden(relative / name)]
            linked += [relative / name for name in listing.links if not is_hidden(relative / name)]
        _validate_count(len(files), MOST_FOLDERS, root, "folders")
        _validate_count(count, MOST_FILES, root, "files")
    return files, folders


def _leads_up(link: Path, top: Path) -> bool:
    """Return whether a link leads to a folder that it lies in, or that all lies in which is looked through."""
    target = link.resolve()
    return link.parent.resolve().is_relative_to(target) or top.is_relative_to(target)


def _listed(folder: Path) -> _Listing | None:
    try:
        return _Listing(folder)
    except OSError:
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in circles: reading it says so
        return False


def _identity(folder: Path) -> Identity | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _system_devices() -> dict[int, str]:
    """Return the devices of the operating system's own folders, and their names."""
    ordinary = _identity(Path("/"))
    name_of = {identity[0]: name for name in SYSTEM_FOLDERS if (identity := _identity(Path(name))) is not None}
    return {device: name for device, name in name_of.items() if ordinary is None or device != ordinary[0]}


def _validate_count(count: int, most: int, where: Path, what: str) -> None:
    if count > most:
        raise UserError(f"{where} has more than {most:,} {what}: name a folder with fewer")


def _fits(path: Path, pattern: tuple[str, ...]) -> bool:
    """Tell whether a path has the form of a pattern; the ends of it that `**` may stand for are kept side by side."""
    ends = {0}
    for part in (*path.parts, None):
        for end in sorted(ends):  # `**` may be no folder at all
            while end < len(pattern) and pattern[end] == "**":
                end += 1
                ends.add(end)
        if part is None:
            break
        stay = {end for end in ends if end < len(pattern) and pattern[end] == "**"}
        go_on = {end + 1 for end in ends - stay if end < len(pattern) and _name_fits(part, pattern[end])}
        ends = stay | go_on
    return len(pattern) in ends or (pattern[-1] == "**" and len(pattern) - 1 in ends)


def _name_fits(name: str, pattern: str) -> bool:
    """Tell whether a name fits, as a shell would: a dot that it begins with is to be written."""
    return fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))
