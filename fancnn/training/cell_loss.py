"""What a network learns that judges an image cell by cell: which cells hold a defect, as far as that is known."""

import torch.nn.functional as F
from torch import Tensor

HOTTEST = 3  # cells of a real NG image that are taken for its defect
HARDEST = 64  # cells without a defect, of each image, that the network is surest to be NG
COVERED = 0.1  # share of a cell from which on it holds a defect; the cell that a small one covers most does, too


def cell_loss(cells: Tensor, ng: Tensor, masks: Tensor) -> Tensor:
    """Return the mean cross-entropy of cells, those with a defect as heavy as those without.

    On a good image every cell is known to be good, and the hardest count: the others are learnt in no time. On an image
    with planted defects it is known where these are; cells that they only touch do not count. On a real NG image
    somewhere must be a defect, and the hottest cells are taken for it (multiple-instance learning).

    Args:
        cells: `(batch, rows, columns)` logits.
        ng: `(batch,)` shares of NG: 0 for GO, 1 for NG. Images in between do not count.
        masks: `(batch, height, width)` booleans: planted defects.
    """
    loss = cells.float().sum() * 0
    planted = masks.flatten(1).any(1)
    known = (ng == 0) | planted
    if known.any():
        loss = loss + _of_known(cells[known].float(), masks[known])
    real = (ng == 1) & ~planted
    if real.any():
        hottest = cells[real].float().flatten(1).topk(min(HOTTEST, cells[0].numel()), 1).values
        loss = loss + F.softplus(-hottest).mean()
    return loss


def _of_known(cells: Tensor, masks: Tensor) -> Tensor:
    covered = F.adaptive_avg_pool2d(masks.float()[:, None], (cells.shape[1], cells.shape[2]))
    most = covered == F.max_pool2d(covered, 3, 1, 1)
    defective = ((covered >= COVERED) | (most & (covered > 0)))[:, 0]
    clean = (F.max_pool2d(covered, 3, 1, 1) == 0)[:, 0]
    of_clean = F.softplus(cells).masked_fill(~clean, 0).flatten(1)
    loss = of_clean.topk(min(HARDEST, of_clean.shape[1]), 1).values.mean()
    return loss + F.softplus(-cells[defective]).mean() if defective.any() else loss
