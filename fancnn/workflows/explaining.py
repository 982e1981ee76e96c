"""The story of `python -m fancnn.explain`: what a network learned, where it looks, and whether to believe that."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fancnn import checkpoints
from fancnn.console import say
from fancnn.errors import UserError
from fancnn.explaining.feature_maps import MapLayer, chosen_layer, map_layers
from fancnn.explaining.heat_maps import (
    BASELINES,
    METHODS,
    check_captum,
    flat,
    heat_map,
    integrated_gradients,
    negated,
)
from fancnn.explaining.localisation import restored
from fancnn.inspection.explanation_file import write_explanation
from fancnn.installation import versions
from fancnn.learning.checkpointing import BEST, LAST
from fancnn.model import Model
from fancnn.networks import Ensemble
from fancnn.pictures import Picture, read_split
from fancnn.reporting.explanation_page import Checked, Explanation, explanation_page
from fancnn.reporting.explanation_plates import Subject, heat_plate
from fancnn.settings import ExplainSettings
from fancnn.tables import replacing
from fancnn.workflows.boards import events_folder, replace_images
from fancnn.workflows.devices import chosen_device
from fancnn.workflows.explained_filters import exciting, first_filters, first_network, maps
from fancnn.workflows.explained_pictures import (
    Survey,
    masks_of,
    own_part,
    subjects,
    survey,
    telling,
)
from fancnn.workflows.heat_checks import check_heat, with_network
from fancnn.workflows.prediction import input_files

NAME = "explain.html"
SUFFIX = ".explain"  # of the event file with the figures


def explain(settings: ExplainSettings) -> Path:
    """Write a page, its figures as PNG files and `explain.json`; the figures go onto TensorBoard, too.

    Returns:
        The page.

    Raises:
        UserError: If captum is missing, the run or its pictures cannot be found, or a key is out of range.
    """
    _check(settings)
    checkpoint = checkpoints.find(settings.run, (BEST, LAST))
    model = checkpoints.load(checkpoint, chosen_device(settings.device))
    _refuse_ensembles(model)
    layers = map_layers(model.network, model.preprocess.image_size)
    layer = chosen_layer(layers, settings.layer)
    run, root = checkpoints.run_folder(checkpoint), Path(model.about["root"])
    part, pictures = _pictures(settings, run)
    found = survey(model, layer, root, pictures)
    masks = masks_of(root)
    chosen = _chosen(settings, model, found, root)
    shown, pixels = subjects(model, Path() if settings.input else root, chosen, {} if settings.input else masks)
    heats, completeness = _heats(settings, model, layer, pixels)
    checked = _checked(settings, model, layer, root, found.pictures, masks)
    banks, first_layer = first_filters(model)
    surest = max(range(len(shown)), key=lambda row: shown[row].probability)  # there is most to be seen
    map_plates, dense, left_out = maps(model, layers, pixels[surest : surest + 1], settings.channels)
    explanation = Explanation(
        title=run.name or str(run),
        facts=_facts(settings, model, layer, part, found, completeness),
        cautions=_cautions(model, found, len(chosen) - len(shown), left_out),
        heat=[
            heat_plate(number, subject, _onto_picture(model, subject, heats, number))
            for number, subject in enumerate(shown)
        ],
        filters=banks,
        exciting=exciting(model, layer, found, root, settings.filters, settings.seed),
        maps=map_plates,
        maps_of=shown[surest].name,
        dense=dense,
        methods=settings.methods,
        checked=checked,
    )
    output = Path(settings.output_dir)
    page = _write(output, explanation, run, model)
    write_explanation(
        output / "explain.json",
        {
            "run": str(run.resolve()),
            "epoch": model.about["epoch"],
            "part": None if settings.input else part,
            "layer": layer.name,
            "methods": list(settings.methods),
            "baseline": settings.baseline,
            "pictures": [_plain(subject) for subject in shown],
            "completeness": completeness,
            "first_layer": first_layer,
            "check": None if checked is None else _plain_check(checked),
            "versions": versions(),
        },
    )
    for _, sentence in checked.verdicts() if checked else []:
        say(sentence)
    say(f"explanation: {page}")
    return page


def _check(settings: ExplainSettings) -> None:
    check_captum()
    for name, least in (("pictures", 1), ("channels", 1), ("filters", 0), ("check_pictures", 1)):
        if getattr(settings, name) < least:
            raise UserError(f"{name}={getattr(settings, name)} should be {least} or more")
    if settings.baseline not in BASELINES:
        raise UserError(f"baseline={settings.baseline!r} is none of {', '.join(BASELINES)}")
    if unknown := [name for name in settings.methods if name not in METHODS]:
        raise UserError(f"methods: {unknown[0]!r} is none of {', '.join(METHODS)}")
    if not settings.methods or len(set(settings.methods)) < len(settings.methods):
        raise UserError(f"methods={settings.methods}: expected one or more of {', '.join(METHODS)}, each once")


def _refuse_ensembles(model: Model) -> None:
    """Members look at different places; a mean of their heat would be of none of them."""
    if isinstance(model.network, Ensemble):
        runs = model.about.get("runs") or []
        raise UserError(
            f"this is an ensemble of {len(model.network.members)} networks, and each looks at places of its own: "
            f"explain one of them, run={' or run='.join(map(str, runs)) or 'RUN'}"
        )


def _pictures(settings: ExplainSettings, run: Path) -> tuple[str, list[Picture]]:
    table = run / "split.csv"
    if not table.is_file():
        if settings.input is None:
            raise UserError(f"{run} has no split.csv, so its pictures are not known: say input=PICTURE_OR_FOLDER")
        return "", []
    return own_part(read_split(table), settings.split)


def _chosen(settings: ExplainSettings, model: Model, found: Survey, root: Path) -> list[tuple[Picture, str]]:
    """Pictures to explain, each with the reason."""
    if settings.input is not None:
        files = input_files(settings.input)[: 4 * settings.pictures]
        return [(Picture(str(path), "", 0), "Picture") for path in files]
    if not found.pictures:
        raise UserError(
            f"none of the run's pictures is where it was, under {root}. Put them back, or say input=PICTURE_OR_FOLDER"
        )
    return [(found.pictures[row], why) for row, why in telling(found, model, settings.pictures)]


def _heats(
    settings: ExplainSettings, model: Model, layer: MapLayer, pixels: Tensor
) -> tuple[dict[tuple[str, str], Tensor], float | None]:
    """Heat by method and target, `(n, height, width)` of the network's input; how incomplete its gradients are."""
    module = model.network.get_submodule(layer.name)
    found = {
        (method, target): heat_map(method, score, module, pixels, settings.baseline).cpu()
        for method in settings.methods
        for target, score in (("NG", model.of_pixels), ("GO", negated(model.of_pixels)))
    }
    if "integrated_gradients" not in settings.methods:
        return found, None
    empty = flat(pixels, settings.baseline)
    added = integrated_gradients(model.of_pixels, pixels, empty).sum((1, 2))
    with torch.no_grad():
        gained = model.of_pixels(pixels) - model.of_pixels(empty)
    return found, float((added - gained).abs().max())


def _onto_picture(
    model: Model, subject: Subject, heats: Mapping[tuple[str, str], Tensor], row: int
) -> dict[tuple[str, str], NDArray[np.float32]]:
    size = (subject.pixels.shape[0], subject.pixels.shape[1])
    place = model.preprocess.place(*size)
    return {key: restored(heat[row : row + 1], place, size)[0].numpy() for key, heat in heats.items()}


def _checked(
    settings: ExplainSettings,
    model: Model,
    layer: MapLayer,
    root: Path,
    pictures: Sequence[Picture],
    masks: Mapping[str, Path],
) -> Checked | None:
    with_mask = [picture for picture in pictures if picture.label == 1 and picture.path in masks]
    if settings.check is False or (settings.check is None and not with_mask):
        return None
    if not with_mask:
        raise UserError(
            f"check=true needs masks of the defects, as rendered fans have them (fans.csv); none are under {root}"
        )
    places = np.linspace(0, len(with_mask) - 1, min(settings.check_pictures, len(with_mask))).round().astype(int)
    fresh, _ = first_network(model.about, seed=int(model.about["settings"]["seed"]) + 1)
    assert fresh is not None
    taken = [with_mask[place] for place in places]
    return check_heat(
        model, with_network(model, fresh), layer.name, root, taken, masks, settings.methods, settings.baseline
    )


def _facts(
    settings: ExplainSettings, model: Model, layer: MapLayer, part: str, found: Survey, completeness: float | None
) -> list[tuple[str, str]]:
    network = str(model.about["network"]["_target_"]).rpartition(".")[2]
    height, width = model.preprocess.image_size
    facts = [
        ("network", f"{network}, pictures of {height}x{width}, weights of epoch {model.about['epoch']}"),
        ("pictures", settings.input or f"{len(found.pictures)} of the {part} part"),
        ("layer", f"{layer.name}: {layer.channels} maps of {layer.height}x{layer.width}, {layer.kind}"),
        ("decides", model.thresholds.in_words()),
        ("compared with", {"mean": "each picture's mean colour"}.get(settings.baseline, settings.baseline)),
        ("Grad-CAM", "Selvaraju et al. 2017; on the layer above"),
        ("occlusion", "Zeiler and Fergus 2014; squares of an eighth of the shorter side, half a square apart"),
        ("integrated gradients", "Sundararajan et al. 2017; 32 steps" + _distance(completeness)),
        ("pictures for a filter", f"gradient ascent with total variation, seed {settings.seed}"),
        ("pointing game", "Zhang et al. 2016; random weights as in Adebayo et al. 2018"),
    ]
    return facts


def _distance(completeness: float | None) -> str:
    return "" if completeness is None else f"; they miss the logit's gain by at most {completeness:.2g}"


def _cautions(model: Model, found: Survey, unread: int, left_out: str) -> list[str]:
    cautions = []
    trained, here = model.about.get("versions", {}).get("torch", ""), versions()["torch"]
    if trained.partition("+")[0] != here.partition("+")[0]:
        cautions.append(
            f"The run was trained with torch {trained}, this is {here}: the first weights are drawn anew here, and "
            "another version may draw others."
        )
    if found.left_out:
        cautions.append(f"{found.left_out} pictures of the part are gone or have changed since, and are left out.")
    if unread:
        cautions.append(f"{unread} of the chosen pictures cannot be read.")
    return [*cautions, *([left_out] if left_out else [])]


def _write(output: Path, explanation: Explanation, run: Path, model: Model) -> Path:
    """The page, the figures as files, and the figures on TensorBoard."""
    page, figures = output / NAME, output / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    with replacing(page) as file:
        file.write(explanation_page(explanation))
    images = [(plate.name, plate.png()) for plate in explanation.plates()]
    images += [(drawing.name, drawing.png()) for drawing in explanation.drawings()]
    for name, png in images:
        (figures / f"{name}.png").write_bytes(png)
    tagged = [(f"explain/{name}", png) for name, png in images]
    replace_images(events_folder(run) or output, SUFFIX, tagged, int(model.about["epoch"] or 0))
    return page


def _plain(subject: Subject) -> dict[str, Any]:
    return {
        "path": subject.name,
        "why": subject.why,
        **{name: getattr(subject, name) for name in ("label", "logit", "probability", "decision")},
    }


def _plain_check(checked: Checked) -> dict[str, Any]:
    sentences = dict(zip(checked.found, checked.verdicts(), strict=True))
    return {
        "part": checked.part,
        "pictures": next(iter(checked.found.values())).pictures,
        "methods": {
            method: {
                "all": found.as_plain(),
                "by_type": {kind: one.as_plain() for kind, one in checked.by_type[method].items()},
                "verdict": sentences[method][1],
            }
            for method, found in checked.found.items()
        },
    }
