"""What the values of a file may be: checks that name the key, what was expected there, and what came.

A file from outside is data. What reads a format compares it with a kind first, once; whatever takes its values after
that may rely on their types. A kind is a function of a value and its dotted key, which raises `Mismatch`.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fancnn.errors import UserError

Kind = Callable[[Any, str], None]
LARGEST = 2**63 - 1  # of a whole number: what numpy and torch can hold
MOST_DEEP = 64  # levels of mappings and lists inside one another; the program itself writes at most ten
MOST_VALUES = (
    5_000_000  # of a tree: one that names the same list again and again may stand for more than fits in memory
)
SHOWN = 60  # characters of a value that is none


class Mismatch(ValueError):  # noqa: N818  # shown to users as part of a `UserError`
    """Content of a file that is not of its kind; the text says at which key, what was expected and what came."""


def mismatch(key: str, expected: str, value: object) -> Mismatch:
    """Return the error for a value at a dotted key, which is empty for the whole."""
    return Mismatch(f"{key}: expected {expected}, got {shown(value)}".removeprefix(": "))


def validate(value: Any, kind: Kind, place: str) -> None:
    """Refuse a value of a file that is not of its kind.

    Args:
        value: As it was read.
        kind: What it should be.
        place: What the file is called in messages.

    Raises:
        UserError: Naming the file and the key.
    """
    try:
        kind(value, "")
    except Mismatch as error:
        raise UserError(f"{place} is damaged: {error}") from error


def shown(value: object) -> str:
    """Return a value for a message, cut where it is long.

    Example:
        >>> shown("x"), shown([1, 2]), shown({"a": 1}), shown(None)
        ("'x'", '[1, 2]', 'a mapping of 1 values', 'nothing')
    """
    if isinstance(value, str | bytes):
        return repr(value) if len(value) <= SHOWN else f"{value[:SHOWN]!r}..."
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) <= LARGEST):
        return repr(value)
    if isinstance(value, list | tuple) and len(value) <= 4 and all(isinstance(item, int | float) for item in value):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, list | tuple | Mapping):  # whose items may be many, or lists that hold themselves
        return f"a {'list' if isinstance(value, list | tuple) else 'mapping'} of {len(value):,} values"
    return "nothing" if value is None else f"a {type(value).__name__}"


def anything(value: Any, key: str) -> None:
    """Take any value."""


def text(value: Any, key: str) -> None:
    """Take text without NUL, which no name of a file or class has."""
    if not isinstance(value, str) or "\0" in value:
        raise mismatch(key, "text", value)


def truth(value: Any, key: str) -> None:
    """Take true and false."""
    if not isinstance(value, bool):
        raise mismatch(key, "true or false", value)


def number(value: Any, key: str) -> None:
    """Take a finite number."""
    finite = math.isfinite(value) if isinstance(value, float) else type(value) is int and abs(value) <= LARGEST
    if not finite:
        raise mismatch(key, "a number", value)


def number_between(low: float, high: float) -> Kind:
    """Take a number from `low` to `high`.

    Example:
        >>> number_between(0, 1)(0.5, "probability")
        >>> number_between(0, 1)("x", "probability")
        Traceback (most recent call last):
        fancnn.files.plain_data.Mismatch: probability: expected a number from 0 to 1, got 'x'
    """

    def kind(value: Any, key: str) -> None:
        expected = f"a number from {low:g} to {high:g}"
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise mismatch(key, expected, value)

    return kind


def whole(low: int = -LARGEST, high: int = LARGEST) -> Kind:
    """Take a whole number from `low` to `high`; true and 2.0 are none."""
    within = f" from {low:,}" if low > -LARGEST else ""
    within += f" to {high:,}" if high < LARGEST else ""

    def kind(value: Any, key: str) -> None:
        if type(value) is not int or not low <= value <= high:
            raise mismatch(key, f"a whole number{within}", value)

    return kind


def one_of(*choices: str) -> Kind:
    """Take one of several texts."""

    def kind(value: Any, key: str) -> None:
        if not isinstance(value, str) or value not in choices:
            raise mismatch(key, f"one of {', '.join(choices)}", value)

    return kind


def optional(kind: Kind) -> Kind:
    """Take null, too."""

    def checked(value: Any, key: str) -> None:
        if value is not None:
            kind(value, key)

    return checked


def list_of(kind: Kind, least: int = 0, most: int = LARGEST) -> Kind:
    """Take a list whose items are of `kind`; in a checkpoint a tuple is one."""
    count = f"{least}" if least == most else f"at least {least}" if most == LARGEST else f"{least} to {most}"
    expected = f"a list of {count} values" if least or most < LARGEST else "a list"

    def checked(value: Any, key: str) -> None:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            raise mismatch(key, expected, value)
        for place, item in enumerate(value):
            kind(item, f"{key}.{place}")

    return checked


def map_of(kind: Kind) -> Kind:
    """Take names with values of `kind`."""

    def checked(value: Any, key: str) -> None:
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise mismatch(key, "names with values", value)
        for name, item in value.items():
            kind(item, f"{key}.{name[:SHOWN]}".lstrip("."))

    return checked


def record(kinds: Mapping[str, Kind], required: Collection[str] = (), *, closed: bool = False) -> Kind:
    """Take named values, each of its own kind.

    Args:
        kinds: By key.
        required: Keys that must be there.
        closed: Whether other keys are refused; a later version may add some, and they are passed over.
    """
    names = map_of(anything)

    def checked(value: Any, key: str) -> None:
        names(value, key)
        for name in required:
            if name not in value:
                raise Mismatch(f"expected the key {f'{key}.{name}'.lstrip('.')}")
        for name, item in value.items():
            if name in kinds:
                kinds[name](item, f"{key}.{name}".lstrip("."))
            elif closed:
                raise mismatch(key, f"no other keys than {', '.join(kinds)}", name)

    return checked


def kinds_of(dataclass: type) -> dict[str, Kind]:
    """Return the kind of each field of a dataclass: what its annotation says, else what its type names.

    Example:
        >>> from dataclasses import make_dataclass
        >>> kinds = kinds_of(make_dataclass("Part", [("name", str), ("size", Annotated[int, whole(1)])]))
        >>> kinds["size"](0, "size")
        Traceback (most recent call last):
        fancnn.files.plain_data.Mismatch: size: expected a whole number from 1, got 0
    """
    return {name: _kind_of(hint) for name, hint in get_type_hints(dataclass, include_extras=True).items()}


def settings_of(schema: type) -> Kind:
    """Take a dataclass of settings as plain data: the types of its fields, no other keys, and its own checks.

    Example:
        >>> from fancnn.settings.groups import LineRateSettings
        >>> settings_of(LineRateSettings)({"ng_rate": "many"}, "line")
        Traceback (most recent call last):
        fancnn.files.plain_data.Mismatch: line.ng_rate: expected a number, got 'many'
    """
    required = [item.name for item in fields(schema) if item.default is MISSING and item.default_factory is MISSING]
    typed = record(kinds_of(schema), required, closed=True)

    def checked(value: Any, key: str) -> None:
        typed(value, key)
        try:
            schema(**{item.name: _nested(item, value[item.name]) for item in fields(schema) if item.name in value})
        except UserError as error:
            raise Mismatch(f"{key}: {error}".removeprefix(": ")) from error

    return checked


def _nested(item: Field[Any], value: Any) -> Any:
    schema = item.type
    if not isinstance(schema, type) or not is_dataclass(schema):
        return value
    return schema(**{inner.name: _nested(inner, value[inner.name]) for inner in fields(schema) if inner.name in value})


def _kind_of(hint: Any) -> Kind:
    if get_origin(hint) is Annotated:
        kind: Kind = hint.__metadata__[0]
        return kind
    if hint in _OF_TYPES:
        return _OF_TYPES[hint]
    if is_dataclass(hint) and isinstance(hint, type):
        return settings_of(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return one_of(*hint)
    of = get_args(hint)
    if get_origin(hint) is UnionType and type(None) in of:
        (item,) = (item for item in of if item is not type(None))
        return optional(_kind_of(item))
    if get_origin(hint) is list:
        return list_of(_kind_of(of[0]))
    if get_origin(hint) is dict and of[0] is str:
        return map_of(_kind_of(of[1]))
    raise TypeError(f"{hint} has no kind: say one, Annotated[..., kind]")


_OF_TYPES: dict[Any, Kind] = {str: text, bool: truth, int: whole(), float: number, Any: anything}


def plain(value: Any, key: str) -> None:
    """Take a tree of mappings, lists, texts, finite numbers, true, false and null that is neither deep nor endless."""
    waiting, seen = [(value, key, 0)], 0
    while waiting:
        item, name, depth = waiting.pop()
        seen += 1
        if depth > MOST_DEEP or seen > MOST_VALUES:
            raise Mismatch(f"{key}: expected at most {MOST_DEEP} levels and {MOST_VALUES:,} values".removeprefix(": "))
        if isinstance(item, Mapping):
            for inner, content in item.items():
                if not isinstance(inner, str | int):
                    raise mismatch(name, "keys that are text", inner)
                waiting.append((content, f"{name}.{inner}".lstrip("."), depth + 1))
        elif isinstance(item, list | tuple):
            waiting.extend((content, name, depth + 1) for content in item)
        elif isinstance(item, str):
            text(item, name)
        elif item is not None and not isinstance(item, bool):
            number(item, name)
