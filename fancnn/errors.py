"""The exceptions for mistakes a user can mend, and how a way out is written."""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import TypeVar

from fancnn.plurals import plural

T = TypeVar("T")
NOT_FINITE = "no decision: the network's output is not a finite number"
MOST_NAMED = 3


def argument(key: str, value: object) -> str:
    """Return `key=value` as it can be pasted into a shell, with the quotes that Hydra wants inside the shell's.

    Example:
        >>> print(argument("run", "outputs/train/a"), argument("run", "my runs/a"))
        run=outputs/train/a 'run="my runs/a"'
    """
    text = str(value)
    plain = re.fullmatch(r"[\w./-]+", text, re.ASCII) and re.search(r"[A-Za-z]", text)
    if plain and not re.fullmatch(r"true|false|null|[+-]?(nan|inf)|[+-]?[\d._]+e[+-]?[\d_]+", text, re.IGNORECASE):
        return f"{key}={text}"
    return shlex.quote(f"{key}={quoted(text)}")  # else another kind of value, or none


def quoted(text: str) -> str:
    """Return a text as Hydra's grammar quotes it: backslashes count where a quote follows; ${ would be filled in."""
    escaped = re.sub(r'(\\*)("|$)', lambda match: 2 * match[1] + match[2].replace('"', r"\""), text)
    return '"' + escaped.replace("${", r"\${") + '"'


class UserError(ValueError):
    """A mistake in data, configuration or a file, described in words.

    The text says what was expected, what came, where, and the way out. Commands print it without a
    traceback and exit with 1; in Python it is an ordinary `ValueError`.
    """


class CollectedError(UserError):
    """Mistakes that were found together, each on a line of its own.

    Args:
        texts: Of each, two or more.

    Attributes:
        texts: As given.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__("\n".join([f"{len(texts)} mistakes:", *(f"  {text}" for text in texts)]))
        self.texts = list(texts)


class Collector:
    """Runs checks and keeps the mistakes that they find; see `collected`."""

    def __init__(self) -> None:
        self.errors: list[UserError] = []
        self.absent: AttributeError | None = None

    def __call__(self, check: Callable[[], T]) -> T | None:
        """Run `check`; return what it returns, and None if it found a mistake.

        A setting that could not be read (a value of the wrong type) is absent from its dataclass: a check that needs
        it is passed over, since its mistake is known.
        """
        try:
            return check()
        except (UserError, AttributeError) as error:
            self.keep(error)
        return None

    def keep(self, error: UserError | AttributeError) -> None:
        """Keep a mistake, or that a setting is absent; raise what is neither."""
        if isinstance(error, UserError):
            self.errors.append(error)
        elif is_dataclass(error.obj) and error.name in {field.name for field in fields(error.obj)}:
            self.absent = error
        else:
            raise error

    @property
    def texts(self) -> list[str]:
        """Return what is wrong, each mistake once: not of a key and of what refers to it, too."""
        texts = dict.fromkeys(text for error in self.errors for text in getattr(error, "texts", [str(error)]))
        return [text for text in texts if text.partition(": ")[2] not in texts]


@contextmanager
def collected() -> Iterator[Collector]:
    """Run several checks and raise all their mistakes together at the end of the block.

    Raises:
        UserError: The one mistake as it was raised, or several as `CollectedError`.

    Example:
        >>> def refuse(text):
        ...     raise UserError(text)
        >>> with collected() as check:
        ...     check(lambda: refuse("a=0 should be above 0"))
        ...     check(lambda: refuse("b=9 should be below 9"))
        Traceback (most recent call last):
        fancnn.errors.CollectedError: 2 mistakes:
          a=0 should be above 0
          b=9 should be below 9
    """
    check = Collector()
    try:
        yield check
    except (UserError, AttributeError) as error:  # raised in the block itself, which ends there
        check.keep(error)
    if len(check.texts) > 1:
        raise CollectedError(check.texts)
    if check.errors:
        raise check.errors[0]
    if check.absent:  # a mistake of the block around this one
        raise check.absent


@contextmanager
def under(key: str) -> Iterator[None]:
    """Put a key before the errors of values below it; what knows no configuration names its own arguments.

    Raises:
        UserError: For each `ValueError`.

    Example:
        >>> with under("data"):
        ...     raise ValueError("batch_size=0 should be 1 or more")
        Traceback (most recent call last):
        fancnn.errors.UserError: data.batch_size=0 should be 1 or more
    """
    try:
        yield
    except CollectedError as error:
        raise CollectedError([f"{key}.{text}" for text in error.texts]) from error
    except ValueError as error:
        raise UserError(f"{key}.{error}") from error


class NotFiniteError(UserError):
    """An output of the network that is NaN or infinite: there is no decision on that image.

    Args:
        images: Places among the scored images, from 0, or names of the images without a decision.
        count: How many were scored.

    Attributes:
        images: As given.

    Example:
        >>> str(NotFiniteError(["NG/7.png"], 20)).partition(". ")[0]
        "no decision: the network's output is not a finite number for 1 of 20 images (NG/7.png)"
    """

    def __init__(self, images: Sequence[int | str], count: int) -> None:
        named = ", ".join(name if isinstance(name, str) else f"image {name}, from 0" for name in images[:MOST_NAMED])
        more = f" and {len(images) - MOST_NAMED} more" if len(images) > MOST_NAMED else ""
        super().__init__(
            f"{NOT_FINITE} for {len(images)} of {plural(count, 'image')} ({named}{more}). The model's weights "
            "or its file are "
            "damaged: train it or export it again"
        )
        self.images = list(images)
