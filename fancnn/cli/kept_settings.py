"""Settings that a file kept, read as data: nothing in them is looked up, filled in or run.

A run folder or a checkpoint may come from anywhere. What it says of its training is taken only where it is of the kind
that the configuration of this program writes itself.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fancnn.errors import UserError
from fancnn.files.trusted_classes import trusted

RESERVED = ("_target_", "_partial_")  # of the keys with a meaning for Hydra: a class to make, and whether at once
PLACES = ("dirpath", "path", "save_dir", "root_dir", "log_dir", "default_root_dir", "weights_save_path")
WRITE = ("callbacks", "logger", "trainer")  # these make files
LEADS_AWAY = re.compile(r"[/\\~]|\.\.")
NOT_REPLAYED = ("output_dir", "overrides", "data.cache")  # where things go is set on each command line,
NEVER_REPLAYED = "image_limits"  # and how much memory images may take


def known_targets(conf: Path) -> frozenset[str]:
    """Return the classes that the configuration in the folder `conf` names, and the user's own trusted ones."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(conf.rglob("*.yaml")))
    return frozenset(re.findall(r"^\s*_target_:\s*([\w.]+)\s*$", text, re.MULTILINE)) | trusted()


def validate_kept(kept: Any, place: str, targets: Iterable[str]) -> None:
    """Refuse settings of a file that are more than data.

    Args:
        kept: A tree of mappings, lists and plain values.
        place: What the file is called in messages.
        targets: Classes that it may name.

    Raises:
        UserError: If it names another class, refers to a value elsewhere (`${...}`), or is no tree of plain values.
    """
    allowed = frozenset(targets)
    for key, value in _leaves(kept, ""):
        name = key.rpartition(".")[2]
        if name.startswith("_") and name not in RESERVED:
            raise UserError(f"{place}: {key} is no key of a configuration; nothing of that file is run")
        if name == "_target_" and value not in allowed:
            raise UserError(
                f"{place}: {key}={_shown(value)} is no class that this program's own configuration names, so it is not "
                f"made from a file. If you know that class and trust it, name it: trust={_shown(value)[1:-1]}"
            )
        if isinstance(value, str) and "${" in value:
            raise UserError(f"{place}: {key}={_shown(value)} refers to something outside the file; it is not looked up")
        if not (value is None or isinstance(value, str | int | float | bool)):
            raise UserError(f"{place}: {key} is a {type(value).__name__}: expected plain values")


def validate_places(config: Mapping[str, Any], folder: Path, place: str) -> None:
    """Refuse callbacks and loggers of a file that write elsewhere than into `folder`.

    Raises:
        UserError: If a value of them is a path that leads elsewhere.
    """
    for key, value in _leaves(config, ""):
        if not isinstance(value, str):
            continue
        leads_away = Path(value).is_absolute() or value.startswith("~") or ".." in Path(value).parts or "://" in value
        inside = Path(value).resolve().is_relative_to(folder.resolve())
        if (leads_away or key.rpartition(".")[2] in PLACES) and not inside:
            raise UserError(f"{place}: {key}={_shown(value)} lies outside {folder}; nothing is written there for it")


def replayed(
    overrides: Sequence[str],
    place: str,
    keys: Iterable[str],
    groups: Mapping[str, Sequence[str]],
    targets: Iterable[str],
) -> list[str]:
    """Return those of an earlier run's command-line arguments that may be replayed for it.

    Args:
        overrides: As the run's folder has them.
        place: What the file is called in messages.
        keys: Top-level keys of the command's settings.
        groups: Options of each group of the configuration, by its name.
        targets: Classes that may be named.

    Raises:
        UserError: If one of them would do more than set a value of the training: name a class, refer to a value
            elsewhere, or be none of this command's keys.
    """
    known, allowed, kept = frozenset(keys), frozenset(targets), []
    for override in overrides:
        key, equals, value = override.partition("=")
        name = key.lstrip("+~")
        first = name.partition(".")[0].partition("@")[0].partition("/")[0]
        if first == NEVER_REPLAYED:
            continue
        options = groups.get(name.partition("@")[0])
        if options is not None and not value.lstrip().startswith("{"):
            chosen = [item.strip(" '\"") for item in value.strip(" []").split(",")]
            if not all(item in options or item in ("", "null") for item in chosen):
                raise UserError(f"{place}: {override!r} names no option of {name}: say another on the command line")
            kept.append(override)
        elif name in NOT_REPLAYED or name.rpartition(".")[2] in PLACES:
            continue
        elif first in WRITE and _names_place(value):
            raise UserError(
                f"{place}: {override!r} names a place to write to, and is not replayed from a file. If it is yours, "
                "say it on the command line"
            )
        elif first not in known and first not in groups:
            raise UserError(f"{place}: {override!r} is none of this command's keys, and is not replayed")
        elif "${" in value or not _names_only(override, allowed) or not (equals or key.startswith("~")):
            raise UserError(
                f"{place}: {override!r} is not replayed from a file, since it could make or look up anything. If it "
                "is yours, say it on the command line"
            )
        else:
            kept.append(override)
    return kept


def _names_place(value: str) -> bool:
    """Return whether a value, perhaps a tree of its own, could make something write outside the run's own folder."""
    keys = rf"\b({'|'.join(PLACES)})\b['\"]?\s*[:=]"
    return bool(LEADS_AWAY.search(value) or re.search(keys, value))


def _names_only(override: str, allowed: frozenset[str]) -> bool:
    """Return whether every class that an override names is among those allowed."""
    named = re.findall(r"_target_['\"]?\s*[:=]\s*['\"]?([\w.]+)", override)
    return len(named) == override.count("_target_") and set(named) <= allowed


def _leaves(tree: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield every value that is no mapping or list, and every key of Hydra's own, with its dotted name."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _leaves(value, f"{key}.{name}".lstrip("."))
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _leaves(value, key)
    else:
        yield key, tree


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."
