"""Configuration becomes objects here; below this file nobody has heard of Hydra.

The only module that knows `hydra.utils.instantiate`. It builds what these packages define and nothing else, so
that a configuration, which a checkpoint file carries too, cannot name just any function.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fancnn.augmentation import Augment, Plant
from fancnn.cli.command import in_sweep
from fancnn.data.class_weights import ClassCounts, equal_counts, log_priors
from fancnn.data.datamodule import ImageDataModule
from fancnn.data.folders import Listing, list_images, list_unlabelled
from fancnn.data.image_sizes import common_size, typical_size
from fancnn.data.label_modes import FRESH, ONE
from fancnn.data.split_plan import SplitPlan
from fancnn.data.windows import WindowPlan
from fancnn.decisions.backbone import Backbone, kept_preprocess
from fancnn.decisions.model_metadata import CheckpointMetadata
from fancnn.errors import UserError, collected, under
from fancnn.fans.fans import cached_fans
from fancnn.files.trusted_classes import trusted
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess
from fancnn.metrics.thresholds import Thresholds
from fancnn.model import Model
from fancnn.networks import ConvNet, PatchNet, ResidualNet
from fancnn.networks.cell_network import cell_network
from fancnn.networks.sizes import is_small, training_bytes
from fancnn.settings.choices import Resize
from fancnn.settings.groups import (
    AugmentSettings,
    DataSettings,
    DecisionSettings,
    ImageLimits,
    ImageSettings,
    PlantSettings,
    PreprocessSettings,
)
from fancnn.settings.pretraining import PretrainSettings
from fancnn.settings.training import TrainSettings
from fancnn.settings.validation import (
    are_right,
    is_count,
    validate_described,
    validate_image_size,
    validate_seed,
    validate_thresholds,
)
from fancnn.surfaces.surfaces import cached_surfaces
from fancnn.system.cache_folder import cache_folder
from fancnn.system.memory import memory_bytes
from fancnn.training.checkpointing import AtomicCheckpointIO
from fancnn.training.classifier import Classifier
from fancnn.training.factories import accepted, validate_loss, validate_makers, validate_network, validate_takes_outputs
from fancnn.training.layer_freezing import freezing_callbacks
from fancnn.training.losses import with_balanced_weights
from fancnn.training.output_bias import set_output_bias
from fancnn.training.precision import hardware_precision
from fancnn.training.quiet_lightning import quiet_lightning
from fancnn.training.regularization import KernelPenalty
from fancnn.training.window_search import WindowSearch

T = TypeVar("T")
Labelled = TypeVar("Labelled", bound=TrainSettings)
LOGGER: Any = Logger  # abstract, and none is made of it
ALLOWED = ("fancnn", "torch.nn", "torch.optim", "pytorch_lightning")


def build(config: Mapping[str, Any], key: str, *, later: bool = False, **more: Any) -> Any:
    """Return the object that `config` describes by its `_target_`.

    Args:
        config: `_target_` and arguments.
        key: Where it stands in the configuration, for messages.
        later: Whether the object is made later, of something that is not there yet: then a maker of it is returned.
        more: Arguments that are objects already.

    Raises:
        UserError: If the target is unknown or not allowed, or refuses its arguments.
    """
    validate_described(key, config, later=later)
    for target in _targets(config):
        _validate_target(target, key)
    try:
        return instantiate(dict(config), **more, _convert_="all")
    except HydraException as error:
        cause = error.__cause__ or error
        raise UserError(f"{key}: {cause}{accepted(cause, get_object(config['_target_']))}") from error


def _built(config: Mapping[str, Any], key: str, kind: type[T], **more: Any) -> T:
    """Return, as `build`, an object of that kind.

    Raises:
        UserError: If it is another.
    """
    return _of_kind(build(config, key, **more), config, key, kind)


def _built_all(config: Mapping[str, Any], key: str, kind: type[T]) -> list[T]:
    """Return, as `_built`; what gives a list gives several."""
    made = build(config, key)
    if isinstance(made, list) and all(isinstance(item, kind) for item in made):
        return made
    return [_of_kind(made, config, key, kind)]


def _of_kind(made: Any, config: Mapping[str, Any], key: str, kind: type[T]) -> T:
    if not isinstance(made, kind):
        raise UserError(f"{key}._target_={config['_target_']!r} gives {_a(type(made))}. Expected {_a(kind)}")
    return made


def _a(kind: type) -> str:
    return f"a{'n' if kind.__name__[0] in 'AEIOU' else ''} {kind.__name__}"


def preprocess(data: ImageSettings) -> Preprocess:
    """Return the preprocessing of the data, and of a model that has learnt nothing elsewhere."""
    with under("data"):
        return Preprocess(**{item.name: getattr(data, item.name) for item in fields(PreprocessSettings)})


def images_root(data: DataSettings) -> Path:
    """Return the folder of the images; a sample is rendered where it is asked for the first time.

    Raises:
        UserError: If the configuration names none.
    """
    if data.root is not None:
        return Path(data.root).expanduser()
    if data.fans is not None:
        return cached_fans(data.fans)
    if data.surfaces is not None:
        return cached_surfaces(data.surfaces)
    raise UserError("data.root says where your images are: a folder of class folders, e.g. data.root=/photos")


def with_native_size(settings: Labelled) -> Labelled:
    """Return the settings with the image size that `data.reduce` comes to on their images, if it is given.

    Raises:
        UserError: If the images cannot be listed, or are too large for a network.
    """
    data = settings.data
    if data.reduce is None:
        return settings
    size = _native_size(data, list_images(images_root(data), data.go_class), settings.image_limits)
    settings = with_image_size(settings, size)
    return replace(settings, data=replace(settings.data, resize=Resize.pad))


def with_image_size(settings: Labelled, size: list[int]) -> Labelled:
    """Return the settings with another `data.image_size`, height and width, and a network for it."""
    network = _of_size(settings.model.network, settings.data.image_size, size)
    return replace(
        settings,
        data=replace(settings.data, image_size=size),
        model=replace(settings.model, network=network),
    )


def typical_image_size(settings: TrainSettings) -> tuple[int, int]:
    """Return the median height and the median width of the images, pixels.

    Raises:
        UserError: If the images cannot be listed, or none can be read.
    """
    listing = list_images(images_root(settings.data), settings.data.go_class)
    files = [listing.root / image.path for image in listing.images]
    try:
        return typical_size(files, ImageGate(settings.image_limits))
    except ValueError as error:
        raise UserError(f"{error}: {listing.root}") from error


def with_native_size_unlabelled(settings: PretrainSettings) -> PretrainSettings:
    """Return, as `with_native_size`, the settings of a training without labels."""
    data = settings.data
    if data.reduce is None:
        return settings
    size = _native_size(data, list_unlabelled(data.root), settings.image_limits)
    network = _of_size(settings.model.network, data.image_size, size)
    return replace(
        settings,
        data=replace(data, image_size=size, resize=Resize.pad),
        model=replace(settings.model, network=network),
    )


def _native_size(data: ImageSettings, listing: Listing, limits: ImageLimits) -> list[int]:
    files = [listing.root / image.path for image in listing.images]
    try:
        size = list(common_size(files, data.reduce or 1, ImageGate(limits)))
        validate_image_size(size)
    except ValueError as error:
        raise UserError(f"data.reduce={data.reduce} of the images under {listing.root}: {error}") from error
    return size


def _of_size(network: Mapping[str, Any], before: Sequence[int], size: list[int]) -> dict[str, Any]:
    """Return the network's description for images of that size, where it was for that of the configuration."""
    return {**network, "image_size": size} if network.get("image_size") == before else {**network}


def prepared(network: nn.Module, data: ImageSettings) -> tuple[Preprocess, list[dict[str, Any]] | None]:
    """Return the preprocessing of a fresh network, and its backbones as files keep them.

    Images are normalised as the weights have learnt to see them, if they have learnt elsewhere.

    Raises:
        UserError: If `data` says something else.
    """
    backbone: Backbone | None = getattr(network, "backbone", None)
    if backbone is None:
        return preprocess(data), None
    backbone.validate_preprocess(data)
    kept = [backbone.to_dict()]
    return Preprocess(**kept_preprocess(data, kept)), kept


def read_images(settings: TrainSettings) -> ImageDataModule:
    """Return the images that the configuration names, read and split."""
    root = images_root(settings.data)
    windows = None if settings.windows is None else WindowPlan(settings.windows.side, settings.windows.repeat)
    data = datamodule(
        *(settings.data, root, settings.seed, settings.model.labels),
        image_limits=settings.image_limits,
        windows=windows,
        masks=settings.data.masks,
    )
    data.setup()
    return data


def datamodule(
    data: DataSettings,
    root: Path,
    seed: int,
    labels: str = "binary",
    *,
    labelled: bool = True,
    image_limits: ImageLimits | None = None,
    windows: WindowPlan | None = None,
    masks: str | None = None,
) -> ImageDataModule:
    """Return the images under `root`, not read yet."""
    fit = preprocess(data)
    with under("data"):
        plan = SplitPlan(
            method=data.split_method,
            val_fraction=data.val_fraction,
            test_fraction=data.test_fraction,
            group=data.group,
            part=data.part,
            part_labels=data.part_labels,
            split_file=data.split_file,
            seed=seed,
        )
        return ImageDataModule(
            root,
            data.go_class,
            fit,
            plan,
            cache=_decoded_folder(data.cache),
            on_bad_file=data.on_bad_file,
            sampler=data.sampler,
            labels=labels,
            batch_size=data.batch_size,
            eval_batch_size=data.eval_batch_size,
            seed=seed,
            labelled=labelled,
            image_limits=image_limits,
            windows=windows,
            masks=masks,
        )


def _decoded_folder(cache: str | None) -> Path | None:
    if cache is None:
        return None
    return (cache_folder() if cache == "auto" else Path(cache).expanduser()) / "decoded"


def network(config: Mapping[str, Any], outputs: int = 1) -> nn.Module:
    """Return the network that a configuration or a checkpoint describes, with `outputs` outputs if several."""
    if outputs > 1 and "_target_" in config:
        _validate_target(str(config["_target_"]), "model.network")
        validate_takes_outputs(get_object(config["_target_"]), outputs)
    several: dict[str, Any] = {"outputs": outputs} if outputs > 1 else {}
    validate_memory(config, outputs)
    return _built(config, "model.network", nn.Module, **several)


def validate_memory(config: Mapping[str, Any], outputs: int = 1, batch: int = 1) -> None:
    """Refuse a network of this package that this computer cannot hold in training, before it is made.

    Args:
        config: Describes the network.
        outputs: Of it.
        batch: Images of a step.

    Raises:
        UserError: Saying how much memory it would take.
    """
    size = config.get("image_size")
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(map(is_count, size)):
        return  # the network itself says what is wrong
    height, width = size
    pixels = height * width
    numbers = [*_numbers(config), pixels // 256, batch * pixels // 2**15]
    known = [f"fancnn.networks.{kind.__name__}" for kind in (ConvNet, ResidualNet, PatchNet)]
    if config.get("_target_") not in known or is_small(*numbers) or (have := memory_bytes()) is None:
        return
    several: dict[str, Any] = {"outputs": outputs} if outputs > 1 else {}
    try:
        needed = training_bytes(lambda: _built(config, "model.network", nn.Module, **several), (height, width), batch)
    except (RuntimeError, OverflowError) as error:
        raise UserError("model.network: its layers are larger than any memory. Take smaller ones") from error
    if needed > have:
        raise UserError(
            f"model.network for data.image_size=[{height},{width}] would take about {needed / 1e9:,.0f} GB to train on "
            f"{batch} at a time, and there are {have / 1e9:,.0f} GB. Take smaller images or layers, or model=residual, "
            "whose size does not depend on that of the images"
        )


def _numbers(config: Any) -> list[int]:
    if isinstance(config, Mapping | list | tuple):
        values = config.values() if isinstance(config, Mapping) else config
        return [number for value in values for number in _numbers(value)]
    return [config] if isinstance(config, int) else []


def model(
    settings: TrainSettings,
    classes: Iterable[str],
    counts: ClassCounts | None = None,
    outputs: Sequence[str] | None = None,
) -> Model:
    """Return a fresh model; its first weights depend on the seed alone.

    The bias of its output depends on the training split, if that is asked for.
    """
    names = tuple(outputs or FRESH[settings.model.labels])
    torch.manual_seed(settings.seed)
    fresh = network(settings.model.network, len(names))
    if settings.model.output_bias is not None:
        set_output_bias(fresh, log_priors(counts or equal_counts(names)))
    fit, backbones = prepared(fresh, settings.data)
    return Model(
        fresh,
        fit,
        classes=tuple(classes),
        go_class=settings.data.go_class,
        outputs=names,
        thresholds=thresholds(settings.decision),
        metadata=CheckpointMetadata(backbones=backbones),
        cell_threshold=settings.decision.cell_threshold,
        mm_per_pixel=settings.data.mm_per_pixel,
        part=settings.data.part,
    )


def thresholds(decision: DecisionSettings) -> Thresholds:
    """Return the configured thresholds, until a rule has chosen."""
    return Thresholds.of(decision.threshold, decision.recheck)


def classifier(
    settings: TrainSettings,
    fresh: Model,
    description: Mapping[str, Any],
    counts: ClassCounts | None = None,
    val_parts: Sequence[str] | None = None,
) -> Classifier:
    """Return the training of `fresh` on a split with so many GO and NG, or of each type.

    `val_parts` has the part of each validation image, where there are several of one.
    """
    strength = settings.regularization
    loss = with_balanced_weights(settings.model.loss, counts or equal_counts(fresh.outputs))
    with collected() as check:
        optimizer, schedule = check(lambda: makers(settings.model.optimizer, settings.schedule, fresh)) or (None, None)
        criterion = check(lambda: _loss(loss, len(fresh.outputs)))
        changes = check(lambda: augment(settings.augment))
        if changes is not None and changes.mixing and settings.data.masks is not None:
            raise UserError("data.masks: images that augment mixes have no mask. Leave mixing out, or data.masks=null")
        planted = check(lambda: plant(settings.plant))
    assert optimizer is not None  # else the block has ended with the mistake
    assert criterion is not None
    return Classifier(
        fresh,
        criterion,
        optimizer,
        schedule,
        augment=changes,
        plant=planted,
        penalty=KernelPenalty(strength.l1, strength.l2) if strength.l1 or strength.l2 else None,
        seed=settings.seed,
        description=description,
        layer_decay=settings.model.optimizer.get("layer_decay"),
        val_parts=val_parts,
    )


def makers(
    optimizer: Mapping[str, Any], schedule: Mapping[str, Any] | None, network: nn.Module
) -> tuple[Callable[..., Optimizer], Callable[..., LRScheduler] | None]:
    """Return what makes the optimizer of `network`, and its schedule if there is one; both were tried."""
    with collected() as check:
        described = {name: value for name, value in optimizer.items() if name != "layer_decay"}
        made = check(lambda: build(described, "model.optimizer", later=True))
        of_rate = check(lambda: None if schedule is None else build(schedule, "schedule", later=True))
        check(lambda: validate_makers(made, of_rate, network, optimizer.get("layer_decay")))
    assert made is not None  # else the block has ended with the mistake
    return made, of_rate


def _loss(config: Mapping[str, Any], outputs: int) -> nn.Module:
    """Return the loss, which was tried on two images."""
    made = _built(config, "model.loss", nn.Module)
    validate_loss(made, outputs)
    return made


def augment(settings: AugmentSettings | None) -> Augment | None:
    """Return what training images go through, if anything; a transform of null is left out."""
    if settings is None:
        return None
    transforms = _each(settings.transforms, "augment.transforms", object)
    with under("augment"):
        return Augment(transforms, settings.border)


def plant(settings: PlantSettings | None) -> Plant | None:
    """Return what is planted on good training images, if anything; a defect of null is left out."""
    if settings is None:
        return None
    defects = _each(settings.defects, "plant.defects", object)
    with under("plant"):
        return Plant(defects, settings.share, settings.most)


def _each(nodes: Mapping[str, Any], group: str, kind: type[T]) -> list[T]:
    """Return the objects of a group; an entry of null is left out, one may make several."""
    with collected() as check:
        made = [
            check(partial(_built_all, node, f"{group}.{name}", kind))
            for name, node in nodes.items()
            if node is not None
        ]
    return [item for items in made for item in items or ()]  # None stands for a mistake: those have ended the block


def trainer(settings: TrainSettings | PretrainSettings) -> Trainer:
    """Return Lightning's trainer with the callbacks and loggers of the configuration; an entry of null is left out."""
    validate_seed(settings.seed)
    quiet_lightning()
    seed_everything(settings.seed, workers=True, verbose=False)
    with collected() as check:
        callbacks = check(lambda: _each(settings.callbacks, "callbacks", Callback)) or []
        loggers = check(lambda: _each(settings.logger, "logger", LOGGER))
    if isinstance(settings, TrainSettings):
        callbacks += freezing_callbacks(settings.freeze.layers, settings.freeze.until_epoch)
        if settings.windows is not None:  # after averaging, whose weights are in place when it looks
            callbacks.append(WindowSearch(settings.windows.warm_up, settings.windows.every))
    made = _built(
        {**settings.trainer, "precision": precision(settings)[0]},
        "trainer",
        Trainer,
        callbacks=callbacks,
        logger=loggers or False,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=settings.output_dir,
        num_sanity_val_steps=0,  # data and model were checked; the first epoch validates anyway
        enable_progress_bar=False,  # ours is cheaper and is silent in a log file
        enable_model_summary=False,
        use_distributed_sampler=False,  # SeededBatchSampler shares training images out; validation is not shared
    )
    if in_sweep():
        _refuse_processes_in_a_sweep(made)
    return made


def precision(settings: TrainSettings | PretrainSettings) -> tuple[str, str]:
    """Return the precision of the training, and why it is that."""
    asked = str(settings.trainer.get("precision", "auto"))
    accelerator = str(settings.trainer.get("accelerator", "auto"))
    return hardware_precision(accelerator) if asked == "auto" else (asked, "as asked for")


def check(settings: TrainSettings) -> None:
    """Refuse a configuration that cannot train, before images are read and not after the first epoch.

    Raises:
        UserError: Naming the key, what it says and what it may say.
    """
    with collected() as check:
        check(settings.validate_paths)
        check(lambda: datamodule(settings.data, Path(), settings.seed))
        check(lambda: trainer(settings))
        fresh = check(lambda: _model(settings))
        check(lambda: classifier(settings, fresh or _stand_in(settings.model.labels), {}))
        if fresh is not None:
            check(lambda: _validate_frozen(settings, fresh.network))


def _validate_frozen(settings: TrainSettings, network: nn.Module) -> None:
    if are_right(settings.freeze):
        for callback in freezing_callbacks(settings.freeze.layers):
            callback.frozen_layers(network)


def _stand_in(labels: str) -> Model:
    """Return a small model for checking what acts on one, where the real one cannot be built."""
    return Model(nn.Linear(1, 1), Preprocess((1, 1)), classes=(), go_class="", outputs=FRESH.get(labels, ONE))


def _model(settings: TrainSettings) -> Model | None:
    """Return the model, where what it is made of is right; their dataclasses say by its key what is not."""
    try:
        validate_image_size(settings.data.image_size)
        validate_seed(settings.seed)
        validate_thresholds(settings.decision.threshold, settings.decision.recheck)
    except UserError:
        return None
    made = model(settings, ())
    validate_network(made.network, settings.data.image_size, len(made.outputs))
    if cell_network(made.network) is None:
        _refuse_for_whole_images(settings, type(made.network).__name__)
    return made


def _refuse_for_whole_images(settings: TrainSettings, name: str) -> None:
    """Refuse what takes a network that judges cell by cell."""
    if settings.windows is not None:
        raise UserError(
            f"windows: {name} judges an image as a whole, and what it would learn from windows is not known. Take a "
            "network that judges cell by cell, model=patches, or windows=none"
        )
    if settings.data.masks is not None:
        raise UserError(
            f"data.masks: {name} judges an image as a whole, and masks teach it nothing. Take one that judges cell "
            "by cell, model=patches, or data.masks=null"
        )


def _refuse_processes_in_a_sweep(made: Trainer) -> None:
    """Refuse a sweep where Lightning starts processes by the command line: each would run the whole sweep again."""
    if isinstance(made.strategy.launcher, _SubprocessScriptLauncher):
        raise UserError(
            f"trainer.devices={made.world_size} with this strategy cannot be swept with --multirun: each process would "
            "start the whole sweep again. Take trainer.strategy=ddp_spawn, or start the jobs one by one"
        )


def _targets(config: Any) -> list[str]:
    if isinstance(config, Mapping):
        own = [str(config["_target_"])] if "_target_" in config else []
        return own + [target for value in config.values() for target in _targets(value)]
    if isinstance(config, list | tuple):
        return [target for value in config for target in _targets(value)]
    return []


def _validate_target(target: str, key: str) -> None:
    """Allow what the packages define themselves, not what can merely be reached through their names."""
    try:
        target_object = get_object(target) if _within(target) else None
    except (ImportError, ValueError, AttributeError) as error:
        raise UserError(f"{key}: _target_={target!r} cannot be found: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith("hydra"):
            raise UserError(f"{key}: _target_={target!r} cannot be found: {error}") from error
        raise
    if target_object is None or not (target in trusted() or _within(f"{getattr(target_object, '__module__', '')}.")):
        raise UserError(
            f"{key}: _target_={target!r} is not allowed. Allowed are classes and functions of {', '.join(ALLOWED)}; "
            f"one of your own is named besides: trust={target}"
        )


def _within(name: str) -> bool:
    return name in trusted() or any(name.startswith(f"{package}.") for package in ALLOWED)
