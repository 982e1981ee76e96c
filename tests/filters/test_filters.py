import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from samples import compose_command, run_command
from scipy.stats import rankdata

import fancnn
from fancnn.errors import UserError
from fancnn.filters.filter_figures import kernel_image
from fancnn.filters.filters import rank_filters
from fancnn.filters.settings import FilterSettings
from fancnn.metrics.rank_agreement import agreement
from fancnn.networks.channel_importance import CRITERIA
from fancnn.prune.settings import Criterion
from fancnn.training.checkpointing import AtomicCheckpointIO

FILES = ("filters.csv", "filters.json")


def ranked(output: Path, *given: str | Path) -> dict[str, dict[str, np.ndarray]]:
    settings = [*map(str, given), f"output_dir={output}", "device=cpu"]
    return rank_filters(compose_command("filters", FilterSettings, *settings))


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "filters.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_command_leaves_a_table_agreements_and_an_image_and_says_what_each_criterion_means(
    trained_run: Path, tmp_path: Path
) -> None:
    answer = run_command("fancnn.filters", f"run={trained_run}", cwd=tmp_path, COLUMNS="80")
    assert answer.returncode == 0, answer.stderr
    (output,) = (tmp_path / "outputs/filters").iterdir()
    assert {path.name for path in output.iterdir()} == {".hydra", ".lock", *FILES, "filters-blocks.0.0.png"}
    assert all(f"{name} " in answer.stdout for name in CRITERIA)
    assert "do they agree? Spearman's rank correlation above the diagonal, Kendall's below" in answer.stdout
    table = answer.stdout.partition("do they agree?")[2]
    assert max(map(len, table.splitlines()[1:11])) <= 80


@pytest.mark.slow
def test_the_table_has_values_and_ranks_of_every_filter_and_the_json_their_agreement(
    trained_run: Path, tmp_path: Path
) -> None:
    found = ranked(tmp_path, f"run={trained_run}", "layer=all")
    rows, document = rows_of(tmp_path), json.loads((tmp_path / "filters.json").read_text())
    assert [row["layer"] for row in rows] == ["blocks.0.0"] * 4 + ["blocks.1.0"] * 8 + ["hidden.1.0"] * 16
    assert {row["version"] for row in rows} == {"1"}
    assert (document["format"], document["version"], document["split"]) == ("fancnn-filters", 2, "val")
    for layer, of_layer in document["layers"].items():
        own = [row for row in rows if row["layer"] == layer]
        values = {name: np.array([float(row[name]) for row in own]) for name in CRITERIA}
        worth = {name: values[name] * (1 if CRITERIA[name].greater_is_worth_more else -1) for name in CRITERIA}
        for name in CRITERIA:
            np.testing.assert_array_equal(values[name], found[layer][name])
            ranks = [float(row[f"{name}_rank"]) for row in own]
            np.testing.assert_array_equal(ranks, rankdata(-worth[name]))
            if of_layer["spearman"][name]["l1"] is not None:
                l1 = [float(row["l1_rank"]) for row in own]
                assert np.corrcoef(ranks, l1)[0, 1] == pytest.approx(of_layer["spearman"][name]["l1"])
            assert of_layer["spearman"][name]["taylor"] == pytest.approx(
                agreement(worth[name], worth["taylor"]).spearman
            )
            assert of_layer["kendall"]["taylor"][name] == pytest.approx(agreement(worth[name], worth["taylor"]).kendall)
        assert (tmp_path / f"filters-{layer}.png").read_bytes().startswith(b"\x89PNG")


def test_performance_is_the_loss_on_validation_of_a_model_whose_next_layer_ignores_the_filter(
    trained_run: Path, image_folder: Path, tmp_path: Path
) -> None:
    found = ranked(tmp_path, f"run={trained_run}", "layer=blocks.1.0")["blocks.1.0"]
    with (trained_run / "split.csv").open() as file:
        val = [row for row in csv.DictReader(file) if row["split"] == "val"]
    files, labels = [image_folder / row["path"] for row in val], torch.tensor([float(row["label"]) for row in val])
    losses = []
    for channel in (None, 5):
        model = fancnn.load(trained_run)
        if channel is not None:
            kernel = model.network.get_submodule("hidden.1.0").weight.data
            kernel.view(16, 8, -1)[:, channel] = 0
        pixels = torch.stack([model._pixels(Image.open(path)).pixels for path in files])
        logits = torch.from_numpy(model.logits(pixels))
        losses.append(torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.double()).item())
    assert found["performance"][5] == pytest.approx(losses[1] - losses[0], abs=1e-6)


def test_filters_that_are_silent_are_named_and_scores_that_most_do_not_better_are_told(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    checkpoint = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    checkpoint["state_dict"]["model.network.blocks.1.0.bias"][[1, 2, 3, 5, 6]] = -1e6
    AtomicCheckpointIO().save_checkpoint(checkpoint, run / "checkpoints/best.ckpt")
    (run / "metrics.json").unlink()  # it is of other weights
    ranked(tmp_path / "out", f"run={run}", "layer=blocks.1.0")
    said, rows = capsys.readouterr().out, rows_of(tmp_path / "out")
    silent = [row for row in rows if float(row["activation"]) == 0]
    assert {"1", "2", "3", "5", "6"} <= {row["filter"] for row in silent}
    names = ", ".join(row["filter"] for row in silent)
    assert f"blocks.1.0: silent on every image (activation 0): filters {names}\n" in said
    falls = [float(row["performance_auroc"]) for row in rows]
    harm, nothing = sum(fall < 0 for fall in falls), falls.count(0)
    assert f"blocks.1.0: by performance_auroc {harm} of 8 filters harm, {nothing} change nothing\n" in said
    for name in ("activation", "performance", "performance_auroc"):
        assert len({row[f"{name}_rank"] for row in silent}) == 1, name


def test_what_cannot_be_ranked_is_refused_in_words(trained_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="layer=logit has no filters that can be ranked. There are blocks.0.0, "):
        ranked(tmp_path, f"run={trained_run}", "layer=logit")
    with pytest.raises(UserError, match="nowhere does not exist"):
        ranked(tmp_path, "run=nowhere")


def test_a_kernel_of_colours_is_shown_in_them_and_one_of_many_inputs_by_its_strength() -> None:
    colours = kernel_image(np.stack([np.full((2, 2), value) for value in (2.0, 0.0, -2.0)]))
    np.testing.assert_array_equal(colours, np.broadcast_to([1.0, 0.5, 0.0], (2, 2, 3)))
    kernel = np.zeros((8, 1, 2))
    kernel[:, 0, 0], kernel[:4, 0, 1] = -3.0, 3.0
    np.testing.assert_allclose(kernel_image(kernel)[0, :, 0], [0.0, 1 - 0.5**0.5])


def test_the_names_that_a_command_takes_are_those_of_the_criteria() -> None:
    assert tuple(CRITERIA) == tuple(Criterion)
