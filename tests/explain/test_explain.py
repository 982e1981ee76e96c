"""`python -m fancnn.explain`: the whole story on a small run."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from samples import SMALL, compose_command, compose_train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fancnn.errors import UserError
from fancnn.explain.explain import _refuse_ensembles, explain
from fancnn.explain.explained_filters import first_network
from fancnn.explain.settings import ExplainSettings
from fancnn.fans.fan_dataset import render_fans
from fancnn.files.run import Run
from fancnn.metrics.predictions import read_predictions
from fancnn.networks import Ensemble
from fancnn.runs import checkpoints
from fancnn.train.train import train

pytest.importorskip("captum", reason="needs captum")
FEW = ("images=1", "filters=1", "channels=2")


def made(output: Path, *overrides: str) -> tuple[str, dict[str, Any]]:
    page = explain(compose_command("explain", ExplainSettings, *FEW, *overrides, f"output_dir={output}"))
    return page.read_text(encoding="utf-8"), json.loads((output / "explain.json").read_text())


@pytest.fixture(scope="module")
def fans_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on rendered fans whose first layer stays as it starts."""
    root = render_fans(tmp_path_factory.mktemp("fans") / "set", count=30, size=64, workers=1)
    output = tmp_path_factory.mktemp("explained") / "run"
    frozen = ["trainer.max_epochs=1", "model.network.freeze_first_layer=true", "report=false", f"data.root={root}"]
    train(compose_train(output, *SMALL, *frozen))
    return output


@pytest.mark.slow
def test_a_run_gets_a_page_its_figures_and_numbers(trained_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained_run, tmp_path / "run")
    for _ in range(2):
        page, found = made(tmp_path / "out", f"run={run}")
    assert not re.search(r'(src|href)="(?!data:|#)', page), "the page needs no other file"
    assert "Not checked: nobody said where the defects of these images are" in page
    assert (found["format"], found["version"], found["check"]) == ("fancnn-explain", 2, None)
    assert found["split"] == "test"
    assert {"Surest NG, found", "Surest GO, passed"} <= {item["why"] for item in found["images"]}
    assert found["completeness"] < 0.05
    assert max(found["first_layer"]["change"]) > 0.01
    figures = {path.stem for path in (tmp_path / "out/figures").glob("*.png")}
    assert {"filters-before", "filters-after", "filters-change", "heat-0", "maps-0", "logit"} <= figures
    events = EventAccumulator(str(run), size_guidance={"images": 0})
    events.Reload()
    assert {f"explain/{name}" for name in figures} <= set(events.Tags()["images"])
    assert len(list(run.rglob("*.explain"))) == 1, "a second explanation takes the place of the first"


@pytest.mark.slow
def test_the_logits_are_those_of_the_run(trained_run: Path, tmp_path: Path) -> None:
    _, found = made(tmp_path, f"run={trained_run}", "methods=[occlusion]")
    model = checkpoints.load(trained_run)
    root = Path(model.metadata.root)
    said = model.predict([root / item["path"] for item in found["images"]])
    assert [item["probability"] for item in found["images"]] == pytest.approx(said.probabilities.tolist(), abs=1e-5)
    assert [item["decision"] for item in found["images"]] == said.decisions


@pytest.mark.slow
def test_each_step_is_said_as_it_begins(fans_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = made(tmp_path, f"run={fans_run}", "check_images=3", "methods=[grad_cam]")
    steps = [
        *("looking through ", f"heat maps of {len(found['images'])} images: Grad-CAM", "first filters", "maps of "),
        *(
            "what 1 filter of ",
            "check on 3 images with known defects",
            "drawing the page",
            "Grad-CAM",
            "explanation: ",
        ),
    ]
    lines = iter(capsys.readouterr().out.splitlines())
    for step in steps:
        assert any(line.startswith(step) for line in lines), f"{step!r} is not said, or not in its turn"


@pytest.mark.slow
def test_a_network_of_types_says_what_it_found_and_why_its_logit_is_no_sum(image_folder: Path, tmp_path: Path) -> None:
    train(
        compose_train(
            tmp_path / "run", *SMALL, f"data.root={image_folder}", "model.labels=defect_types", "report=false"
        )
    )
    page, found = made(tmp_path / "out", f"run={tmp_path / 'run'}", "methods=[grad_cam]")
    assert "this network has 3 outputs, GO, scratch, stain, and the logit of NG is the logarithm" in page
    assert not (tmp_path / "out/figures/logit.png").exists()
    model = checkpoints.load(tmp_path / "run")
    scores = model.score_files([Path(model.metadata.root) / item["path"] for item in found["images"]])
    for item, score in zip(found["images"], scores, strict=True):
        assert (item["found_type"], item["type_share"]) == (score.guess.name, pytest.approx(score.guess.share))
        assert f"the type {score.guess.name}" in page


@pytest.mark.slow
def test_the_sum_of_two_outputs_is_the_logit(image_folder: Path, tmp_path: Path) -> None:
    train(compose_train(tmp_path / "run", *SMALL, f"data.root={image_folder}", "model.labels=softmax", "report=false"))
    page, found = made(tmp_path / "out", f"run={tmp_path / 'run'}", "methods=[grad_cam]")
    surest = max(found["images"], key=lambda item: item["probability"])
    assert f"together they make the logit {surest['logit']:+.2f}" in page
    assert "is not shown" not in page
    assert surest["found_type"] == ""


@pytest.mark.slow
def test_named_images_a_layer_methods_and_a_baseline(trained_run: Path, image_folder: Path, tmp_path: Path) -> None:
    layer = "blocks.0.0"
    page, found = made(
        *(tmp_path, f"run={trained_run}", f"input={image_folder / 'NG/stain'}", f"layer={layer}"),
        *("methods=[grad_cam]", "baseline=black", "channels=1"),
    )
    assert found["split"] is None
    assert found["layer"] == layer
    assert len(found["images"]) == 4, "four times images=1"
    assert all(item["label"] is None for item in found["images"])
    assert "Occlusion, for" not in page
    assert "What it is, is not known." in page
    assert "maps, with smaller values, are left out" in page


@pytest.mark.slow
def test_before_training_a_frozen_layer_was_what_it_is(fans_run: Path, tmp_path: Path) -> None:
    """The first weights are drawn again from the seed: nobody kept them."""
    page, found = made(tmp_path, f"run={fans_run}", "check=false", "methods=[grad_cam]")
    assert set(found["first_layer"]["change"]) == {0}
    assert "Nothing changed: the layer was frozen." in page
    assert found["check"] is None


@pytest.mark.slow
def test_fans_are_checked_against_their_masks_with_verdicts_in_words(fans_run: Path, tmp_path: Path) -> None:
    page, found = made(tmp_path, f"run={fans_run}", "check_images=2", "methods=[grad_cam,integrated_gradients]")
    assert found["check"]["images"] == 2
    for method in ("grad_cam", "integrated_gradients"):
        checked = found["check"]["methods"][method]
        assert sum(one["images"] for one in checked["by_type"].values()) == checked["all"]["images"] == 2
        assert 0 < checked["all"]["chance_share"] < checked["all"]["chance_pointing"] < 1
        assert checked["all"]["outcome"] == "too few", "two images prove nothing"
        assert "2 images are too few to tell" in checked["verdict"]
    assert "2 images are too few to tell" in page
    assert "its defect outlined" in page


@pytest.mark.slow
def test_heat_is_held_against_masks_of_the_users_own(trained_run: Path, image_folder: Path, tmp_path: Path) -> None:
    split = read_predictions(Run(trained_run).predictions)
    (row, *_) = (row for row in split if row.split == "test" and row.label == 1)
    mask = (tmp_path / "masks" / row.path).with_suffix(".png")
    mask.parent.mkdir(parents=True)
    Image.fromarray((np.asarray(Image.open(image_folder / row.path)) > 240).astype(np.uint8) * 255).save(mask)
    given = [f"run={trained_run}", f"masks={tmp_path / 'masks'}", "methods=[grad_cam]"]
    _, found = made(tmp_path / "out", *given)
    assert (found["check"]["images"], found["check"]["split"]) == (1, "test")
    assert found["check"]["methods"]["grad_cam"]["all"]["chance_pointing"] < 0.5
    Image.new("L", (7, 7), 255).save(mask)
    with pytest.raises(UserError, match=r"has 7x7 pixels, its image .* 20x24"):
        made(tmp_path / "out", *given)


def test_first_weights_from_a_file_are_not_guessed(trained_run: Path) -> None:
    metadata = checkpoints.load(trained_run).metadata
    network = {**metadata.settings["model"]["network"], "weights": "pretrained.safetensors"}
    from_file = replace(metadata, settings={**metadata.settings, "model": {"network": network}})
    fresh, reason = first_network(from_file)
    assert fresh is None
    assert "learnt elsewhere" in reason
    assert first_network(from_file, seed=1)[0] is not None, "random weights can always be drawn"


def test_drawing_first_weights_leaves_the_random_state(trained_run: Path) -> None:
    metadata = checkpoints.load(trained_run).metadata
    before = torch.get_rng_state()
    one, other = first_network(metadata)[0], first_network(metadata, seed=7)[0]
    assert torch.equal(torch.get_rng_state(), before)
    weights = [next(network.parameters()) for network in (one, other) if network is not None]
    assert not torch.equal(*weights)


def test_an_ensemble_is_refused_with_the_way_out(trained_run: Path) -> None:
    model = checkpoints.load(trained_run)
    model.network = Ensemble([model.network], [model.calibration.to_dict()])
    model.metadata = replace(model.metadata, runs=["outputs/train/a", "outputs/train/b"])
    with pytest.raises(UserError, match="explain one of them, run=outputs/train/a or run=outputs/train/b"):
        _refuse_ensembles(model)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["run=nowhere"], "nowhere does not exist"),
        (["layer=conv"], "layer='conv' is no layer with feature maps. Convolutions: blocks.0.0"),
        (["methods=[lime]"], "methods: 'lime' is none of grad_cam, occlusion, integrated_gradients"),
        (["methods=[]"], "expected one or more of"),
        (["baseline=blue"], "baseline='blue' is none of mean, black, white"),
        (["images=0"], "images=0 should be 1 or more"),
        (["split=tset"], "split='tset' is none of train, val, test"),
        (["check=true", "methods=[grad_cam]"], "check=true needs masks of defects"),
        (["masks=nowhere"], "masks='nowhere' is no folder. Expected one with masks of defects"),
        (["masks={tmp}"], "masks={tmp} holds no image file, and none has the name of an NG image"),
        (["masks={tmp}", "check=false"], "masks: with check=false nothing is held against them"),
        (["input=nowhere"], "input=nowhere is no file, no folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_told(overrides: list[str], text: str, trained_run: Path, tmp_path: Path) -> None:
    given = [item.replace("{tmp}", str(tmp_path)) for item in overrides]
    with pytest.raises(UserError, match=re.escape(text.replace("{tmp}", str(tmp_path)))):
        made(tmp_path, f"run={trained_run}", *given)


def test_without_captum_it_says_how_to_get_it(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(UserError, match=r'pip install "fancnn\[explain\]"'):
        made(tmp_path, f"run={trained_run}")
