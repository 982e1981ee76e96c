"""What an explanation leaves behind: its page, its figures as files and on TensorBoard, and `explain.json`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fancnn.explain.explanation_json import write_explanation
from fancnn.explain.explanation_page import Checked, Explanation, explanation_page
from fancnn.explain.feature_maps import MapLayer
from fancnn.explain.heat_panels import ExplainedImage
from fancnn.explain.settings import ExplainSettings
from fancnn.files.atomic_files import atomic_text, write_atomically
from fancnn.model import Model
from fancnn.runs.tensorboard_images import events_folder, replace_images
from fancnn.system.installation import versions

NAME = "explain.html"
SUFFIX = ".explain"  # of the event file with the figures


def facts(
    settings: ExplainSettings, model: Model, layer: MapLayer, images: str, completeness: float | None
) -> list[tuple[str, str]]:
    """Return how the page was made: name and value."""
    network = str(model.metadata.network["_target_"]).rpartition(".")[2]
    height, width = model.preprocess.image_size
    return [
        ("network", f"{network}, images of {height}x{width}, weights of epoch {model.metadata.epoch}"),
        ("images", images),
        ("layer", f"{layer.name}: {layer.channels} maps of {layer.height}x{layer.width}, {layer.kind}"),
        ("decides", model.thresholds.in_words()),
        ("compared with", {"mean": "each image's mean colour"}.get(settings.baseline, settings.baseline)),
        ("Grad-CAM", "Selvaraju et al. 2017; on the layer above"),
        ("occlusion", "Zeiler and Fergus 2014; squares of an eighth of the shorter side, half a square apart"),
        ("integrated gradients", "Sundararajan et al. 2017; 32 steps" + _distance(completeness)),
        ("images for a filter", f"gradient ascent with total variation, seed {settings.seed}"),
        ("pointing game", "Zhang et al. 2016; random weights as in Adebayo et al. 2018"),
    ]


def _distance(completeness: float | None) -> str:
    return "" if completeness is None else f"; they miss the logit's gain by at most {completeness:.2g}"


def warnings(model: Model, gone: int, unread: int) -> list[str]:
    """Return what is to be known before the page is believed."""
    sentences = []
    trained, here = model.metadata.versions.get("torch", ""), versions()["torch"]
    if trained.partition("+")[0] != here.partition("+")[0]:
        sentences.append(
            f"The run was trained with torch {trained}, this is {here}: the first weights are drawn again here, and "
            "another version may draw others."
        )
    if gone:
        sentences.append(f"{gone} images of the split are gone or have changed since, and are left out.")
    if unread:
        sentences.append(f"{unread} of the chosen images cannot be read.")
    return sentences


def write_page(output: Path, explanation: Explanation, run: Path, epoch: int) -> Path:
    """Leave the page, its figures as files, and these on the TensorBoard of the run, or of `output`."""
    page, figures = output / NAME, output / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    with atomic_text(page) as file:
        file.write(explanation_page(explanation))
    images = [(panel.name, panel.png()) for panel in explanation.panels()]
    images += [(drawing.name, drawing.png()) for drawing in explanation.drawings()]
    for name, png in images:
        write_atomically(figures / f"{name}.png", png)
    tagged = [(f"explain/{name}", png) for name, png in images]
    replace_images(events_folder(run) or output, SUFFIX, tagged, epoch)
    return page


def write_numbers(
    output: Path, numbers: Mapping[str, Any], shown: Sequence[ExplainedImage], checked: Checked | None
) -> None:
    """Leave `explain.json`."""
    more = {
        "images": [_plain(subject) for subject in shown],
        "check": None if checked is None else _plain_check(checked),
        "versions": versions(),
    }
    write_explanation(output / "explain.json", {**numbers, **more})


def _plain(subject: ExplainedImage) -> dict[str, Any]:
    return {
        "path": subject.name,
        "why": subject.why,
        **{name: getattr(subject, name) for name in ("label", "logit", "probability", "decision")},
        "found_type": subject.guess.name,
        "type_share": subject.guess.share,
    }


def _plain_check(checked: Checked) -> dict[str, Any]:
    sentences = dict(zip(checked.by_method, checked.conclusions(), strict=True))
    return {
        "split": checked.split,
        "images": next(iter(checked.by_method.values())).images,
        "methods": {
            method: {
                "all": result.to_dict(),
                "by_type": {kind: one.to_dict() for kind, one in checked.by_type[method].items()},
                "verdict": sentences[method][1],
            }
            for method, result in checked.by_method.items()
        },
    }
