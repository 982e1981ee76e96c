import torch

from fancnn.data.datasets import InOrder, PixelDataset, loader
from fancnn.images.preprocess import Preprocess
from fancnn.model import Model
from fancnn.networks import PatchNet
from fancnn.training.window_search import hottest_places


class Brightest(PatchNet):
    """Takes the brightest cell for the hottest."""

    def feature_map(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images[:, :1], 4)


class Images:
    def __init__(self, pixels: torch.Tensor) -> None:
        self.pixels = pixels

    def in_order(self, split: str) -> object:
        assert split == "train"
        of_all = PixelDataset(self.pixels, torch.arange(len(self.pixels)), torch.zeros(len(self.pixels)))
        return loader(of_all, InOrder(len(self.pixels), 2), decodes=False)


def test_the_hottest_place_is_the_middle_of_the_hottest_cell_in_pixels() -> None:
    pixels = torch.zeros(3, 3, 24, 40, dtype=torch.uint8)
    for image, (row, column) in enumerate([(0, 0), (13, 39), (22, 17)]):
        pixels[image, :, row, column] = 255
    network = Brightest((24, 40), [1], 2, pool="max")
    torch.nn.init.ones_(network.cell.weight)
    model = Model(network, Preprocess((24, 40)), classes=("GO", "NG"), go_class="GO", outputs=("NG",)).eval()
    places = hottest_places(model, Images(pixels))  # type: ignore[arg-type]
    assert places.tolist() == [[2.0, 2.0], [14.0, 38.0], [22.0, 18.0]]
