"""What `init=RUN` does: find that run's weights, give the network those that fit, say which, and which are frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fancnn.data.class_weights import ClassCounts, log_priors
from fancnn.data.seen_images import NOTHING_SEEN, SeenImages
from fancnn.decisions.backbone import Backbone, kept_preprocess
from fancnn.decisions.model_metadata import CheckpointMetadata
from fancnn.errors import UserError
from fancnn.files.run import BEST, LAST
from fancnn.images.preprocess import Preprocess
from fancnn.model import Model
from fancnn.runs import checkpoints
from fancnn.settings.groups import PreprocessSettings
from fancnn.settings.training import TrainSettings
from fancnn.system.console import say
from fancnn.training.layer_freezing import LayerFreezing
from fancnn.training.output_bias import set_output_bias
from fancnn.training.transfer import fitting_layers, layer_names, layers_in_words, load_matching_layers

PREFIX = "model.network."


@dataclass(frozen=True)
class Origin:
    """A checkpoint to start from: what it says of itself, and the weights that it has learnt."""

    path: Path
    metadata: CheckpointMetadata
    weights: Mapping[str, Tensor]


def find_origin(settings: TrainSettings) -> Origin | None:
    """Return the checkpoint that `init` names; None if it is null, or if a run is resumed, whose own weights count.

    Raises:
        UserError: If there is none, it is an ensemble, or its weights are not all finite.
    """
    if settings.init is None or settings.ckpt is not None:
        return None
    if (weights := settings.model.network.get("weights")) is not None:
        raise UserError(
            f"init={settings.init} and model.network.weights={weights} both say what the weights start as: take one. "
            "What a run has of weights that learnt elsewhere comes with init"
        )
    path = checkpoints.find(settings.init, (BEST, LAST))
    checkpoint = checkpoints.read(path)
    metadata, state = checkpoint.metadata, checkpoint.content["state_dict"]
    if metadata.runs is not None:
        raise UserError(f"init={settings.init} is an ensemble of {len(metadata.runs)} runs: start with one of those")
    weights = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    checkpoints.validate_finite(weights, path)
    if why := checkpoints.why_incomplete(path, metadata):
        say(f"warning: init={settings.init}: {why}. It starts with the weights that are there")
    if (learnt := metadata.learnt) is not None:  # what a pretraining has not taught is as random there as here
        weights = {name: value for name, value in weights.items() if name.rpartition(".")[0] in learnt}
    return Origin(path, metadata, weights)


def start_from(
    origin: Origin | None, fresh: Model, settings: TrainSettings, counts: ClassCounts
) -> dict[str, Any] | None:
    """Give `fresh` the layers of `origin` that fit.

    A first layer of hand-made filters that stays as it starts (`first_layer`, `freeze_first_layer`) is kept: that was
    asked for by name. So is an output bias, and the last layer where that of the other run tells other types apart.

    Returns:
        What the checkpoint says of it, under `init`; nothing without an origin.
    """
    if origin is None:
        return None
    network, options = fresh.network, settings.model.network
    keep: set[str] = set()
    if options.get("first_layer"):
        keep |= {name.rpartition(".")[0] for name, weight in network.named_parameters() if not weight.requires_grad}
    if tuple(origin.metadata.outputs) != fresh.outputs:
        keep |= set(_last_linear(network))
    try:
        carried = load_matching_layers(network, origin.weights, keep)
    except UserError as error:
        raise UserError(f"init={settings.init}: {error}") from error
    if settings.model.output_bias is not None:
        set_output_bias(network, log_priors(counts))
    take_backbones(fresh, settings.data, origin.metadata.backbones)
    return {
        "path": str(origin.path.resolve()),
        "epoch": origin.metadata.epoch,
        "task": origin.metadata.task or "inspection",
        "layers": list(carried.layers),
        "weights_sha256": carried.sha256,
    }


def earlier_origin(earlier: Path | None) -> Mapping[str, Any] | None:
    """Return what an earlier run, which goes on, says of where it came from."""
    return None if earlier is None else checkpoints.read(earlier).metadata.init


def take_backbones(model: Model, data: PreprocessSettings, backbones: Sequence[Mapping[str, Any]] | None) -> None:
    """Say where weights of `model` come from that learnt elsewhere, and normalise its images as these have learnt.

    Args:
        model: Has weights of theirs, by way of another run or of an earlier part of this one.
        data: How images are prepared, which counts where it says how to normalise.
        backbones: As the checkpoint of that run says; nothing changes where there are none.
    """
    if backbones:
        model.preprocess = Preprocess(**kept_preprocess(data, backbones))
        model.metadata = replace(model.metadata, backbones=backbones)


def print_backbones(backbones: Sequence[Mapping[str, Any]] | None, preprocess: Mapping[str, Any]) -> None:
    """Print whose weights a training starts with, under which licence, and how its images are normalised for them."""
    for plain in backbones or ():
        backbone = Backbone(**plain)
        say(f"weights: {backbone.in_words()}")
        say(f"  images are normalised: mean={preprocess['mean']} std={preprocess['std']}")
        if warning := backbone.license_warning():
            say(f"warning: {warning}")


def inherited(seen: SeenImages) -> SeenImages:
    """Return what weights bring along of the images that their model has seen: not its calibration and thresholds."""
    return seen.without("calibration", "thresholds")


def seen_by_origin(origin: Origin | None) -> SeenImages:
    """Return the images that the layers of another run bring along; none without an origin."""
    return NOTHING_SEEN if origin is None else inherited(checkpoints.seen_by(origin.path, origin.metadata))


def seen_by_earlier(earlier: Path | None) -> SeenImages:
    """Return the images that an earlier run, which goes on, had seen up to there, its own origin's among them."""
    if earlier is None:
        return NOTHING_SEEN
    return inherited(checkpoints.seen_by(earlier, checkpoints.read(earlier).metadata))


def _last_linear(network: nn.Module) -> list[str]:
    return [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)][-1:]


def print_start(origin: Origin, fresh: Model, layers: Sequence[str], settings: TrainSettings) -> None:
    """Print which layers came over and which start fresh, and whether images are prepared otherwise than there."""
    names = layer_names(fresh.network)
    new = [name for name in names if name not in layers]
    task = origin.metadata.task
    kind = f"a pretraining ({task})" if task else "a training"
    say(f"init: {len(layers)} of {len(names)} layers start with those of {kind}, {origin.path}")
    say(f"  from there: {layers_in_words(layers, names)}; fresh: {layers_in_words(new, names) if new else 'none'}")
    if behind := [name for name in fitting_layers(fresh.network, origin.weights)[1] if name in new]:
        say(
            f"  {layers_in_words(behind, names)} would fit, but come after a fresh layer, whose output they do not know"
        )
    there, used = origin.metadata.preprocess, kept_preprocess(settings.data, fresh.metadata.backbones)
    pairs = [(name, value, used[name]) for name, value in there.items()]
    if differing := [f"{name} {value} there, {here} here" for name, value, here in pairs if value != here]:
        say(f"  images are prepared otherwise than there: {'; '.join(differing)}")
    if not fresh.seen_images.complete:
        say("warning: which images those layers have seen is not recorded: scores on any of them would be too good")


def print_frozen(model: Model, settings: TrainSettings, carried: Sequence[str]) -> None:
    """Print which layers are frozen and until when, and warn of those that nothing has taught; nothing if none are.

    Args:
        model: Before its training.
        settings: Of the training.
        carried: Layers that came from another run.
    """
    freeze, options = settings.freeze, settings.model.network
    if freeze.layers is None:
        return
    frozen = LayerFreezing(freeze.layers).frozen_layers(model.network)
    names = layer_names(model.network)
    of_frozen = {name: layer for name, layer in model.network.named_modules() if layer in frozen}
    until = "to the end" if freeze.until_epoch is None else f"in the first {_epochs(freeze.until_epoch)}, then learn"
    say(f"freeze: {layers_in_words(of_frozen, names)} stay as they start {until}")
    kernels = [name for name, layer in of_frozen.items() if any(weight.ndim > 1 for weight in layer.parameters(False))]
    taught = [*carried, *([names[0]] if options.get("first_layer") else [])]
    if options.get("weights"):
        last: tuple[str, ...] = getattr(model.network, "last_layers", ())
        taught += [name for name in names if not f"{name}.".startswith(last)]
    if untaught := [name for name in kernels if name not in taught]:
        say(
            f"warning: freeze: {layers_in_words(untaught, names)} start at random, and frozen they stay so: nothing "
            "has taught them. Start with the layers of a run, init=RUN, or freeze fewer"
        )


def _epochs(count: int) -> str:
    return "epoch" if count == 1 else f"{count} epochs"
