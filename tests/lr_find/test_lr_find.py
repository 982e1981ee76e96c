import csv
import hashlib
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from samples import SMALL, compose_command, run_command

from fancnn import assembly
from fancnn.assembly import read_images
from fancnn.errors import UserError
from fancnn.lr_find.lr_find import find_rate
from fancnn.lr_find.range_test import RangeTest, losses_by_rate
from fancnn.lr_find.settings import LrFindSettings
from fancnn.training.quiet_lightning import quiet_lightning


def settings_of(output: Path, image_folder: Path, *more: str) -> LrFindSettings:
    given = [*SMALL, f"data.root={image_folder}", "data.batch_size=8", f"output_dir={output}", "overrides=[]", *more]
    return compose_command("lr_find", LrFindSettings, *given)


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "lr_find.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_it_says_a_rate_to_copy_and_leaves_curve_and_table(image_folder: Path, tmp_path: Path) -> None:
    arguments = [*SMALL, f"data.root={image_folder}", "data.batch_size=8", "model.output_bias=balanced"]
    answer = run_command("fancnn.lr_find", *arguments, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    (run,) = (tmp_path / "outputs/lr_find").iterdir()
    assert {path.name for path in run.iterdir()} == {".hydra", ".lock", "lr_find.csv", "lr_find.png"}
    said = answer.stdout.splitlines()[-1].strip()
    key, rate = said.split("=")
    assert key == "model.optimizer.lr"
    rates = [float(row["lr"]) for row in rows_of(run)]
    assert rates[0] < float(rate) < rates[-1]
    assert (run / "lr_find.png").read_bytes().startswith(b"\x89PNG")
    assert not answer.stderr, "no bar in a log file"


def test_rates_rise_by_one_factor_from_the_least_to_the_greatest(image_folder: Path, tmp_path: Path) -> None:
    find_rate(settings_of(tmp_path / "out", image_folder, "min_lr=1e-5", "max_lr=0.1", "steps=41"))
    rows = rows_of(tmp_path / "out")
    assert rows[0]["version"] == "1"
    assert [int(row["step"]) for row in rows] == list(range(1, 42))
    rates = [float(row["lr"]) for row in rows]
    assert (rates[0], rates[-1]) == (pytest.approx(1e-5), pytest.approx(0.1))
    factors = [after / before for before, after in pairwise(rates[1:])]  # the second step's rate is two factors up
    assert factors == pytest.approx([10 ** (4 / 41)] * 39)


def test_the_losses_are_those_of_training_steps_at_those_rates(image_folder: Path, tmp_path: Path) -> None:
    """The first steps by hand, with the optimizer alone."""
    settings = settings_of(tmp_path, image_folder, "trainer.precision=32", "optimizer=sgd", "min_lr=1e-2", "steps=20")
    find_rate(settings)
    data = read_images(settings)
    model = assembly.model(settings, data.classes)
    optimizer = assembly.makers(settings.model.optimizer, None, model)[0](model.parameters())
    loss = torch.nn.BCEWithLogitsLoss()
    for row, (images, labels) in zip(rows_of(tmp_path)[:5], data.train_dataloader(), strict=False):
        optimizer.param_groups[0]["lr"] = float(row["lr"])
        value = loss(model(images), labels)
        assert value.item() == pytest.approx(float(row["loss"]), rel=1e-5)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()


@pytest.mark.slow
def test_the_weights_are_afterwards_what_they_were_and_the_command_can_be_repeated(
    image_folder: Path, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, image_folder)
    quiet_lightning()
    data = read_images(settings)
    model = assembly.model(settings, data.classes)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = assembly.trainer(settings)
    trainer.callbacks.clear()
    losses_by_rate(trainer, RangeTest(assembly.classifier(settings, model, {})), data.train_dataloader(), 1e-4, 1.0, 20)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert find_rate(settings) == find_rate(settings)


def test_a_loss_that_diverges_ends_the_test_and_not_the_program(image_folder: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, image_folder, "optimizer=sgd", "max_lr=1e30", "steps=200")
    assert find_rate(settings) < 1e10
    assert len(rows_of(tmp_path)) < 150


@pytest.mark.slow
def test_an_earlier_run_is_not_touched(trained_run: Path, image_folder: Path, tmp_path: Path) -> None:
    def content() -> dict[Path, str]:
        files = [path for path in trained_run.rglob("*") if path.is_file()]
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = content()
    find_rate(settings_of(tmp_path / "out", image_folder, f"data.split_file={trained_run / 'split.csv'}"))
    assert content() == before
    with pytest.raises(UserError, match="a range test starts from fresh weights; leave ckpt out"):
        settings_of(tmp_path / "out", image_folder, f"ckpt={trained_run}")


def test_where_the_loss_falls_nowhere_that_is_said(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"falls nowhere between the rates .*lr_find.png. Look at another range"):
        find_rate(settings_of(tmp_path, image_folder, "optimizer=sgd", "min_lr=1e8", "max_lr=1e30", "steps=20"))


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        ("min_lr=0", "min_lr=0.0 and max_lr=1.0 should be above 0, the second above the first"),
        ("max_lr=1e-9", "max_lr=1e-09 should be above 0, the second above the first"),
        ("steps=3", "steps=3 should be 20 or more"),
    ],
)
def test_a_range_that_is_none_is_refused(mistake: str, text: str, image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=text):
        settings_of(tmp_path, image_folder, mistake)
