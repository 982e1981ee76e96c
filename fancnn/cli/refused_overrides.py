"""All that is wrong with a command line, where Hydra stops at the first argument that it cannot take."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf

from fancnn.errors import UserError
from fancnn.settings.earlier_names import KEYS, override_by_present_names

QUOTING = (
    "Values with spaces, brackets, quotes, = or ~ need quotes of their own inside the shell's: "
    "'data.root=\"/my (parts)\"'"
)


def refused_overrides(
    name: str,
    conf: Path,
    groups: Mapping[str, Sequence[str]],
    settings_of: Callable[[DictConfig], object],
    overrides: Sequence[str],
) -> list[str]:
    """Return what is wrong with arguments that cannot be composed: unknown keys and options, then wrong values.

    Args:
        name: Of the command, and of its entry file in `conf`.
        conf: Folder of the configuration.
        groups: Options of each group, by its name.
        settings_of: Raises a `UserError` for values that are wrong.
        overrides: The arguments.

    Returns:
        Empty where it cannot be recognized: with options of Hydra's own, as in a sweep.
    """
    if any(item.startswith("-") or _key(item).partition(".")[0] == "hydra" for item in overrides):
        return []
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        errors = {item: _error(name, [item]) for item in overrides}
        options = [item for item in overrides if _key(item) in groups and errors[item] is None]
        # a key may be there, or be gone, by the option that another argument chooses
        errors = {item: error if item in options else _error(name, [*options, item]) for item, error in errors.items()}
        known = list(_keys(compose(name, options)))
        texts = [_in_words(item, name, known, groups, error) for item, error in errors.items() if error is not None]
        cfg = compose(name, [item for item, error in errors.items() if error is None])
        given: dict[str, Any] = {"output_dir": ".", "overrides": []}  # a running command has them from Hydra
        for key in given.keys() & cfg.keys():
            OmegaConf.update(cfg, str(key), given[str(key)])
        try:
            settings_of(cfg)
        except UserError as error:
            texts += getattr(error, "texts", [str(error)])
    return texts


def _error(name: str, overrides: Sequence[str]) -> Exception | None:
    """Return what Hydra says to some arguments; None if it takes them."""
    try:
        compose(name, list(overrides))
    except (HydraException, ValueError) as error:
        return error
    return None


def _in_words(
    override: str, name: str, known: Sequence[str], groups: Mapping[str, Sequence[str]], error: Exception
) -> str:
    key, value = _key(override), override.partition("=")[2]
    if isinstance(error, OverrideParseException):
        return f"{error}\n{QUOTING}"
    if key in groups and _error(name, [f"{key}={groups[key][0]}"]) is None:  # the command chooses in that group
        return f"{key}={value} is none of {', '.join(groups[key])}{_near(value, groups[key])}"
    if key in known:
        return f"{override}: {str(error).splitlines()[0]}"
    last = {item.rpartition(".")[2]: item for item in known}
    near = _near(key, known) or _near(key.rpartition(".")[2], last)
    if key == "model" and "file" in known:
        near = f". An exported file is file={value}"
    if key in KEYS:
        near = f". It is {override_by_present_names(override)} now"
    return f"{override}: {name} has no key {key}{near or '. --help lists its keys'}"


def _near(word: str, known: Mapping[str, str] | Sequence[str]) -> str:
    """Name what may have been meant.

    Example:
        >>> _near("tinny", ["basic", "tiny"]), _near("lrr", {"lr": "model.optimizer.lr"})
        ('. Did you mean tiny?', '. Did you mean model.optimizer.lr?')
    """
    nearest = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f". Did you mean {known[nearest[0]] if isinstance(known, Mapping) else nearest[0]}?" if nearest else ""


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def _keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield every key of a configuration, with those above it before a dot; nothing is resolved."""
    for name in map(str, cfg):
        node = cfg._get_node(name)
        yield f"{prefix}{name}"
        if isinstance(node, DictConfig) and isinstance(node._content, dict):
            yield from _keys(node, f"{prefix}{name}.")
