"""Networks and initialisers: torch only, uint8 pictures never come here, configuration neither."""

from fancnn.networks.convnet import ConvNet
from fancnn.networks.ensemble import Ensemble

__all__ = ["ConvNet", "Ensemble"]
