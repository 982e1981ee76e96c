"""The story of `python -m fancnn.explain`: what a network learned, where it looks, and whether to believe that."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fancnn.data.defect_masks import find_masks
from fancnn.data.labeled_images import LabeledImage, read_split
from fancnn.errors import UserError
from fancnn.explain.explained_filters import first_filters, first_network, maps, maximized_filters
from fancnn.explain.explained_images import (
    ActivationStats,
    activation_stats,
    masks_of,
    own_split,
    representative_images,
    subjects,
)
from fancnn.explain.explanation_files import facts, warnings, write_numbers, write_page
from fancnn.explain.explanation_page import Checked, Explanation
from fancnn.explain.feature_maps import MapLayer, chosen_layer, map_layers
from fancnn.explain.heat_checks import validate_heat, with_network
from fancnn.explain.heat_panels import ExplainedImage, heat_panel
from fancnn.explain.heatmaps import flat, heat_map, integrated_gradients, layer_of, methods_of, negated, validate_captum
from fancnn.explain.pointing_game import restored
from fancnn.explain.settings import ExplainSettings, HeatMethod
from fancnn.files.run import BEST, LAST, Run
from fancnn.metrics.localization import NAMES
from fancnn.model import Model
from fancnn.networks import Ensemble
from fancnn.plurals import plural
from fancnn.predict.predict import input_files
from fancnn.runs import checkpoints
from fancnn.runs.earlier_run import warn_of_unfinished
from fancnn.system.console import say
from fancnn.system.devices import chosen_device


def explain(settings: ExplainSettings) -> Path:
    """Write a page, its figures as PNG files and `explain.json`; the figures go onto TensorBoard, too.

    Returns:
        The page.

    Raises:
        UserError: If captum is missing, the run or its images cannot be found, or a key is out of range.
    """
    validate_captum()
    settings.validate_paths()
    checkpoint = checkpoints.find(settings.run, (BEST, LAST))
    where = chosen_device(settings.device)
    model = checkpoints.load(checkpoint, where, unfinished=True, image_limits=settings.image_limits)
    warn_of_unfinished(checkpoint, model)
    _refuse_ensembles(model)
    methods = methods_of(settings.methods, model.network)
    layers = map_layers(model.network, model.preprocess.image_size)
    layer = chosen_layer(layers, settings.layer)
    run, root = Run.of_checkpoint(checkpoint).folder, Path(model.metadata.root)
    split, images = _images(settings, run)
    stats = activation_stats(model, layer, root, images)
    masks = masks_of(root) if settings.masks is None else find_masks(settings.masks, images, "masks")
    chosen = _chosen(settings, model, stats, root)
    shown, pixels = subjects(model, Path() if settings.input else root, chosen, {} if settings.input else masks)
    heats, completeness = _heats(settings, model, layer, methods, pixels)
    say("first filters, before and after training")
    banks, first_layer = first_filters(model)
    surest = max(range(len(shown)), key=lambda row: shown[row].probability)  # there is most to be seen
    say(f"maps of {plural(len(layers), 'layer')} on {shown[surest].name}")
    feature_map_panels, left_out, dense, dense_note = maps(
        model, layers, pixels[surest : surest + 1], settings.channels
    )
    if stats.images and settings.filters:
        say(f"what {plural(settings.filters, 'filter')} of {layer.name} like: images made by gradient ascent")
    origin = settings.input or f"{len(stats.images)} of the {split} split"
    explanation = Explanation(
        title=run.name or str(run),
        facts=facts(settings, model, layer, origin, completeness),
        warnings=warnings(model, stats.left_out, len(chosen) - len(shown)),
        heat=[
            heat_panel(number, subject, _onto_image(model, subject, heats, number))
            for number, subject in enumerate(shown)
        ],
        filters=banks,
        maximized_filters=maximized_filters(model, layer, stats, root, settings.filters, settings.seed),
        maps=feature_map_panels,
        maps_of=shown[surest].name,
        maps_note=left_out,
        dense=dense,
        dense_note=dense_note,
        methods=methods,
        checked=_checked(settings, model, layer, methods, root, stats.images, masks),
    )
    origins = {"run": str(run.resolve()), "epoch": model.metadata.epoch, "split": None if settings.input else split}
    origins["weights_sha256"] = model.weights_sha256
    taken = {"layer": layer.name, "methods": [*map(str, methods)], "baseline": settings.baseline}
    numbers = {**origins, **taken, "completeness": completeness, "first_layer": first_layer}
    write_numbers(Path(settings.output_dir), numbers, shown, explanation.checked)
    return _leave_page(settings, explanation, run, int(model.metadata.epoch or 0))


def _leave_page(settings: ExplainSettings, explanation: Explanation, run: Path, epoch: int) -> Path:
    say("drawing the page")
    page = write_page(Path(settings.output_dir), explanation, run, epoch)
    for _, sentence in explanation.checked.conclusions() if explanation.checked else []:
        say(sentence)
    say(f"explanation: {page}")
    return page


def _refuse_ensembles(model: Model) -> None:
    """Refuse an ensemble: its members look at different places, and a mean of their heat would be of none of them."""
    if isinstance(model.network, Ensemble):
        runs = model.metadata.runs or []
        raise UserError(
            f"this is an ensemble of {len(model.network.members)} networks, and each looks at places of its own: "
            f"explain one of them, run={' or run='.join(map(str, runs)) or 'RUN'}"
        )


def _images(settings: ExplainSettings, run: Path) -> tuple[str, list[LabeledImage]]:
    table = Run(run).split
    if not table.is_file():
        if settings.input is None:
            raise UserError(f"{run} has no split.csv, so its images are not known: say input=IMAGE_OR_FOLDER")
        return "", []
    split, images = own_split(read_split(table), settings.split)
    say(f"looking through {plural(len(images), 'image')} of the {split} split")
    return split, images


def _chosen(
    settings: ExplainSettings, model: Model, stats: ActivationStats, root: Path
) -> list[tuple[LabeledImage, str]]:
    """Return images to explain, each with the reason."""
    if settings.input is not None:
        files = input_files(settings.input)[: 4 * settings.images]
        return [(LabeledImage(str(path), "", 0), "LabeledImage") for path in files]
    if not stats.images:
        raise UserError(
            f"none of the run's images is where it was, under {root}. Put them back, or say input=IMAGE_OR_FOLDER"
        )
    return [(stats.images[row], why) for row, why in representative_images(stats, model, settings.images)]


def _heats(
    settings: ExplainSettings, model: Model, layer: MapLayer, methods: Sequence[HeatMethod], pixels: Tensor
) -> tuple[dict[tuple[str, str], Tensor], float | None]:
    """Return heat by method and target, `(n, height, width)` in input pixels, and how incomplete its gradients are."""
    names = ", ".join(NAMES[method] for method in methods)
    say(f"heat maps of {plural(len(pixels), 'image')}: {names}")
    heats = {
        (str(method), target): heat_map(
            method, score, layer_of(method, model.network, layer.name), pixels, settings.baseline
        ).cpu()
        for method in methods
        for target, score in (("NG", model.of_pixels), ("GO", negated(model.of_pixels)))
        if method != "cells" or target == "NG"  # a cell has one logit
    }
    if "integrated_gradients" not in methods:
        return heats, None
    empty = flat(pixels, settings.baseline)
    added = integrated_gradients(model.of_pixels, pixels, empty).sum((1, 2))
    with torch.no_grad():
        gained = model.of_pixels(pixels) - model.of_pixels(empty)
    return heats, float((added - gained).abs().max())


def _onto_image(
    model: Model, subject: ExplainedImage, heats: Mapping[tuple[str, str], Tensor], row: int
) -> dict[tuple[str, str], NDArray[np.float32]]:
    size = (subject.pixels.shape[0], subject.pixels.shape[1])
    place = model.preprocess.place(*size)
    return {key: restored(heat[row : row + 1], place, size)[0].numpy() for key, heat in heats.items()}


def _checked(
    settings: ExplainSettings,
    model: Model,
    layer: MapLayer,
    methods: Sequence[HeatMethod],
    root: Path,
    images: Sequence[LabeledImage],
    masks: Mapping[str, Path],
) -> Checked | None:
    with_mask = [image for image in images if image.label == 1 and image.path in masks]
    if settings.check is False or (settings.check is None and not with_mask):
        return None
    if not with_mask:
        raise UserError(
            "check=true needs masks of defects: say masks=FOLDER, or explain a run on a rendered set, whose table "
            f"(fans.csv, surfaces.csv) names some; {root} has none"
        )
    places = np.linspace(0, len(with_mask) - 1, min(settings.check_images, len(with_mask))).round().astype(int)
    fresh, _ = first_network(model.metadata, seed=int(model.metadata.settings["seed"]) + 1)
    assert fresh is not None
    taken = [with_mask[place] for place in places]
    say(f"check on {plural(len(taken), 'image')} with known defects, by the trained network and by random weights")
    return validate_heat(model, with_network(model, fresh), layer.name, root, taken, masks, methods, settings.baseline)
