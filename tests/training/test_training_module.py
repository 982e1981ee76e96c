"""What every training does: randomness that depends on seed and epoch alone, and one row of values an epoch."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, TensorDataset

from fancnn.training.quiet_lightning import quiet_lightning
from fancnn.training.schedules import Plateau, exponential_decay
from fancnn.training.training_module import TrainingModule


class Drawing(TrainingModule):
    """Draws a number in each step, and logs the mean of an epoch's."""

    def __init__(self, seed: int = 0, schedule: Any = None) -> None:
        super().__init__(
            nn.Linear(1, 1), lambda weights: torch.optim.SGD(weights, lr=1.0), schedule, None, seed, {"a": 1}
        )
        self.drawn: list[list[float]] = []
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.drawn.append([])

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.drawn[-1].append(float(torch.rand(())))
        loss: Tensor = self(batch[0]).mean() * 0
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def epoch_values(self, split: str) -> dict[str, Tensor]:
        return {f"{split}/loss": torch.tensor(2.0)}

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.rows.append({name: float(value) for name, value in self.trainer.callback_metrics.items()})


def fitted(module: Drawing, epochs: int = 3) -> pl.Trainer:
    quiet_lightning()
    batches = DataLoader(TensorDataset(torch.zeros(4, 1)), batch_size=2)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    trainer.fit(module, batches, batches)
    return trainer


def test_what_is_drawn_depends_on_seed_and_epoch_alone() -> None:
    one, same, other = Drawing(seed=1), Drawing(seed=1), Drawing(seed=2)
    for module in (one, same, other):
        torch.rand(3)  # whatever was drawn before
        fitted(module)
    assert one.drawn == same.drawn
    assert not {*map(tuple, one.drawn)} & {*map(tuple, other.drawn)}
    assert len({*map(tuple, one.drawn)}) == 3


def test_an_epochs_row_has_both_splits_and_the_rate_of_its_first_step() -> None:
    module = Drawing(schedule=lambda optimizer: exponential_decay(optimizer, epochs_per_decade=1))
    fitted(module)
    assert [row["lr"] for row in module.rows] == pytest.approx([1, 0.1, 0.01])
    assert all(set(row) == {"train/loss", "val/loss", "lr", "step"} for row in module.rows)
    assert [row["step"] for row in module.rows] == [1, 2, 3]


def test_a_plateau_is_stepped_once_an_epoch() -> None:
    def schedule(optimizer: torch.optim.Optimizer) -> LRScheduler:
        return Plateau(optimizer, "val/loss", factor=0.5, patience=0)

    module = Drawing(schedule=schedule)
    fitted(module)
    assert [row["lr"] for row in module.rows] == pytest.approx([1, 1, 0.5])  # the first epoch is the best


def test_a_checkpoint_describes_itself_in_plain_data(tmp_path: Path) -> None:
    trainer = fitted(Drawing(), epochs=2)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["fancnn"]["a"] == 1
