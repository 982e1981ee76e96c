"""Networks and initialisers: torch only, uint8 images never come here, configuration neither."""

from fancnn.networks.convnet import ConvNet
from fancnn.networks.decoder import Decoder
from fancnn.networks.ensemble_network import Ensemble
from fancnn.networks.patch_net import PatchNet
from fancnn.networks.residual import ResidualNet
from fancnn.networks.timm_net import TimmNet

__all__ = ["ConvNet", "Decoder", "Ensemble", "PatchNet", "ResidualNet", "TimmNet"]
