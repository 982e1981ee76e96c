"""The step and the epoch: our training beside a bare loop with the same network, arithmetic and images in memory."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fancnn import assembly
from fancnn.data.datamodule import ImageDataModule
from fancnn.data.datasets import PixelDataset
from fancnn.data.samplers import SeededBatchSampler
from fancnn.images.decoding import decode
from fancnn.settings.training import TrainSettings
from fancnn.system.timing import Result, in_turn, seconds


def step_results(settings: TrainSettings, data: ImageDataModule, repeats: int) -> list[Result]:
    """Return images a second of a training epoch, validation left out, for float32 and bfloat16."""
    results = []
    for precision in ("32", "bf16-mixed"):
        ours, bare = in_turn(
            repeats,
            lambda precision=precision: our_epoch(settings, data, precision, validate=False),  # type: ignore[misc]
            lambda precision=precision: bare_epoch(settings, data, precision),  # type: ignore[misc]
        )
        name = f"training epoch, {precision}"
        results.append(Result(name, "images/s", ours, bare, "a bare loop, images in memory"))
    return results


def epoch_results(settings: TrainSettings, data: ImageDataModule, repeats: int) -> list[Result]:
    """Return images a second of an epoch with validation, training images counted."""
    results = []
    for precision in ("32", "bf16-mixed"):
        (values,) = in_turn(repeats, lambda precision=precision: our_epoch(settings, data, precision, validate=True))  # type: ignore[misc]
        results.append(Result(f"epoch with validation, {precision}", "images/s", values))
    return results


def streamed_results(settings: TrainSettings, data: ImageDataModule, repeats: int) -> list[Result]:
    """Return images a second of an epoch whose images are kept nowhere: workers decode while the loop trains.

    The limit is doing one after the other on all cores: what either needs, the other has not.
    """
    files, stream = [data.root / image.path for image in data.images_of("train")], data.undecoded()
    ours, bare, decoded = in_turn(
        repeats,
        lambda: our_epoch(settings, stream, "32", validate=False),
        lambda: bare_epoch(settings, data, "32"),
        lambda: len(files) / seconds(lambda: deque(decode(files, data.preprocess), maxlen=0)),
    )
    limit = [1 / (1 / step + 1 / decoding) for step, decoding in zip(bare, decoded, strict=True)]
    return [Result("training epoch without a cache, 32", "images/s", ours, limit, "decoding, then a bare loop")]


def bare_epoch(settings: TrainSettings, data: ImageDataModule, precision: str) -> float:
    """Return images a second of the shortest loop that trains: gather, forward, backward, step."""
    model = assembly.model(settings, data.classes)
    device = _device(settings)
    model.to(device).train()
    optimizer = assembly.makers(settings.model.optimizer, None, model)[0](model.parameters())
    dataset = data.dataset("train")
    assert isinstance(dataset, PixelDataset), "the benchmark's images fit into memory"
    dataset, loss = dataset.on(device), nn.BCEWithLogitsLoss()
    batches = SeededBatchSampler(len(dataset), settings.data.batch_size, seed=0)

    def epoch() -> None:
        for indices in batches:
            images, labels = dataset[indices]
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
                logits = model(images).float()
            optimizer.zero_grad()
            loss(logits, labels).backward()
            optimizer.step()
        _finish(device)

    return len(dataset) / seconds(epoch)


def our_epoch(settings: TrainSettings, data: ImageDataModule, precision: str, *, validate: bool) -> float:
    """Return how many images a second our trainer does in an epoch, with its scores and lines.

    With `validate` the time for validation and checkpoints is included, too.
    """
    clock = _Clock()
    fresh = assembly.model(settings, data.classes)
    options: dict[str, Any] = {**settings.trainer, "precision": precision, "max_epochs": 1}
    if not validate:
        options |= {"enable_checkpointing": False}
    callbacks = settings.callbacks if validate else {}
    asked = replace(settings, trainer=options, callbacks=callbacks, logger={})
    trainer = assembly.trainer(asked)
    trainer.callbacks.insert(0, clock)  # type: ignore[attr-defined]
    if not validate:
        trainer.limit_val_batches = 0  # refused as a key: a training without validation has no best epoch
    trainer.fit(assembly.classifier(asked, fresh, {}), data)
    return len(data.images_of("train")) / clock.seconds


class _Clock(pl.Callback):
    """From the start of the epoch to after whatever other callbacks do at its end."""

    def __init__(self) -> None:
        self.started = self.seconds = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _finish(pl_module.device)
        self.seconds = time.perf_counter() - self.started


def product_rate(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Return TFLOP/s of a matrix product: what the machine can do at best."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    (values,) = in_turn(5, lambda: _rate(lambda: a @ b, 2 * size**3, device))
    return max(values)


def _rate(work: Callable[[], Tensor], operations: int, device: torch.device) -> float:
    def once() -> None:
        work()
        _finish(device)

    return operations / seconds(once) / 1e12


def _device(settings: TrainSettings) -> torch.device:
    gpu = settings.trainer.get("accelerator") in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return torch.device("cuda" if gpu else "cpu")


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
