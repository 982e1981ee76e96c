"""Where each training image is likeliest to have a defect, looked for now and then on whole images."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from fancnn.data.datamodule import ImageDataModule
from fancnn.model import Model
from fancnn.networks.cell_network import cell_network


class WindowSearch(pl.Callback):
    """Gives the windows of a training the places where the network is surest of a defect.

    It looks before a validation, as that scores the network: with averaged weights where there are some. A run that is
    resumed has the places of its checkpoint.

    Args:
        warm_up: Epochs before the first search.
        every: Epochs from one search to the next.
    """

    def __init__(self, warm_up: int, every: int) -> None:
        self.next, self.every = warm_up, every
        self.places: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"next": self.next, "places": self.places}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.next, self.places = state_dict["next"], state_dict["places"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._give(trainer)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch + 1 >= self.next and trainer.is_last_batch:
            data: Any = trainer.datamodule  # type: ignore[attr-defined]  # set by fit
            self.next = trainer.current_epoch + 1 + self.every
            self.places = hottest_places(pl_module.model, data)  # type: ignore[arg-type]  # any module, for mypy
            self._give(trainer)

    def _give(self, trainer: pl.Trainer) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]  # set by fit
        data.windows.places = self.places


@torch.no_grad()
def hottest_places(model: Model, data: ImageDataModule) -> Tensor:
    """Return where each training image has its hottest cell, `(n, 2)` row and column in pixels of the network's size.

    Args:
        model: In evaluation mode, with a network that judges cell by cell.
        data: After `setup`.
    """
    network = cell_network(model.network)
    assert network is not None  # as the configuration's check has seen to
    places = []
    with torch.autocast(model.device.type, enabled=False):
        for images, _ in data.in_order("train"):
            _, cells = network.logits_and_cells(model.preprocess(images.to(model.device)))
            rows, columns = cells.shape[1:]
            hottest = cells.flatten(1).argmax(1).cpu()
            middle = torch.stack([hottest // columns, hottest % columns], 1) + 0.5
            places.append(middle * torch.tensor(model.preprocess.image_size) / torch.tensor([rows, columns]))
    return torch.cat(places)
