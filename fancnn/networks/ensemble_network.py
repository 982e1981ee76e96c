"""Several networks as one: the mean of their probabilities."""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fancnn.decisions.calibration import Calibration
from fancnn.networks.cell_network import CellLogits, cell_network
from fancnn.networks.outputs import logit_of_ng


class Ensemble(nn.Module):
    r"""The logit of the mean probability of the members, each calibrated for itself (Lakshminarayanan et al. 2017).

    Args:
        members: Networks that take the same images and give a logit each, or several.
        calibrations: Of each member, as `Calibration.to_dict` gives them.
        outputs: 1, or where each member has k, k: then the likeliest type is that of the mean, too.

    Shape:
        - Input: `(batch, 3, height, width)`, float.
        - Output: `(batch,)`, float. A logit: its sigmoid is the mean of the members' P(NG). With k > 1 outputs
          `(batch, k)`: logs of the mean probabilities of GO and each kind of NG.

    Raises:
        ValueError: If there is no member, not a calibration for each, or one has another number of outputs.

    Example:
        >>> one, other = nn.Flatten(0), nn.Flatten(0)
        >>> plain = {"logits": [0.0], "calibrated": [0.0], "slope": 1.0, "method": "none"}
        >>> Ensemble([one, other], [plain, plain])(torch.tensor([[3.0]])).item()
        3.0
    """

    def __init__(
        self, members: Sequence[nn.Module], calibrations: Sequence[Mapping[str, Any]], *, outputs: int = 1
    ) -> None:
        super().__init__()
        if not members or len(members) != len(calibrations):
            raise ValueError(f"{len(members)} members and {len(calibrations)} calibrations: expected one for each")
        if outputs > 1 and any(getattr(member, "outputs", 1) != outputs for member in members):
            raise ValueError(f"outputs={outputs}: expected members with as many outputs each")
        self.outputs = outputs
        self.members = nn.ModuleList(members)
        self.calibrations = nn.ModuleList(Calibrate(Calibration.from_dict(plain)) for plain in calibrations)

    @property
    def has_cells(self) -> bool:
        """Return whether all members judge by cells."""
        return all(cell_network(member) is not None for member in self.members)

    def forward(self, images: Tensor) -> Tensor:
        return self._joined([member(images) for member in self.members])

    def logits_and_cells(self, images: Tensor) -> CellLogits:
        """Return the logits of the images, as `forward`, and those of the mean probability of each cell.

        Members may have cells of other sizes: then each of the finest takes what the coarser ones say there.

        Raises:
            ValueError: If a member has no cells.
        """
        networks = [network for member in self.members if (network := cell_network(member)) is not None]
        if len(networks) < len(self.members):
            raise ValueError("a member of the ensemble has no cells")
        judged = [network.logits_and_cells(images) for network in networks]
        rows, columns = (max(of_member.cells.shape[side] for of_member in judged) for side in (1, 2))
        cells = torch.stack([_as_fine(of_member.cells, rows, columns) for of_member in judged])
        mean = torch.logsumexp(_log_sigmoid(cells), 0) - torch.logsumexp(_log_sigmoid(-cells), 0)
        return CellLogits(self._joined([of_member.logits for of_member in judged]), mean)

    def _joined(self, outputs: Sequence[Tensor]) -> Tensor:
        pairs = zip(outputs, self.calibrations, strict=True)
        logits = torch.stack([calibrate(logit_of_ng(of_member)) for of_member, calibrate in pairs])  # (members, batch)
        # log of p / (1 - p) for the mean p, in logarithms: certain members do not round to certainty
        go, ng = torch.logsumexp(_log_sigmoid(-logits), 0), _log_sigmoid(logits)
        if self.outputs == 1:
            return torch.logsumexp(ng, 0) - go
        shares = torch.stack([F.log_softmax(of_member[:, 1:], 1) for of_member in outputs])  # given NG
        kinds = torch.logsumexp(ng[..., None] + shares, 0)  # (batch, k - 1)
        return torch.cat([go[:, None], kinds], 1) - log(len(outputs))


def _as_fine(cells: Tensor, rows: int, columns: int) -> Tensor:
    if tuple(cells.shape[1:]) == (rows, columns):
        return cells
    return F.interpolate(cells[:, None], size=(rows, columns), mode="nearest")[:, 0]


def _log_sigmoid(logits: Tensor) -> Tensor:
    """Compute `F.logsigmoid` by exact operations: runtimes take the log of a sigmoid that has become 0."""
    return logits.clamp(max=0) - torch.log1p(torch.exp(-logits.abs()))


class Calibrate(nn.Module):
    """`Calibration.apply` for tensors of any shape, in operations that every runtime has; the knots are no weights."""

    knots: Tensor
    widths: Tensor
    rises: Tensor
    lowest: Tensor

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        knots, values = np.array(calibration.logits), np.array(calibration.calibrated)
        known = {"knots": knots, "widths": np.diff(knots), "rises": np.diff(values), "lowest": values[0]}
        for name, numbers in known.items():
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.float32), persistent=False)
        self.slope = calibration.slope

    def forward(self, logits: Tensor) -> Tensor:
        beyond = self.slope * (logits - logits.clamp(self.knots[0], self.knots[-1]))
        if len(self.knots) == 1:
            return self.lowest + beyond
        shares = (logits[..., None] - self.knots[:-1]) / self.widths  # how far it has come on each piece of the line
        return self.lowest + (shares.clamp(0, 1) * self.rises).sum(-1) + beyond
