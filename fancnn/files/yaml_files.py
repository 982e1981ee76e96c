"""The one way in for YAML of a run folder: plain values, each written out, bounded and refused in words.

Mappings, lists, texts, finite numbers, true, false and null. An alias is refused, since a few lines of them may stand
for more than fits in memory; so are tags, keys that stand twice, dates without quotes, what is nested deeper than
`fancnn.files.plain_data.MOST_DEEP`, and files larger than `MOST_BYTES`.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from fancnn.errors import UserError
from fancnn.files.plain_data import MOST_DEEP, Mismatch, plain, shown
from fancnn.files.regular_files import read_regular

MOST_BYTES = 2**20  # of a file: configurations have some 10 kB


def read_text(path: Path) -> str:
    """Read a file of text in UTF-8 as it is.

    Raises:
        UserError: If it is missing, cannot be read, is too large or no such text, naming the file.
    """
    try:
        return read_regular(path, MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeError as error:
        raise UserError(f"{path} is damaged: it is no text in UTF-8") from error


def read_yaml(path: Path) -> Any:
    """Read a file of plain values; None if it is empty.

    Raises:
        UserError: As `read_text`, or if it is more or less than plain values.
    """
    text = read_text(path)
    try:
        _validate_events(text)
        _validate_keys(yaml.compose(text, yaml.SafeLoader))
        document = yaml.safe_load(text)
        plain(document, "")
    except (ValueError, LookupError, OverflowError, yaml.YAMLError) as error:  # PyYAML's constructors raise all of them
        raise UserError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    return document


def _validate_events(text: str) -> None:
    """Refuse what plain values have no need of, before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        place = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent):
            raise Mismatch(f"expected values written out; {place} refers to another place (*{event.anchor[:20]})")
        if getattr(event, "tag", None) is not None:
            raise Mismatch(f"expected plain values; {place} has the tag {event.tag[:40]}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEEP:
            raise Mismatch(f"expected at most {MOST_DEEP} levels; {place} is nested deeper")


def _validate_keys(node: Any) -> None:
    waiting = [node]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, yaml.MappingNode):
            names = [key.value for key, _ in inner.value if isinstance(key, yaml.ScalarNode)]
            if len(set(names)) < len(names):
                name, _ = Counter(names).most_common(1)[0]
                raise Mismatch(f"expected each key once, and {shown(name)} stands there again")
            waiting += [value for _, value in inner.value]
        elif isinstance(inner, yaml.SequenceNode):
            waiting += inner.value
