"""What images without labels can teach: to rebuild an image, or to recognize how it was turned.

A task holds the network under `network` and what only pretraining needs beside it. Its `per_image_scores` takes images
scaled to [0, 1], as augmentation gives them, and gives `(batch,)` values of each image by name; `loss` is learnt.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fancnn.errors import UserError
from fancnn.images.preprocess import Preprocess
from fancnn.networks import Decoder


class Autoencoder(nn.Module):
    r"""The network's feature map, and a decoder that rebuilds the image from it (Hinton and Salakhutdinov 2006).

    What it is shown in training is noisy and what it should give is not (Vincent et al. 2008): a feature map with
    more values than the image, as that of `model=basic`, could otherwise pass the pixels on and learn nothing.

    Args:
        network: Has a `feature_map`.
        preprocess: Of the network.
        noise: Standard deviation of what is added to the images shown in training, 1 being white; 0 adds nothing.

    Shape:
        - Input: `(batch, 3, any height, any width)`, uint8.
        - Output: `(batch, 3, *image_size)`, float: the images rebuilt, scaled to [0, 1].

    Raises:
        UserError: If the network has no feature map.
        ValueError: If `noise` is negative.
    """

    scores: tuple[str, ...] = ()

    def __init__(self, network: nn.Module, preprocess: Preprocess, noise: float = 0.1) -> None:
        super().__init__()
        if noise < 0:
            raise ValueError(f"noise={noise} should be 0 (none) or above, e.g. 0.1: a tenth of the way to white")
        channels, *size = map_shape(network, preprocess)
        self.network, self.preprocess, self.noise = network, preprocess, noise
        self.decoder = Decoder(channels, size, preprocess.image_size)

    def forward(self, images: Tensor) -> Tensor:
        return self.reconstruct(self.preprocess.scaled(images))

    def reconstruct(self, pixels: Tensor) -> Tensor:
        rebuilt: Tensor = self.decoder(_features(self.network, self.preprocess.normalised(pixels)))
        return rebuilt

    def per_image_scores(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return `loss`: the mean squared error over the pixels of each image."""
        shown = pixels
        if self.training and self.noise:  # the same to red, green and blue, so that grey images stay grey
            shown = pixels + self.noise * torch.randn_like(pixels[:, :1])
        error = self.reconstruct(shown).float() - pixels
        return {"loss": error.square().mean((1, 2, 3))}


class Rotation(nn.Module):
    r"""Tells by which of four quarter turns an image was turned (Gidaris et al. 2018), from the feature map's mean.

    Each image is shown in all four, training and validation alike.

    Senseless where turns cannot be recognized, as in crops of boards and surfaces without an up: the accuracy then
    stays near 25 %. As senseless where they are seen at a glance, by a label or by light from one side: it is near
    100 % after an epoch, and little was learnt for it.

    Args:
        network: Has a `feature_map`.
        preprocess: Of the network; its images are square.

    Shape:
        - Input: `(batch, 3, any height, any width)`, uint8.
        - Output: `(batch, 4)`, float: a logit for each number of quarter turns.

    Raises:
        UserError: If the network has no feature map, or the images are not square.
    """

    scores: tuple[str, ...] = ("accuracy",)

    def __init__(self, network: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        height, width = preprocess.image_size
        if height != width:
            raise UserError(
                f"data.image_size={[height, width]}: task=rotation needs square images, since a quarter turn makes "
                f"others as wide as they were high. Take data.image_size={[height, height]}, or task=autoencoder"
            )
        self.network, self.preprocess = network, preprocess
        self.logits = nn.Linear(map_shape(network, preprocess)[0], 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify_turns(self.preprocess.scaled(images))

    def classify_turns(self, pixels: Tensor) -> Tensor:
        features = _features(self.network, self.preprocess.normalised(pixels))
        logits: Tensor = self.logits(features.mean((2, 3)))
        return logits

    def per_image_scores(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return `loss`: the cross-entropy of each image's four turns; `accuracy`: the share of them that are right."""
        turned, turns = four_turns(pixels)
        logits = self.classify_turns(turned).float()
        loss = F.cross_entropy(logits, turns, reduction="none")
        right = (logits.argmax(1) == turns).float()
        return {"loss": loss.view(4, -1).mean(0), "accuracy": right.view(4, -1).mean(0)}


def four_turns(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return square images as they are, then turned left by one, two and three quarters, as `torch.rot90` turns.

    Args:
        pixels: `(batch, 3, side, side)`.

    Returns:
        `(4 * batch, 3, side, side)` and `(4 * batch,)`, the number of quarter turns of each.
    """
    turned = torch.cat([pixels.rot90(turns, (2, 3)) for turns in range(4)])
    turns = torch.arange(4, device=pixels.device).repeat_interleave(len(pixels))
    return turned.contiguous(memory_format=torch.channels_last), turns


def map_shape(network: nn.Module, preprocess: Preprocess) -> tuple[int, ...]:
    """Return the channels, rows and columns of the network's feature map.

    Raises:
        UserError: If it has none.
    """
    was_training = network.training
    with torch.no_grad():
        features = _features(network.eval(), torch.zeros(1, 3, *preprocess.image_size))
    network.train(was_training)
    return tuple(features.shape[1:])


def learnt_layers(network: nn.Module, preprocess: Preprocess) -> list[str]:
    """Return the names of the layers that the feature map depends on: a pretext task can teach these and no others.

    Found by looking where a gradient arrives; layers are those that hold weights themselves.
    """
    wanted = {weight: weight.requires_grad for weight in network.parameters()}
    network.requires_grad_(True)  # one that was frozen by hand belongs to what was learnt on top of it
    was_training = network.training
    with torch.enable_grad():
        total = _features(network.eval(), torch.zeros(1, 3, *preprocess.image_size)).sum()
        torch.autograd.backward(total)
    reached = [name for name, layer in network.named_modules() if any(w.grad is not None for w in _own(layer))]
    network.zero_grad(set_to_none=True)
    network.train(was_training)
    for weight, learns in wanted.items():
        weight.requires_grad_(learns)
    return reached


def _own(layer: nn.Module) -> Iterator[nn.Parameter]:
    return layer.parameters(recurse=False)


def _features(network: nn.Module, pixels: Tensor) -> Tensor:
    feature_map: Any = getattr(network, "feature_map", None)
    if feature_map is None:
        raise UserError(
            f"{type(network).__name__} has no feature_map: pretraining needs a method feature_map(images) that gives "
            "(batch, channels, rows, columns), what the network sees before it becomes one vector"
        )
    features: Tensor = feature_map(pixels)
    return features
