"""Any network of the package timm, which is imported only where one is made."""

import difflib
import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from fancnn.decisions.backbone import PLAIN_MEAN, PLAIN_STD, Backbone
from fancnn.networks.layers import too_small, validate_widths
from fancnn.networks.pretrained_weights import PRETRAINED, downloaded, fill, last_layers, read_weights
from fancnn.settings.validation import validate_normalisation


class TimmNet(nn.Module):
    r"""A network of timm (PyTorch Image Models, Wightman 2019) with one logit per image.

    Weights are random as timm draws them, read from a file, or those that timm knows, which alone are downloaded.

    Args:
        image_size: Height and width of the images, pixels.
        name: As in `timm.list_models()`, or with a tag as in `timm.list_pretrained()`.
        weights: A `.safetensors` file of weights for that network, or `pretrained` for those that timm has of it, from
            the cache or the Hugging Face hub; a last layer for another number of classes is passed over. None
            starts at random.
        mean: That was subtracted from the images which a file has learnt from, scaled to [0, 1]; None where that is
            what timm says of the name.
        std: That they were divided by, likewise.
        outputs: Logits for each image.

    Attributes:
        backbone: Where the weights come from, and what they have learnt with; None where they are random.

    Shape:
        - Input: `(batch, 3, height, width)`, float, as `Preprocess` returns it.
        - Output: `(batch,)`, float. A logit: its sigmoid is P(NG). With k > 1 outputs `(batch, k)`.

    Raises:
        ValueError: If timm is not installed or has no such network, if images of that size do not go through it,
            or if the weights cannot be had or read, or belong to another network.
    """

    def __init__(
        self,
        image_size: Sequence[int],
        name: str = "resnet18",
        weights: str | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        *,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        _validate_stated(weights, mean, std)
        validate_widths(outputs=[outputs])
        self.network = _created(_timm(), name, image_size, outputs)
        self.outputs = outputs
        _validate_passes(self.network, name, image_size)
        self.backbone = None if weights is None else _taught(self.network, name, weights, mean, std)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits.squeeze(1) if self.outputs == 1 else logits

    @property
    def last_layers(self) -> tuple[str, ...]:
        """Return how the names of the layers begin that give the logits."""
        return tuple(f"network.{name}" for name in last_layers(self.network))

    def layer_depths(self) -> dict[str, int]:
        """Return how deep each weight lies, by its name: 0 in the stem, one more a block, most in the last layer.

        As timm groups them for rates by layer; empty where it does not say.
        """
        matcher: Any = getattr(self.network, "group_matcher", None)
        if matcher is None:
            return {}
        group: Any = importlib.import_module("timm.models").group_parameters
        depths: dict[str, int] = group(self.network, matcher(coarse=False), reverse=True)
        return {f"network.{name}": depth for name, depth in depths.items()}

    def feature_map(self, images: Tensor) -> Tensor:
        """Return timm's `forward_features`, `(batch, channels, rows, columns)`; pretraining learns these layers.

        Raises:
            ValueError: If it gives something else, as transformers do.
        """
        features: Tensor = self.network.forward_features(images)  # type: ignore[operator]
        if features.ndim != 4 or features.shape[1] != self.network.num_features:
            raise ValueError(
                f"features of shape {tuple(features.shape[1:])} are no map (channels, rows, columns): take a "
                "convolutional network of timm's"
            )
        return features


def _timm() -> ModuleType:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ValueError(f'networks of timm need the package timm ({error}): pip install "fancnn[timm]"') from error


def _created(timm: ModuleType, name: str, image_size: Sequence[int], outputs: int) -> nn.Module:
    known: list[str] = timm.list_models()
    if name.partition(".")[0] not in known:  # names with a place in them, hf-hub:..., would be downloaded
        near = difflib.get_close_matches(name, known, n=3) or [known[0], known[-1]]
        raise ValueError(f"name={name!r} is none of timm's {len(known)} networks. Near: {', '.join(near)}")
    options: dict[str, Any] = {"pretrained": False, "in_chans": 3, "num_classes": outputs}
    try:  # those made for one size, transformers above all, have to be given it
        network: nn.Module = timm.create_model(name, img_size=tuple(image_size), **options)
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        network = timm.create_model(name, **options)
    except RuntimeError as error:
        if "pretrained tag" not in str(error):
            raise
        tags = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}.*")) or "none"
        raise ValueError(f"name={name!r} has a tag that timm does not know. It knows: {tags}") from error
    except AssertionError as error:
        raise ValueError(f"{name} takes no images of data.image_size={list(image_size)}: {error}") from error
    return network


def _validate_passes(network: nn.Module, name: str, image_size: Sequence[int]) -> None:
    """Send an empty image through; the layer that fails tells its name and what it got."""
    got: dict[str, Sequence[int]] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, of=of: got.update({of: inputs[0].shape[2:]}))
        for of, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)
    ]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, *image_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        layer, size = list(got.items())[-1] if got else ("its start", image_size)
        why = f"{name} fails there: {str(error).splitlines()[0]}"
        raise too_small(layer, size, why, image_size, "another network") from error
    finally:
        for hook in hooks:
            hook.remove()
        network.train(was_training)


def _validate_stated(weights: str | None, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    if mean is None and std is None:
        return
    if weights is None or weights == PRETRAINED:
        of = "timm says those of its own weights" if weights else "they are of the images that weights have learnt from"
        raise ValueError(f"mean={mean} std={std} are for weights=FILE.safetensors: {of}. Leave them out")
    if mean is None or std is None:
        raise ValueError(f"mean={mean} std={std}: say both, three numbers each, or none")
    validate_normalisation(mean, std)


def _taught(
    network: nn.Module, name: str, weights: str, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Backbone:
    """Give a network the weights of a file, or timm's, and say where they come from."""
    config: dict[str, Any] = getattr(network, "pretrained_cfg", {})
    if weights == PRETRAINED:
        path, origin = downloaded(name, config)
        license, key = config.get("license"), f"weights={PRETRAINED}"
    else:
        path = Path(weights).expanduser()
        origin, license, key = path.name, None, f"weights={weights!r}"
    state, sha256 = read_weights(path, network)
    fill(network, name, state, key)
    tag = config.get("tag")
    full = f"{name}.{tag}" if weights == PRETRAINED and tag and "." not in name else name
    mean, std = mean or config.get("mean", PLAIN_MEAN), std or config.get("std", PLAIN_STD)
    return Backbone(full, origin, sha256, license, [float(value) for value in mean], [float(value) for value in std])
