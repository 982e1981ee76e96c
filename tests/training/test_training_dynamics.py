"""What is seen inside a network while it learns: right by hand, and without a trace in what is learnt."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from samples import write_images
from torch import Tensor, nn

from fancnn.data.datamodule import ImageDataModule
from fancnn.data.split_plan import SplitPlan
from fancnn.images.preprocess import Preprocess
from fancnn.model import Model
from fancnn.training.averaging import ExponentialMovingAverage
from fancnn.training.classifier import Classifier
from fancnn.training.losses import CrossEntropy
from fancnn.training.quiet_lightning import quiet_lightning
from fancnn.training.training_dynamics import Activations, StepNorms, TrainingDynamics

RATE = 0.05


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ImageDataModule:
    root = write_images(tmp_path_factory.mktemp("images"), {"GO": 20, "NG": 20})
    return ImageDataModule(root, "GO", Preprocess((8, 8)), SplitPlan(), batch_size=8, eval_batch_size=3)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 6), nn.ReLU(), nn.Linear(6, 1)]
    return nn.Sequential(*parts, nn.Flatten(0))


def fitted(
    data: ImageDataModule, *callbacks: pl.Callback, epochs: int = 3, net: nn.Module | None = None, **more: Any
) -> Model:
    model = Model(net or network(), Preprocess((8, 8)), classes=("GO", "NG"), go_class="GO")
    module = Classifier(model, CrossEntropy(), lambda weights: torch.optim.SGD(weights, lr=RATE, momentum=0.9))
    quiet_lightning()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        **more,
    )
    trainer.fit(module, data)
    return model


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def norm(tensors: Iterable[Tensor]) -> float:
    return sum(float(tensor.double().square().sum()) for tensor in tensors) ** 0.5


def test_norms_of_a_step_are_those_of_autograd_by_hand() -> None:
    net, images = network(), torch.randn(5, 3, 8, 8)
    old = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    loss = net(images).square().mean()
    gradients = dict(zip(old, torch.autograd.grad(loss, list(net.parameters())), strict=True))
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    net(images).square().mean().backward()
    step = StepNorms(net)
    step.before()
    optimizer.step()
    found = step.after()
    assert list(found) == ["0", "3", "5"]
    for name, values in found.items():
        own = [f"{name}.weight", f"{name}.bias"]
        weight, gradient = norm(old[n] for n in own), norm(gradients[n] for n in own)
        assert values["weight_norm"] == pytest.approx(weight, rel=1e-5)
        assert values["gradient_norm"] == pytest.approx(gradient, rel=1e-5)
        assert values["update_ratio"] == pytest.approx(RATE * gradient / weight, rel=1e-3)  # plain SGD: rate * gradient


def test_layers_that_are_frozen_or_have_no_kernel_are_left_out_and_zero_weights_have_no_ratio() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Linear(2, 1))
    net[0].requires_grad_(False)
    nn.init.zeros_(net[2].weight)
    nn.init.zeros_(net[2].bias)
    step = StepNorms(net)
    step.before()
    assert step.after() == {"2": {"weight_norm": 0.0, "gradient_norm": 0.0}}


def test_activations_are_those_of_all_batches_at_once() -> None:
    net = network()
    images = torch.randn(12, 3, 8, 8)
    watched = Activations(net, stride=2)
    for batch in images.split(4):
        watched.next_batch()
        net(batch)
    watched.remove()
    net(torch.randn(4, 3, 8, 8))  # not watched any more
    for name, at in (("1", 2), ("4", 5)):
        values = net[:at](images[::2]).detach().double()
        found = watched.found()[name]
        assert found["mean"] == pytest.approx(float(values.mean()), rel=1e-5)
        assert found["std"] == pytest.approx(float(values.std(correction=0)), rel=1e-5)
        dead = values.amax([axis for axis in range(values.ndim) if axis != 1]) == 0
        assert found["dead"] == pytest.approx(float(dead.double().mean()))


def test_units_are_dead_only_if_zero_for_every_image_of_every_batch() -> None:
    net = nn.Sequential(nn.ReLU())
    watched = Activations(net, stride=1)
    for pixels in ([[-1.0, 2.0, -1.0]], [[3.0, -1.0, -1.0]]):
        watched.next_batch()
        net(torch.tensor(pixels))
    assert watched.found()["0"]["dead"] == pytest.approx(1 / 3)


def test_a_layer_that_is_called_twice_is_two() -> None:
    act = nn.ReLU()
    watched = Activations(nn.Sequential(act, nn.Linear(2, 3), act), stride=1)
    for _ in range(2):
        watched.next_batch()
        act(torch.ones(1, 2))
        act(-torch.ones(1, 3))
    assert {name: values["dead"] for name, values in watched.found().items()} == {"0": 0.0, "0#2": 1.0}


def test_activations_that_can_be_below_zero_have_no_dead_units() -> None:
    net = nn.Sequential(nn.LeakyReLU())
    watched = Activations(net, stride=1)
    net(torch.zeros(2, 3))
    assert set(watched.found()["0"]) == {"mean", "std"}


@pytest.mark.parametrize("averaged", [False, True])
def test_looking_changes_no_weight(averaged: bool, data: ImageDataModule, tmp_path: Path) -> None:
    def weights(*callbacks: pl.Callback) -> list[Tensor]:
        averaging = [ExponentialMovingAverage(decay=0.9)] if averaged else []
        return [weight.detach() for weight in fitted(data, *averaging, *callbacks).parameters()]

    seen = weights(TrainingDynamics(tmp_path / "dynamics.csv", every_n_epochs=1))
    assert all(torch.equal(*pair) for pair in zip(weights(), seen, strict=True))


def test_every_nth_epoch_has_its_rows(data: ImageDataModule, tmp_path: Path) -> None:
    fitted(data, TrainingDynamics(tmp_path / "d.csv", every_n_epochs=2), epochs=4)
    rows = rows_of(tmp_path / "d.csv")
    assert [(row["epoch"], row["layer"]) for row in rows] == [(e, n) for e in "13" for n in ("0", "3", "5", "1", "4")]


def test_gathered_gradients_are_looked_at_when_a_step_is_done(data: ImageDataModule, tmp_path: Path) -> None:
    fitted(data, TrainingDynamics(tmp_path / "d.csv", every_n_epochs=1), epochs=1, accumulate_grad_batches=4)
    assert float(rows_of(tmp_path / "d.csv")[0]["update_ratio"]) > 0


def test_a_dead_layer_is_told_while_training_and_once(
    data: ImageDataModule, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = network()
    nn.init.constant_(net[3].bias, -1e3)
    fitted(data, TrainingDynamics(tmp_path / "d.csv", every_n_epochs=1), net=net)
    said = capsys.readouterr().out
    assert said.count("Since epoch 1 all units of the layer 4 are zero for every image") == 1
    assert "layer 1 " not in said


@pytest.mark.parametrize("mistake", [{"every_n_epochs": 0}, {"images": 0}])
def test_numbers_below_one_are_refused(mistake: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="=0 should be 1 or more; null in place of the callback never looks"):
        TrainingDynamics(tmp_path / "d.csv", **mistake)
