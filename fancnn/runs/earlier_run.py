"""A finished run, to be worked on: its model, the settings of its training, and its images in the splits it had."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from fancnn.assembly import read_images
from fancnn.cli.command import kept_settings
from fancnn.data.datamodule import ImageDataModule
from fancnn.data.labeled_images import split_hash
from fancnn.errors import UserError
from fancnn.files.run import BEST, LAST, Run
from fancnn.model import Model
from fancnn.networks.channel_importance import Batch
from fancnn.networks.dependency_groups import DependencyGroup, channel_groups
from fancnn.runs import checkpoints
from fancnn.settings.groups import ImageLimits
from fancnn.settings.training import TrainSettings
from fancnn.system.console import say
from fancnn.system.devices import chosen_device


@dataclass(frozen=True)
class EarlierRun:
    """What a run was, with its images as they are now.

    Attributes:
        folder: Of the run.
        model: Its best epoch.
        groups: Of the model's filters.
        settings: Of its training, with its own split, on its own images.
        data: Read and split as it was then.
    """

    folder: Path
    model: Model
    groups: list[DependencyGroup]
    settings: TrainSettings
    data: ImageDataModule

    def batches(self, split: str) -> list[Batch]:
        """Return images and labels of a split, where the model is."""
        return self._here(self.data.in_order(split))

    def training_batches(self, count: int) -> list[Batch]:
        """Return so many training images, or all if there are fewer: the first that the training saw."""
        return self._here(islice(self.data.train_dataloader(), max(1, count // self.settings.data.batch_size)))

    def _here(self, batches: Iterable[Batch]) -> list[Batch]:
        # of several kinds of NG each has a number: what filters are worth is asked of GO and NG
        return [(images.to(self.model.device), (labels > 0).float()) for images, labels in batches]


def warn_of_unfinished(path: Path, model: Model) -> None:
    """Say where a model that is only looked at is one that nothing may be decided with."""
    if why := checkpoints.why_incomplete(path, model.metadata):
        say(f"warning: {why}. It is looked at as it is; its thresholds are as configured")


def read_run(run: str, device: str, image_limits: ImageLimits, *, unfinished: bool = False) -> EarlierRun:
    """Load a run with the images that it was trained on; `unfinished` takes one that is not complete, with a warning.

    Raises:
        UserError: If it or its images cannot be found or have changed, or nothing is known of its network's filters.
    """
    path = checkpoints.find(run, (BEST, LAST))
    where, folder = chosen_device(device), Run.of_checkpoint(path).folder
    model = checkpoints.load(path, where, unfinished=unfinished, image_limits=image_limits)
    warn_of_unfinished(path, model)
    if model.metadata.runs is not None:
        raise UserError(f"{run} is an ensemble: take one of its runs, {', '.join(model.metadata.runs)}")
    try:
        groups = channel_groups(model.network)
    except ValueError as error:
        raise UserError(f"{run}: {error}") from error
    trained = kept_settings(model.metadata.settings, TrainSettings, str(path))
    own = replace(
        trained.data,
        root=model.metadata.root,
        split_file=str(Run(folder).split),
        fans=None,
        masks=None,  # what they taught is in the weights
        cache=None if trained.data.cache is None else "auto",  # where a file says to write, nothing is written
    )
    settings = replace(trained, data=own, ckpt=None, image_limits=image_limits)
    data = read_images(settings)
    if split_hash(data.images) != model.metadata.split_sha256:
        raise UserError(
            f"the images under {data.root} are not those that {run} was trained on: some were changed or are "
            "missing. Restore them; python -m fancnn.evaluate names them"
        )
    return EarlierRun(folder, model, groups, settings, data)
