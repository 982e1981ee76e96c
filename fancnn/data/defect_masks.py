"""Masks of defects: images of which a pixel is white where a defect is, for as many images as somebody has drawn one.

They lie below a folder of their own under the name of their image, with any suffix and, if wanted, `_mask` at its end:
`masks/NG/scratch/part_7.png` or `masks/scratch/part_7_mask.png` for `NG/scratch/part_7.jpg`. Folders in front may be
left out.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath

import numpy as np
import torch
from torch import Tensor

from fancnn.data.labeled_images import LabeledImage
from fancnn.errors import UserError
from fancnn.images.image_files import iter_image_files
from fancnn.images.image_gate import ImageGate
from fancnn.images.preprocess import Preprocess
from fancnn.images.reading import UnreadableImage, read_image, upright_size
from fancnn.plurals import plural

ENDING = "_mask"
WHITE = 127  # from this grey level on a pixel belongs to a defect
MOST_POINTS = 256  # of a defect that windows are laid about


def find_masks(folder: str | Path, images: Iterable[LabeledImage], key: str = "data.masks") -> dict[str, Path]:
    """Return the mask of each NG image that has one, by the image's path; `key` is what messages call the folder.

    Raises:
        UserError: If the folder is missing, no file in it belongs to an NG image, or one belongs to a good image or to
            two.
    """
    top = Path(folder).expanduser()
    if not top.is_dir():
        raise UserError(f"{key}={folder} is no folder. Expected one with masks named like their images")
    of_name = {_name(path): top / path for path in iter_image_files(top)}
    of_images = list(images)
    for image in of_images:
        if image.label == 0 and _name(PurePath(image.path)) in of_name:
            raise UserError(f"{key}={folder} has a mask of {image.path}, which is a good part: one of the two is wrong")
    masks = {item.path: mask for item in of_images if item.label and (mask := _of(item, of_name)) is not None}
    if not masks:
        example = next(iter(of_name.values()), None)
        found = "no image file" if example is None else f"{plural(len(of_name), 'image file')}, {example} among them"
        raise UserError(
            f"{key}={folder} holds {found}, and none has the name of an NG image. Expected e.g. "
            "masks/NG/scratch/part_7.png for NG/scratch/part_7.jpg"
        )
    image_of: dict[Path, str] = {}
    for path, mask in masks.items():
        if (other := image_of.setdefault(mask, path)) != path:
            raise UserError(
                f"the mask {mask} could be of {other} and of {path}. Lay masks into folders named like the images'"
            )
    return masks


def _name(path: PurePath) -> str:
    return path.with_suffix("").as_posix().removesuffix(ENDING)


def _of(image: LabeledImage, of_name: Mapping[str, Path]) -> Path | None:
    parts = PurePath(image.path).with_suffix("").parts
    names = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((of_name[name] for name in names if name in of_name), None)


def read_mask(mask: Path, image: Path, gate: ImageGate) -> Tensor:
    """Return a mask as large as its image, `(height, width)` booleans, some of them true.

    Raises:
        UserError: If it cannot be read, has another size, or is all black.
    """
    try:
        marked = torch.from_numpy(read_image(mask, "black", gate).max(2) > WHITE)
        size = upright_size(image, gate)
    except UnreadableImage as error:
        raise UserError(f"the mask {mask} cannot be read: {error}") from error
    if tuple(marked.shape) != size:
        (height, width), (of_image, across) = marked.shape, size
        raise UserError(f"the mask {mask} has {width}x{height} pixels, its image {image} {across}x{of_image}")
    if not marked.any():
        raise UserError(f"the mask {mask} is black: no pixel of it is a defect. Draw the defect in white, or remove it")
    return marked


class DefectMasks:
    """Masks of some of the images of a split, at the network's size, a bit a pixel.

    Args:
        size: Height and width, pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.points: dict[int, Tensor] = {}  # of an image's number `(k, 2)`, row and column of some defective pixels
        self._bits: dict[int, np.ndarray] = {}

    def add(self, index: int, mask: Tensor, preprocess: Preprocess) -> None:
        """Keep the mask of an image, `(height, width)` booleans of its own size: a pixel that it touches has it."""
        fit = Preprocess(preprocess.image_size, preprocess.resize, "black", reduce=preprocess.reduce)
        fitted = fit.fit(mask.to(torch.uint8).mul(255).expand(1, 3, -1, -1))[0, 0]
        marked = fitted >= min(WHITE, int(fitted.max()))
        self._bits[index] = np.packbits(marked.numpy())
        pixels = marked.nonzero()
        self.points[index] = pixels[:: -(-len(pixels) // MOST_POINTS)]

    def of(self, indices: Tensor) -> Tensor:
        """Return the masks of images, `(n, height, width)` booleans; that of an image without one is empty."""
        return torch.stack([self._of(index) for index in indices.tolist()])

    def cut(self, indices: Tensor, corners: Tensor, window: tuple[int, int]) -> Tensor:
        """Return the masks of windows, as `PixelDataset.cut` returns their pixels."""
        places = zip(indices.tolist(), corners.tolist(), strict=True)
        return torch.stack(
            [self._of(index)[top : top + window[0], left : left + window[1]] for index, (top, left) in places]
        )

    def _of(self, index: int) -> Tensor:
        if index not in self._bits:
            return torch.zeros(self.size, dtype=torch.bool)
        bits = np.unpackbits(self._bits[index], count=self.size[0] * self.size[1])
        return torch.from_numpy(bits.reshape(self.size).astype(bool))
