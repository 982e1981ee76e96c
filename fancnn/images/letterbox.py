"""Where an image lies in a network's input when it keeps its shape; no torch, since a line's computer asks, too."""

from fractions import Fraction


def placed(size: tuple[int, int], out: tuple[int, int], reduce: int | None = None) -> tuple[int, int, int, int]:
    """Return the top, left, height and width of an image that is made as large as `out` allows, and lies in its middle.

    Args:
        size: Height and width of the image, pixels.
        out: Of the input.
        reduce: Makes the image that much smaller instead, where `out` allows that; one that has the size of `out` was
            reduced before.

    Example:
        >>> placed((200, 100), (80, 80))
        (0, 20, 80, 40)
        >>> placed((100, 60), (80, 80), reduce=2)
        (15, 25, 50, 30)
    """
    height, width = _inner_size(size, out, reduce)
    return (out[0] - height) // 2, (out[1] - width) // 2, height, width


def reduced_size(size: tuple[int, int], reduce: int) -> tuple[int, int]:
    """Return height and width of an image that is reduced by a whole number, pixels."""
    return max(round(Fraction(size[0], reduce)), 1), max(round(Fraction(size[1], reduce)), 1)


def _inner_size(size: tuple[int, int], out: tuple[int, int], reduce: int | None) -> tuple[int, int]:
    (height, width), (out_height, out_width) = size, out
    if reduce is not None and size != out:
        smaller = reduced_size(size, reduce)
        if smaller[0] <= out_height and smaller[1] <= out_width:
            return smaller
    if out_height * width >= out_width * height:  # the width is what limits it
        return min(max(round(Fraction(height * out_width, width)), 1), out_height), out_width
    return out_height, min(max(round(Fraction(width * out_height, height)), 1), out_width)
