"""The exceptions for mistakes a user can mend."""

from collections.abc import Sequence

NOT_FINITE = "no decision: the network's output is not a finite number"
MOST_NAMED = 3


class UserError(ValueError):
    """A mistake in data, configuration or a file, told in words.

    The text says what was expected, what came, where, and the way out. Commands print it without a
    traceback and exit with 1; in Python it is an ordinary `ValueError`.
    """


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
            f"{NOT_FINITE} for {len(images)} of {count} images ({named}{more}). The model's weights or its file are "
            "damaged: train it or export it anew"
        )
        self.images = list(images)
