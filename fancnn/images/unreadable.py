"""The exception for a file that is no whole image, or a larger one than is let in."""

from fancnn.errors import UserError


class UnreadableImage(UserError):  # noqa: N818  # shown to users, as UserError is
    """A file that is no whole image. The text is the reason alone, so that callers can add the path.

    Args:
        reason: In short words.
        too_large: Whether nothing is known against the file but its size.
        unknown: Whether it is of no kind that is read.

    Attributes:
        too_large, unknown: As given.
    """

    def __init__(self, reason: str, *, too_large: bool = False, unknown: bool = False) -> None:
        super().__init__(reason)
        self.too_large, self.unknown = too_large, unknown
