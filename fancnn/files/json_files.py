"""The one way in and out for JSON: bounded, and refused in words wherever it is not what it should be.

UTF-8 with or without a byte-order mark; an object; each key once; numbers that are finite and, where whole, of 64 bits;
not nested deeper than `fancnn.files.plain_data.MOST_DEEP`; not larger than `MOST_BYTES`. A version is a whole number
from 1.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fancnn.errors import UserError
from fancnn.files.atomic_files import atomic_text
from fancnn.files.plain_data import LARGEST, Mismatch, plain, shown
from fancnn.files.regular_files import read_regular

MOST_BYTES = 64 * 2**20  # of a file: the largest that the program writes, looks at a million images, has some 30 MB


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Read a file that holds one object.

    Args:
        path: Of the file.
        expected: What it should be, for messages.

    Raises:
        UserError: If it is missing, cannot be read, or is damaged, naming the file.
    """
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}. Expected {expected}") from error
    try:
        return parsed_json(content)
    except Mismatch as error:
        raise UserError(f"cannot read {path}: it is damaged: {error}. Expected {expected}") from error


def write_json(path: Path, content: Mapping[str, Any], indent: int = 2) -> None:
    """Write an object in the place of an earlier file.

    Raises:
        UserError: If the folder cannot be written.
        ValueError: If a number is NaN or infinite.
    """
    with atomic_text(path) as file:
        json.dump(content, file, indent=indent, allow_nan=False)
        file.write("\n")


def parsed_json(content: bytes | str) -> dict[str, Any]:
    """Return the object that a text of JSON holds.

    Raises:
        Mismatch: With what is wrong, in words.

    Example:
        >>> parsed_json(b'{"version": 1}')
        {'version': 1}
        >>> parsed_json('{"rate": 1e400}')
        Traceback (most recent call last):
        fancnn.files.plain_data.Mismatch: expected finite numbers, not 1e400
    """
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content.removeprefix("\ufeff")
        document = json.loads(
            text,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
            object_pairs_hook=_object,
        )
    except Mismatch:
        raise
    except UnicodeDecodeError as error:
        raise Mismatch("expected text in UTF-8") from error
    except RecursionError as error:
        raise Mismatch("expected objects that are not nested so deep") from error
    except ValueError as error:
        raise Mismatch(f"expected JSON ({error})") from error
    plain(document, "")
    if not isinstance(document, dict):
        raise Mismatch(f"expected an object, not {shown(document)}")
    return document


def version_of(document: Mapping[str, Any], latest: int, place: str) -> int:
    """Return the format version of a file.

    Raises:
        UserError: If it is no whole number from 1, or later than `latest`.
    """
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise UserError(f"{place} is damaged: version: expected a whole number from 1, got {shown(version)}")
    if version > latest:
        raise UserError(f"{place} has format version {version}; this fancnn reads up to {latest}: update it")
    return version


def _constant(name: str) -> float:
    raise Mismatch(f"expected finite numbers, not {name}")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Mismatch(f"expected finite numbers, not {digits[:20]}")
    return value


def _int(digits: str) -> int:
    if len(digits) > 20 or abs(value := int(digits)) > LARGEST:
        raise Mismatch(f"expected whole numbers of 64 bits, not {digits[:20]}")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise Mismatch(f"expected each key once, and {shown(name)} stands there again")
    return read
