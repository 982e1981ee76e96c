"""Any network of the package timm, which is imported only where one is made."""

import difflib
import importlib
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from fancnn.files.seals import validate_archive
from fancnn.networks.layers import too_small, validate_widths


class TimmNet(nn.Module):
    r"""A network of timm (PyTorch Image Models, Wightman 2019) with one logit per image.

    Nothing is ever downloaded: weights are random as timm draws them, or read from a file.

    Args:
        image_size: Height and width of the images, pixels.
        name: As in `timm.list_models()`.
        weights: A file of weights (`.safetensors`, or a torch file of plain tensors) for that network; a last layer
            for another number of classes in it is passed over. None starts at random.
        outputs: Logits for each image.

    Shape:
        - Input: `(batch, 3, height, width)`, float, as `Preprocess` returns it.
        - Output: `(batch,)`, float. A logit: its sigmoid is P(NG). With k > 1 outputs `(batch, k)`.

    Raises:
        ValueError: If timm is not installed or has no such network, if images of that size do not go through it,
            or if the weights cannot be read or belong to another network.
    """

    def __init__(
        self, image_size: Sequence[int], name: str = "resnet18", weights: str | None = None, *, outputs: int = 1
    ) -> None:
        super().__init__()
        validate_widths(outputs=[outputs])
        self.network = _created(_timm(), name, image_size, outputs)
        self.outputs = outputs
        _validate_passes(self.network, name, image_size)
        if weights is not None:
            _fill(self.network, name, Path(weights).expanduser())

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits.squeeze(1) if self.outputs == 1 else logits

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


def _fill(network: nn.Module, name: str, path: Path) -> None:
    """Read weights; all but those of the last layer must be there and fit."""
    given, own = _read(path), network.state_dict()
    last = _last_layer(network)
    fitting = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
    wrong = [key for key in {*given, *own} - set(fitting) if not key.startswith(last)]
    if wrong:
        raise ValueError(
            f"weights={str(path)!r} are of another network than {name}: {len(wrong)} of its {len(own)} tensors are "
            f"missing, unknown or of another shape, first {min(wrong)}"
        )
    network.load_state_dict(fitting, strict=False)


def _last_layer(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the layers that give the logits, with their dot."""
    names = getattr(network, "default_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            state: Any = importlib.import_module("safetensors.torch").load_file(path)
        else:
            if zipfile.is_zipfile(path):  # else an older kind of torch file, which has no checksums
                with path.open("rb") as file:
                    validate_archive(file)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        OSError,
        zipfile.BadZipFile,
        RuntimeError,
        ValueError,
        EOFError,
        pickle.UnpicklingError,
        ImportError,
    ) as error:
        what = "is no file" if not path.is_file() else f"cannot be read: {str(error).splitlines()[0]}"
        raise ValueError(f"weights={str(path)!r} {what}. Expected .safetensors or a torch file of tensors") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "safetensors":
            raise
        raise ValueError(f"weights={str(path)!r} is no sound .safetensors file: {error}") from error
    for key in ("state_dict", "model"):  # how trainings wrap it
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"weights={str(path)!r} holds no mapping of names to tensors")
    return state
