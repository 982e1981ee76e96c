"""From a folder of class folders to a list of images, on torchvision's ImageFolder.

Two layouts are read: a root of class folders (`GO/ NG/`), or a root of splits (`train/ val/ test/`), each a
root of class folders. Folders inside a class folder are kept as the defect type.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from torchvision.datasets import ImageFolder

from fancnn.data.labeled_images import LabeledImage
from fancnn.errors import UserError
from fancnn.images.image_files import iter_image_files
from fancnn.images.reading import is_hidden, is_image_file
from fancnn.settings.groups import SPLIT_NAMES
from fancnn.settings.validation import validate_folder


class ClassFolders(ImageFolder):  # type: ignore[misc]  # torchvision ships no types
    """ImageFolder that passes over hidden folders and files, goes round in no circles, and allows empty classes.

    Attributes:
        ignored: How many visible files of other kinds lie among the images, by suffix.
    """

    def __init__(self, root: Path) -> None:
        self.ignored: Counter[str] = Counter()
        super().__init__(root, allow_empty=True)

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        names = _folders_in(Path(directory))
        return names, {name: index for index, name in enumerate(names)}

    def make_dataset(
        self, directory: str | Path, class_to_idx: dict[str, int], **kinds: object
    ) -> list[tuple[str, int]]:
        return [
            (str(Path(directory, name, image)), index)
            for name, index in class_to_idx.items()
            for image in iter_image_files(Path(directory, name), self.ignored)
        ]


@dataclass(frozen=True)
class Listing:
    """The images under a root: order of paths, `split` set where the layout says it."""

    root: Path
    classes: tuple[str, ...]
    images: tuple[LabeledImage, ...]
    ignored: Counter[str] = field(default_factory=Counter)

    @property
    def has_splits(self) -> bool:
        return any(image.split for image in self.images)


def list_images(root: str | Path, go_class: str) -> Listing:
    """List the images under `root`; an image of the class folder `go_class` has label 0, others 1.

    Raises:
        UserError: If `root` is missing, mixes both layouts, or holds no class folders or no images.
    """
    top = Path(root).expanduser()
    _validate_root(top, go_class)
    splits = _splits_in(top)
    listings = [_list_split(top, split, go_class) for split in splits] if splits else [_list_split(top, "", go_class)]
    combined = Listing(
        root=top,
        classes=tuple(sorted({name for listing in listings for name in listing.classes})),
        images=tuple(image for listing in listings for image in listing.images),
        ignored=sum((listing.ignored for listing in listings), Counter()),
    )
    if not combined.images:
        raise UserError(_nothing_found(combined))
    return combined


def list_unlabelled(root: str | Path) -> Listing:
    """List all images under `root`, in folders of any kind, as one class without a name.

    Where the root holds nothing but folders `train/`, `val/` and `test/`, images are in those splits: what is kept for
    a last look is not learnt from either.

    Raises:
        UserError: If `root` is missing, or has fewer than two images to learn from.
    """
    top, ignored = Path(root).expanduser(), Counter[str]()
    validate_folder("data.root", str(top), "one with images in it or below it")
    folders = set(_folders_in(top))
    splits = folders if folders and folders <= set(SPLIT_NAMES) else set[str]()
    paths = list(iter_image_files(top, ignored))
    images = [LabeledImage(path.as_posix(), "", 0, path.parts[0] if path.parts[0] in splits else "") for path in paths]
    if splits:  # an image beside the splits is in none of them
        images = [replace(image, split=image.split or "train") for image in images]
    listing = Listing(top, ("",), tuple(images), ignored)
    if sum(image.split in ("", "train") for image in images) < 2:
        raise UserError(
            f"{top} has fewer than two images to learn from{_other_kinds(listing)}. Expected a folder with files such "
            "as .jpg, .png, .bmp, .tif or .webp in it or below it"
        )
    return listing


def validate_for_training(listing: Listing, go_class: str) -> None:
    """Refuse what no inspector can be trained on.

    Raises:
        UserError: If `go_class` names no folder, there is one class only, a class is empty, a split has
            classes that train has not, or train or val lacks GO or NG images.
    """
    if len(listing.classes) < 2:
        raise UserError(
            f"{listing.root} holds one class folder only: {listing.classes[0]}. Expected two or more: the good parts "
            "in one, bad parts in others"
        )
    if go_class not in listing.classes:
        raise UserError(
            f"data.go_class={go_class!r} names no class folder under {listing.root}. Found: "
            f"{', '.join(listing.classes)}. Say which of them holds the good parts, e.g. "
            f"data.go_class={listing.classes[0]}"
        )
    if listing.has_splits:
        _validate_splits(listing)
    _validate_not_empty(listing, listing.classes, [p for p in listing.images if p.split in ("", "train")])


def _validate_splits(listing: Listing) -> None:
    by_split = {split: [p for p in listing.images if p.split == split] for split in SPLIT_NAMES}
    if not by_split["train"]:
        raise UserError(f"{listing.root} has no images in train/. Expected train/ beside val/ and test/")
    known = {image.class_name for image in by_split["train"]}
    for split, images in by_split.items():
        if strange := sorted({image.class_name for image in images} - known):
            raise UserError(f"{listing.root / split} has classes that train/ has not: {', '.join(strange)}")
    if by_split["val"] and len({image.label for image in by_split["val"]}) < 2:
        raise UserError(
            f"{listing.root / 'val'} lacks GO or NG images, so nothing can be chosen on it. Add some, or remove "
            "val/ to have it split from train/"
        )


def _validate_not_empty(listing: Listing, classes: Iterable[str], images: Sequence[LabeledImage]) -> None:
    if empty := sorted(set(classes) - {image.class_name for image in images}):
        raise UserError(
            f"no images in the class folder {', '.join(empty)} under {listing.root}{_other_kinds(listing)}. Add "
            "images or remove the folder"
        )


def has_splits(root: Path) -> bool:
    """Return whether `root` is divided into `train/`, `val/`, `test/` by folders.

    Raises:
        UserError: If it is no folder, or mixes the layouts.
    """
    _validate_root(root, "GO")
    return bool(_splits_in(root))


def _validate_root(root: Path, go_class: str) -> None:
    validate_folder("data.root", str(root), f"a folder of class folders, e.g. {go_class}/ and NG/")


def _folders_in(folder: Path) -> list[str]:
    """Return the names of the visible folders in one.

    Raises:
        UserError: If it cannot be looked into, or a link in it leads nowhere, so that a class could be missing.
    """
    try:
        visible = [entry for entry in folder.iterdir() if not is_hidden(PurePath(entry.name))]
        nowhere = [entry.name for entry in visible if entry.is_symlink() and not entry.exists()]
        names = sorted(entry.name for entry in visible if entry.is_dir())
    except OSError as error:
        raise UserError(f"{folder} cannot be looked into: {error.strerror or error}") from error
    if nowhere:
        raise UserError(f"{folder / min(nowhere)} is a link that leads nowhere: mend or remove it")
    return names


def _splits_in(root: Path) -> list[str]:
    """Return which of train, val, test the root has; none where it holds class folders."""
    folders = _folders_in(root)
    splits = [split for split in SPLIT_NAMES if split in folders]
    classes = [name for name in folders if name not in SPLIT_NAMES]
    if splits and classes:
        raise UserError(
            f"{root} mixes two layouts: {', '.join(splits)} for splits of the data, and beside them "
            f"{', '.join(classes)}. Expected either class folders, or train/, val/ and test/ with class folders inside"
        )
    return splits


def _list_split(top: Path, split: str, go_class: str) -> Listing:
    if not _folders_in(top / split):  # ImageFolder's own error would be a traceback
        return Listing(top, (), ())
    folders = ClassFolders(top / split)
    images = tuple(_image(Path(path).relative_to(top), split, go_class) for path, _ in folders.samples)
    return Listing(top, tuple(folders.classes), images, folders.ignored)


def _image(relative: Path, split: str, go_class: str) -> LabeledImage:
    class_name, *inside = relative.parts[1 if split else 0 : -1] or relative.parts[-1:]  # a class folder itself
    label = 0 if class_name == go_class else 1
    image = LabeledImage(path=relative.as_posix(), class_name=class_name, label=label, split=split)
    return replace(image, defect_type="/".join(inside))


def _nothing_found(listing: Listing) -> str:
    if not listing.classes:
        loose = sum(is_image_file(PurePath(entry.name)) for entry in listing.root.iterdir() if entry.is_file())
        also = f", but {loose} images beside them" if loose else ""
        return (
            f"{listing.root} holds no class folders{also}. Expected one folder per class with the images inside, "
            "e.g. GO/ and NG/"
        )
    return (
        f"no images under {listing.root} in {', '.join(listing.classes)}{_other_kinds(listing)}. Expected "
        "files such as .jpg, .png, .bmp, .tif or .webp"
    )


def _other_kinds(listing: Listing) -> str:
    if not listing.ignored:
        return ""
    return f", only files of other kinds: {kinds_in_words(listing.ignored)}"


def kinds_in_words(ignored: Counter[str]) -> str:
    """Return the most frequent suffixes and how many files have them.

    Example:
        >>> kinds_in_words(Counter({".txt": 1, ".heic": 2}))
        '.heic (2), .txt (1)'
    """
    return ", ".join(f"{suffix} ({count})" for suffix, count in ignored.most_common(5))
