"""What a run says to the person at the console."""

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fancnn.data.datamodule import ImageDataModule
from fancnn.data.folders import kinds_in_words
from fancnn.data.labeled_images import LabeledImage, copies_across_splits
from fancnn.errors import argument
from fancnn.files.run import Run
from fancnn.images.reading import upright_size
from fancnn.images.unreadable import UnreadableImage
from fancnn.metrics.parts import parts_in_words, uneven_parts
from fancnn.plurals import plural
from fancnn.settings.groups import SPLIT_NAMES
from fancnn.system.console import print_table, say

LOOKED_AT = 20  # images, to know how large they are
MUCH_REDUCED = 6.0  # times, from which on small defects are gone
LEAST_SEEN = 3  # pixels of a defect's width that a network needs


def print_data(data: ImageDataModule) -> None:
    """Print how many images the folder has by split and class, and warn of what is wrong with them."""
    parts = [image.part for image in data.images if image.part]
    say(f"images: {len(data.images)} in {data.root}" + (f", {parts_in_words(parts)}" if parts else ""))
    rows = []
    for split in SPLIT_NAMES:
        if images := data.images_of(split):
            counts = [str(sum(image.class_name == name for image in images)) for name in data.classes]
            rows.append([split, *counts, str(len(images))])
    headers = [f"{name} (GO)" if name == data.go_class else f"{name} (NG)" for name in data.classes]
    print_table("", ["split", *headers, "all"], rows)
    for warning in data_warnings(data):
        say(f"warning: {warning}")


def data_warnings(data: ImageDataModule) -> list[str]:
    """Return sentences on what may make the scores untrue or the training poor."""
    warnings = []
    if data.skipped:
        warnings.append(f"{plural(len(data.skipped), 'file')} could not be read and left out; skipped.csv lists them")
    if data.ignored:
        warnings.append(f"files of other kinds lie among the images and are left out: {kinds_in_words(data.ignored)}")
    if data.left_out:
        warnings.append(f"{data.left_out} images are not in data.split_file and are left out")
    if uneven := uneven_parts(image.part for image in data.images):
        warnings.append(uneven)
    if copies := copies_across_splits(data.images):
        warnings.append(
            f"{copies} images have a copy in another split, of the same bytes or the same pixels: its scores are too "
            "good"
        )
    if twice := _in_two_classes(data.images):
        warnings.append(f"{twice} images have a copy of the same pixels with the other label: one of them is wrong")
    if small := _what_is_too_small(data):
        warnings.append(small)
    return warnings


def _what_is_too_small(data: ImageDataModule) -> str:
    """Say how large a defect must be to be seen where images are reduced much; empty where they are not."""
    images = data.images_of("train")
    sizes = []
    for image in images[:: -(-len(images) // LOOKED_AT)]:
        with suppress(UnreadableImage):
            sizes.append(upright_size(data.root / image.path, data.gate))
    if not sizes:
        return ""
    height, width = sorted(sizes)[len(sizes) // 2]
    _, _, inner_height, inner_width = data.preprocess.place(height, width)
    times = max(height / inner_height, width / inner_width)
    if times <= MUCH_REDUCED:
        return ""
    return (
        f"images of {width}x{height} pixels become {inner_width}x{inner_height}: a defect {LEAST_SEEN * times:.0f} "
        f"pixels wide is {LEAST_SEEN} wide then, and smaller ones can hardly be seen. If yours are, take "
        "experiment=patches, or a larger data.image_size"
    )


def print_next(run: Path, seconds: float | None, *, can_be_loaded: bool, has_board: bool) -> None:
    """Print where things are, and the commands that use them."""
    shown = _short(run)
    say(f"\nrun folder: {shown}" + ("" if seconds is None else f"   ({seconds:.0f} s)"))
    if can_be_loaded:
        own = "" if Run(run).split.is_file() else " data.root=FOLDER"  # without a split it has no images of its own
        say(f"  evaluate     python -m fancnn.evaluate {argument('run', shown)}{own}")
        say(f"  predict      python -m fancnn.predict {argument('run', shown)} input=FOLDER")
    if Run(run).report.is_file():
        say(f"  report       {shown / 'report.html'}")
    if has_board:
        say(f"  curves       tensorboard --logdir {shlex.quote(str(shown))}")


def print_interrupted(
    run: Path, command: str = "train", part_of: tuple[str, str] | None = None, epochs: int = 0
) -> None:
    """Print how to resume a run that was stopped, or the command and folder that it is a part of.

    Args:
        run: Its folder.
        command: That was stopped.
        part_of: The command and the folder that the run is a part of; None where it is the whole.
        epochs: How many it has, where it can be taken as it is.
    """
    if part_of is not None:
        say(f"\ninterrupted; go on with: python -m fancnn.{part_of[0]} {argument('ckpt', _short(Path(part_of[1])))}")
    elif Run(run).checkpoints.is_dir():
        go_on = f"python -m fancnn.{command} {argument('ckpt', _short(run))}"
        say(f"\ninterrupted; go on with: {go_on}")
        if epochs and command == "train":
            say(f"  as it is, without another epoch: {go_on} trainer.max_epochs={epochs}")
    else:
        say("\ninterrupted before the end of the first epoch: nothing to go on from")


def _in_two_classes(images: Sequence[LabeledImage]) -> int:
    labels: dict[str, set[int]] = {}
    for image in images:
        labels.setdefault(image.content, set()).add(image.label)
    return sum(len(labels[image.content]) > 1 for image in images)


def _short(path: Path) -> Path:
    """Return the relative to where the user is, if it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
