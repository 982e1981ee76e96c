"""Configuration becomes objects here; below this file nobody has heard of Hydra.

The only module that knows `hydra.utils.instantiate`. It builds what these packages define and nothing else, so
that a configuration, which a checkpoint file carries too, cannot name just any function.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from torch import nn

from fancnn.augmentation import Augment
from fancnn.cache_folder import cache_folder
from fancnn.command import in_sweep
from fancnn.errors import UserError
from fancnn.group_settings import AugmentSettings, DataSettings, DecisionSettings, ImageLimits
from fancnn.images.preprocess import Preprocess
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.defect_types import FRESH
from fancnn.inspection.imbalance import ClassCounts, equal_counts, log_priors
from fancnn.learning.checkpointing import AtomicCheckpointIO
from fancnn.learning.classifier import Classifier
from fancnn.learning.datamodule import PictureDataModule
from fancnn.learning.freezing import freezing
from fancnn.learning.losses import with_balanced_weights
from fancnn.learning.makers import accepted, check_makers, check_takes_outputs
from fancnn.learning.output_bias import set_output_bias
from fancnn.learning.precision import hardware_precision
from fancnn.learning.regularization import KernelPenalty
from fancnn.limits import check_training
from fancnn.model import Model
from fancnn.pretraining_settings import PretrainSettings, UnlabelledSettings
from fancnn.settings import TrainSettings
from fancnn.splits import SplitPlan
from fancnn.trust import trusted

ALLOWED = ("fancnn", "torch.nn", "torch.optim", "pytorch_lightning")


def build(config: Mapping[str, Any], key: str, **more: Any) -> Any:
    """The object (or partial) that `config` describes by its `_target_`.

    Args:
        config: `_target_` and arguments.
        key: Where it stands in the configuration, for messages.
        more: Arguments that are objects already.

    Raises:
        UserError: If the target is unknown or not allowed, or refuses its arguments.
    """
    if not isinstance(config, Mapping) or "_target_" not in config:
        raise UserError(f"{key}={config} should be a _target_ and its arguments")
    for target in _targets(config):
        _check_target(target, key)
    try:
        return instantiate(dict(config), **more, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__ or error
        raise UserError(f"{key}: {cause}{accepted(cause, get_object(config['_target_']))}") from error


def preprocess(data: DataSettings | UnlabelledSettings) -> Preprocess:
    """The preprocessing of the model and of its data."""
    return Preprocess(data.image_size, data.resize, data.background, data.mean, data.std)  # type: ignore[arg-type]  # checked there


def datamodule(
    data: DataSettings,
    root: Path,
    seed: int,
    kinds: str = "one",
    *,
    labelled: bool = True,
    image_limits: ImageLimits | None = None,
) -> PictureDataModule:
    """The pictures under `root`, not read yet."""
    plan = SplitPlan(
        method=data.split,  # type: ignore[arg-type]  # checked there
        val_fraction=data.val_fraction,
        test_fraction=data.test_fraction,
        group=data.group,
        split_file=data.split_file,
        seed=seed,
    )
    return PictureDataModule(
        root,
        data.go_class,
        preprocess(data),
        plan,
        cache=_decoded_folder(data.cache),
        on_bad_file=data.on_bad_file,  # type: ignore[arg-type]  # checked there
        sampler=data.sampler,
        kinds=kinds,
        batch_size=data.batch_size,
        eval_batch_size=data.eval_batch_size,
        seed=seed,
        labelled=labelled,
        image_limits=image_limits,
    )


def _decoded_folder(cache: str | None) -> Path | None:
    if cache is None:
        return None
    return (cache_folder() if cache == "auto" else Path(cache).expanduser()) / "decoded"


def network(config: Mapping[str, Any], outputs: int = 1) -> nn.Module:
    """The network that a configuration or a checkpoint describes, told how many `outputs` if these are several."""
    if outputs > 1 and "_target_" in config:
        _check_target(str(config["_target_"]), "model.network")
        check_takes_outputs(get_object(config["_target_"]), outputs)
    built = build(config, "model.network", **({"outputs": outputs} if outputs > 1 else {}))
    if not isinstance(built, nn.Module):
        raise UserError(
            f"model.network._target_={config.get('_target_')!r} is no torch network but {type(built).__name__}"
        )
    return built


def model(
    settings: TrainSettings,
    classes: Iterable[str],
    counts: ClassCounts | None = None,
    outputs: Sequence[str] | None = None,
) -> Model:
    """A fresh model; its first weights depend on the seed alone, its output bias on the training part if asked for."""
    names = tuple(outputs or FRESH[settings.model.outputs])
    torch.manual_seed(settings.seed)
    fresh = network(settings.model.network, len(names))
    if settings.model.output_bias is not None:
        set_output_bias(fresh, log_priors(counts or equal_counts(names)))
    return Model(
        fresh,
        preprocess(settings.data),
        classes=tuple(classes),
        go_class=settings.data.go_class,
        outputs=names,
        thresholds=thresholds(settings.decision),
    )


def thresholds(decision: DecisionSettings) -> Thresholds:
    """Those that are said, until a rule has chosen."""
    lower = decision.threshold if decision.recheck is None else decision.recheck
    return Thresholds(lower, decision.threshold)


def classifier(
    settings: TrainSettings, fresh: Model, description: Mapping[str, Any], counts: ClassCounts | None = None
) -> Classifier:
    """The training of `fresh` on a part with so many GO and NG, or of each type."""
    optimizer = build(settings.model.optimizer, "model.optimizer")
    schedule = build(settings.schedule, "schedule") if settings.schedule else None
    check_makers(optimizer, schedule, fresh)
    strength = settings.regularization
    return Classifier(
        fresh,
        build(with_balanced_weights(settings.model.loss, counts or equal_counts(fresh.outputs)), "model.loss"),
        optimizer,
        schedule,
        augment=augment(settings.augment),
        penalty=KernelPenalty(strength.l1, strength.l2) if strength.l1 or strength.l2 else None,
        seed=settings.seed,
        description=description,
    )


def augment(settings: AugmentSettings | None) -> Augment | None:
    """What training pictures go through, if anything; a transform of null is left out."""
    if settings is None:
        return None
    nodes = {f"augment.transforms.{name}": node for name, node in settings.transforms.items() if node is not None}
    return Augment([build(node, key) for key, node in nodes.items()], settings.border)


def trainer(settings: TrainSettings | PretrainSettings) -> Trainer:
    """Lightning's trainer with the callbacks and loggers of the configuration; an entry of null is left out."""
    seed_everything(settings.seed, workers=True, verbose=False)
    callbacks = [build(node, f"callbacks.{name}") for name, node in settings.callbacks.items() if node]
    if isinstance(settings, TrainSettings):
        callbacks += freezing(settings.freeze.layers, settings.freeze.until_epoch)
    loggers = [build(node, f"logger.{name}") for name, node in settings.logger.items() if node]
    made: Trainer = build(
        {**settings.trainer, "precision": precision(settings)[0]},
        "trainer",
        callbacks=callbacks,
        logger=loggers or False,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=settings.output_dir,
        num_sanity_val_steps=0,  # data and model were checked; the first epoch validates anyway
        enable_progress_bar=False,  # ours is cheaper and is silent in a log file
        enable_model_summary=False,
        use_distributed_sampler=False,  # EpochBatches shares training pictures out; validation is not shared
    )
    if in_sweep():
        _refuse_processes_in_a_sweep(made)
    return made


def precision(settings: TrainSettings | PretrainSettings) -> tuple[str, str]:
    """The precision of the training, and why it is that."""
    asked = str(settings.trainer.get("precision", "auto"))
    accelerator = str(settings.trainer.get("accelerator", "auto"))
    return hardware_precision(accelerator) if asked == "auto" else (asked, "as asked for")


def check(settings: TrainSettings) -> None:
    """Refuse a configuration that cannot train, before pictures are read and not after the first epoch.

    Raises:
        UserError: Naming the key, what it says and what it may say.
    """
    check_training(settings)
    datamodule(settings.data, Path(), settings.seed)
    fresh = model(settings, ())
    classifier(settings, fresh, {})
    for callback in freezing(settings.freeze.layers):
        callback.held(fresh.network)


def _refuse_processes_in_a_sweep(made: Trainer) -> None:
    """Lightning starts the other processes by the command line, which would run the whole sweep again."""
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


def _check_target(target: str, key: str) -> None:
    """Allow what the packages define themselves, not what can merely be reached through their names."""
    try:
        found = get_object(target) if _within(target) else None
    except (ImportError, ValueError, AttributeError) as error:
        raise UserError(f"{key}: _target_={target!r} cannot be found: {error}") from error
    except Exception as error:
        if type(error).__module__.startswith("hydra"):
            raise UserError(f"{key}: _target_={target!r} cannot be found: {error}") from error
        raise
    if found is None or not (target in trusted() or _within(f"{getattr(found, '__module__', '')}.")):
        raise UserError(
            f"{key}: _target_={target!r} is not allowed. Allowed are classes and functions of {', '.join(ALLOWED)}; "
            f"one of your own is named besides: trust={target}"
        )


def _within(name: str) -> bool:
    return name in trusted() or any(name.startswith(f"{package}.") for package in ALLOWED)
