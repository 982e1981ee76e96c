"""A composed configuration as an object of its dataclass; where it cannot be one, every mistake with its key."""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue, OmegaConfBaseException

from fancnn.errors import Collector, UserError, under
from fancnn.settings.choices import choice_in

S = TypeVar("S")
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", dict: "keys and values"}
ITEMS = {int: "whole numbers", float: "numbers", str: "texts"}
HELP = "--help has examples"
HINT = "`--cfg job` shows the keys and values"


def typed_settings(cfg: DictConfig | dict[str, Any], schema: type[S], check: Collector) -> S:
    """Return the configuration as an object of `schema`, interpolations resolved.

    Args:
        cfg: As composed, or as a file kept it.
        schema: A dataclass.
        check: Gets the mistakes: unknown and missing keys, values of the wrong type, and what the dataclasses refuse.
            What is none of the object's values for that is absent from it.
    """
    node, wrong = OmegaConf.structured(schema), dict[str, str]()
    try:
        node = OmegaConf.merge(node, cfg)
    except (OmegaConfBaseException, OverflowError):  # the first mistake; now all of them, key by key
        plain: Any = OmegaConf.to_container(cfg) if isinstance(cfg, DictConfig) else cfg
        wrong = dict(_filled(node, plain, schema, ""))
    for text in wrong.values():
        check.errors.append(UserError(text))
    return _object(node, schema, "", frozenset(wrong), check)


def _filled(node: Any, plain: Mapping[str, Any], schema: type, prefix: str) -> Iterator[tuple[str, str]]:
    """Put values into a structured node one by one; give the key of each that does not fit, and a text."""
    hints = get_type_hints(schema)
    for name, value in plain.items():
        key = f"{prefix}{name}"
        inner = _dataclass_in(hints.get(name))
        if name not in hints:
            yield key, f"configuration: {_unknown(key, str(name), list(hints), schema)}"
        elif inner is not None and isinstance(value, Mapping):
            setattr(node, name, OmegaConf.structured(inner))
            yield from _filled(node[name], value, inner, f"{key}.")
        else:
            try:
                OmegaConf.update(node, name, value)
            except (OmegaConfBaseException, OverflowError):
                yield key, _wrong(key, value, hints[name])


def _wrong(key: str, value: Any, hint: Any) -> str:
    """Return what to say of a value that does not fit a type."""
    if (choice := choice_in(hint)) is None:
        return f"configuration: {key}={value!r} should be {expected(hint)}"
    words = [item for item in value if item not in list(choice)] if isinstance(value, list) else []
    setting = f"{key}: {', '.join(map(repr, words))}" if words else f"{key}={value!r}"
    return f"{setting} is none of {', '.join(choice)}"


def _object(node: Any, schema: type[S], prefix: str, wrong: frozenset[str], check: Collector) -> S:
    """Return an object with the values that a structured node has; whatever is wrong with them goes to `check`.

    It is made first and checked then, so that one mistake in it hides no other.
    """
    made, hints = object.__new__(schema), get_type_hints(schema)
    for field in fields(schema):  # type: ignore[arg-type]  # a dataclass
        key, inner = f"{prefix}{field.name}", _dataclass_in(hints[field.name])
        if key in wrong:
            continue
        try:
            value = node[field.name]
            if inner is not None and value is not None:
                value = _object(value, inner, f"{key}.", wrong, check)
            elif OmegaConf.is_config(value):
                value = OmegaConf.to_object(value)
            setattr(made, field.name, value)
        except MissingMandatoryValue as error:
            missing = error.full_key or key
            check.errors.append(UserError(f"{missing} is missing: say {missing}=... ({HELP})"))
        except OmegaConfBaseException as error:
            if not (wrong and isinstance(error, InterpolationToMissingValueError)):  # else it refers to a mistake
                why = str(error).splitlines()[0].rstrip(".")
                check.errors.append(UserError(f"configuration: {error.full_key or key}: {why}"))
    check(lambda: _validate(made, prefix))
    return made


def _validate(made: Any, prefix: str) -> None:
    """Validate a settings dataclass by its own checks, with errors that name the keys of the whole configuration."""
    if not hasattr(made, "__post_init__"):
        return
    with under(prefix.rstrip(".")) if prefix else nullcontext():
        made.__post_init__()


def _dataclass_in(hint: Any) -> type | None:
    """Return the dataclass that a type is, or is besides None."""
    return next((kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and is_dataclass(kind)), None)


def _unknown(key: str, name: str, known: list[str], schema: type) -> str:
    """Return what to say of a key that is none, with the one that may have been meant.

    Example:
        >>> _unknown("data.rot", "rot", ["root", "split"], int)
        "data.rot: Key 'rot' not in 'int'. Did you mean root?"
    """
    near = difflib.get_close_matches(name, known, n=1)
    return f"{key}: Key {name!r} not in {schema.__name__!r}. {f'Did you mean {near[0]}?' if near else HINT}"


def expected(hint: Any) -> str:
    """Say a type in words.

    Example:
        >>> expected(list[int] | None)
        'a list of whole numbers, or null'
    """
    if NoneType in get_args(hint):
        (kind,) = (kind for kind in get_args(hint) if kind is not NoneType)
        return f"{expected(kind)}, or null"
    kind = get_origin(hint) or hint
    if kind is list:
        return f"a list of {ITEMS.get(get_args(hint)[0], 'values')}"
    return WORDS.get(kind, "keys and values")
