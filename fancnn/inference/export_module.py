"""A model as one graph: from uint8 images of any size to calibrated P(NG)."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from fancnn.inference.triangle_resize import TriangleResize
from fancnn.model import Model
from fancnn.networks.cell_network import judged
from fancnn.networks.ensemble_network import Calibrate
from fancnn.networks.outputs import logit_of_ng


class ExportModule(nn.Module):
    """All of a model that decides, with nothing left to its caller but to compare with thresholds.

    Args:
        model: Copied; itself it stays as it is.

    Shape:
        - Input: `(batch, any height, any width, 3)`, uint8, RGB: as cameras and decoders give images.
        - Output: as `fancnn.inference.export_metadata` lists them: probability, logit, pixels, with types type_shares,
          and cells where the network judges by them.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.resize = TriangleResize(model.preprocess)
        self.preprocess = deepcopy(model.preprocess).cpu()
        self.network = deepcopy(model.network).cpu().to(memory_format=torch.contiguous_format).eval()
        self.calibrate = Calibrate(model.calibration)
        self.has_types = model.has_types

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        pixels = self.resize(images)
        outputs, cells = judged(self.network, self.preprocess.normalised(pixels / 255))
        logit = logit_of_ng(outputs)
        tensors: tuple[Tensor, ...] = (torch.sigmoid(self.calibrate(logit)), logit, pixels)
        if self.has_types:
            tensors += (torch.softmax(outputs[:, 1:], 1),)
        return tensors if cells is None else (*tensors, torch.sigmoid(cells))
