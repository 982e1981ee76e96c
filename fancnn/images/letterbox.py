"""Where an image lies in a network's input when it keeps its shape; no torch, since a line's computer asks, too."""

from fractions import Fraction


def placed(size: tuple[int, int], out: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the top, left, height and width of an image that is made as large as `out` allows, and lies in its middle.

    Args:
        size: Height and width of the image, pixels.
        out: Of the input.

    Example:
        >>> placed((200, 100), (80, 80))
        (0, 20, 80, 40)
    """
    height, width = _inner_size(size, out)
    return (out[0] - height) // 2, (out[1] - width) // 2, height, width


def _inner_size(size: tuple[int, int], out: tuple[int, int]) -> tuple[int, int]:
    (height, width), (out_height, out_width) = size, out
    if out_height * width >= out_width * height:  # the width is what limits it
        return min(max(round(Fraction(height * out_width, width)), 1), out_height), out_width
    return out_height, min(max(round(Fraction(width * out_height, height)), 1), out_width)
