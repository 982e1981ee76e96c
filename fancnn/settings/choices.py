"""The words that a key may have where it has only a few; files keep them as plain text.

OmegaConf takes the member of an enumeration by its name, so each is called what it is in a configuration.
"""

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from typing import Any, Self, get_args, get_type_hints

from fancnn.errors import UserError, collected


class Choice(StrEnum):
    """One of a few words.

    Example:
        >>> Resize("pad") == "pad", f"{Resize.pad}"
        (True, 'pad')
        >>> Resize("crop")
        Traceback (most recent call last):
        ValueError: 'crop' is none of squash, pad
    """

    @classmethod
    def of(cls, key: str, value: object) -> Self:
        """Return the member that a value is; `key` is what messages call it.

        Raises:
            UserError: If it is none.
        """
        try:
            return cls(value)  # type: ignore[arg-type]  # it refuses what is no text
        except ValueError as error:
            raise UserError(f"{key}={error}") from None

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ValueError(f"{value!r} is none of {', '.join(cls)}")

    def __repr__(self) -> str:
        return repr(self.value)


class SplitName(Choice):
    train = "train"
    val = "val"
    test = "test"


class Resize(Choice):
    squash = "squash"
    pad = "pad"


class Background(Choice):
    white = "white"
    black = "black"


class Normalization(Choice):
    none = "none"
    image = "image"
    local = "local"


class SplitMethod(Choice):
    stratified = "stratified"
    ordered = "ordered"
    grouped = "grouped"
    hashed = "hashed"


class PartLabels(Choice):
    same = "same"
    any_ng = "any_ng"


class OnBadFile(Choice):
    error = "error"
    skip = "skip"


class Sampler(Choice):
    shuffled = "shuffled"
    balanced = "balanced"
    undersampled = "undersampled"


class LabelMode(Choice):
    binary = "binary"
    softmax = "softmax"
    defect_types = "defect_types"


class OutputBias(Choice):
    balanced = "balanced"


class CalibrationMethod(Choice):
    auto = "auto"
    none = "none"
    temperature = "temperature"
    platt = "platt"
    isotonic = "isotonic"


class DecisionRule(Choice):
    fixed = "fixed"
    f1 = "f1"
    cost = "cost"
    escape = "escape"
    overkill = "overkill"


class ImageFormat(Choice):
    JPEG = "JPEG"
    PNG = "PNG"
    BMP = "BMP"
    TIFF = "TIFF"
    WEBP = "WEBP"
    PPM = "PPM"
    GIF = "GIF"


class ClaimUnit(Choice):
    part = "part"
    group = "group"


def choices_of(schema: type) -> dict[str, type[Choice]]:
    """Return the choices of those fields of a dataclass that have some, also where they are optional or listed."""
    hints = get_type_hints(schema).items()
    return {name: choice for name, hint in hints if (choice := choice_in(hint)) is not None}


def choice_in(hint: Any) -> type[Choice] | None:
    """Return the choice that a type is, or is a list of, or is besides None."""
    kinds = [hint, *get_args(hint), *(inner for kind in get_args(hint) for inner in get_args(kind))]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Choice)), None)


def validate_choices(settings: Any) -> None:
    """Make the words in a dataclass of settings members of their fields' types.

    Raises:
        UserError: If one is none of its choices.
    """
    with collected() as check:
        for name, choice in choices_of(type(settings)).items():
            check(partial(_choose, settings, name, choice))


def _choose(settings: Any, name: str, choice: type[Choice]) -> None:
    value = getattr(settings, name)
    if value is not None:
        several = isinstance(value, list)
        setattr(settings, name, [choice.of(name, item) for item in value] if several else choice.of(name, value))


def to_dict(settings: Any) -> dict[str, Any]:
    """Return a dataclass of settings as plain data, words as text, for a file.

    Example:
        >>> from fancnn.settings.groups import FreezeSettings
        >>> to_dict(FreezeSettings(layers=2))
        {'layers': 2, 'until_epoch': None}
    """
    plain: dict[str, Any] = words_as_text(asdict(settings))
    return plain


def words_as_text(tree: Any) -> Any:
    """Return a tree of mappings, lists and values for a file: a checkpoint that held a member could not be loaded.

    Example:
        >>> words_as_text({"split": SplitName.val, "seen": [SplitName.test, 1]})
        {'split': 'val', 'seen': ['test', 1]}
    """
    if isinstance(tree, Mapping):
        return {key: words_as_text(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(words_as_text(value) for value in tree)
    return tree.value if isinstance(tree, Choice) else tree
