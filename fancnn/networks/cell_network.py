"""Networks that judge an image cell by cell: what they give besides logits, and which networks do."""

from typing import NamedTuple, Protocol, cast

from torch import Tensor, nn


class CellLogits(NamedTuple):
    """What a network makes of images.

    Attributes:
        logits: `(batch,)`, of the images; with k > 1 outputs `(batch, k)`.
        cells: `(batch, rows, columns)`, of their cells, which cover the input evenly.
    """

    logits: Tensor
    cells: Tensor


class CellNetwork(Protocol):
    """A network that gives the logit of NG of each cell in the same pass as those of the image.

    One that has the method and yet no cells, as an ensemble of networks without any, says so by `has_cells`.
    """

    def logits_and_cells(self, images: Tensor) -> CellLogits: ...


def cell_network(network: nn.Module) -> CellNetwork | None:
    """Return a network as one that judges by cells; None where it is none.

    Example:
        >>> cell_network(nn.Flatten()) is None
        True
    """
    if not callable(getattr(network, "logits_and_cells", None)) or not getattr(network, "has_cells", True):
        return None
    return cast("CellNetwork", network)


def judged(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the outputs of a network, and in the same pass the logits of its cells if it judges by cells."""
    by_cells = cell_network(network)
    return (network(images), None) if by_cells is None else by_cells.logits_and_cells(images)
