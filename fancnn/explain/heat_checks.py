"""Whether heat lies on the defects: of the trained network, and of the same network with random weights."""

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

import torch
from torch import nn

from fancnn.data.defect_masks import read_mask
from fancnn.data.labeled_images import LabeledImage
from fancnn.explain.explanation_page import Checked
from fancnn.explain.heatmaps import heat_map, layer_of
from fancnn.explain.pointing_game import PointingGameSample, by_chance, pointing_result, restored
from fancnn.images.reading import read_image
from fancnn.metrics.localization import Place, localisation
from fancnn.model import Model
from fancnn.system.console import track

BATCH = 8


def validate_heat(
    model: Model,
    untrained: Model,
    layer: str,
    root: Path,
    images: Sequence[LabeledImage],
    masks: Mapping[str, Path],
    methods: Sequence[str],
    baseline: str,
) -> Checked:
    """Hold the heat for NG against the masks.

    Args:
        model: That is explained.
        untrained: The same with random weights.
        layer: Of Grad-CAM.
        root: Folder of the images.
        images: NG ones with a mask.
        masks: Of each, by path.
        methods: Names of heat maps.
        baseline: That they compare with.
    """
    places: dict[str, list[Place]] = {method: [] for method in methods}
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    for batch in track(batches, "checking heat", len(batches)):
        truth = [read_mask(masks[image.path], root / image.path, model.gate) for image in batch]
        trained = _heats(model, layer, root, batch, methods, baseline, truth)
        random = _heats(untrained, layer, root, batch, methods, baseline, truth)
        for row, (image, mask) in enumerate(zip(batch, truth, strict=True)):
            guess = by_chance(mask)
            for method in methods:
                ours, theirs = trained[method][row], random[method][row]
                places[method].append(
                    Place(
                        kind=image.defect_type,
                        share=ours.share,
                        hit=ours.hit,
                        blank=ours.blank,
                        untrained_share=theirs.share,
                        untrained_hit=theirs.hit,
                        untrained_blank=theirs.blank,
                        area=guess.area,
                        pointing=guess.pointing,
                        centre=guess.centre,
                    )
                )
    return Checked(
        split=images[0].split,
        by_method={method: localisation(of) for method, of in places.items()},
        by_type={
            method: {
                kind: localisation([place for place in of if place.kind == kind])
                for kind in sorted({place.kind for place in of})
            }
            for method, of in places.items()
        },
    )


def with_network(model: Model, network: nn.Module) -> Model:
    """Return a model like `model` around another network."""
    other = copy(model)
    other._modules = dict(model._modules)
    other.network = network.to(model.device).to(memory_format=torch.channels_last)
    return other.eval()


def _heats(
    model: Model,
    layer: str,
    root: Path,
    images: Sequence[LabeledImage],
    methods: Sequence[str],
    baseline: str,
    masks: Sequence[torch.Tensor],
) -> dict[str, list[PointingGameSample]]:
    originals = [
        torch.from_numpy(read_image(root / image.path, model.preprocess.background, model.gate)) for image in images
    ]
    fitted = torch.cat([model.preprocess.fit(original.permute(2, 0, 1)[None]) for original in originals])
    pixels = model.preprocess.scaled(fitted.to(model.device))
    samples: dict[str, list[PointingGameSample]] = {}
    for method in methods:
        heat = heat_map(method, model.of_pixels, layer_of(method, model.network, layer), pixels, baseline).cpu()
        samples[method] = []
        for one, original, mask in zip(heat, originals, masks, strict=True):
            height, width = mask.shape
            whole = restored(one[None], model.preprocess.place(*original.shape[:2]), (height, width))[0]
            samples[method].append(pointing_result(whole, mask))
    return samples
