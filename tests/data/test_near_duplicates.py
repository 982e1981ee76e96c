import pytest
import torch
from textures import textures
from torch import Tensor
from torch.nn.functional import avg_pool2d

from fancnn.data import near_duplicates as module
from fancnn.data.fingerprints import SIDE, center_crops, descriptors
from fancnn.data.near_duplicates import candidate_pairs, near_duplicates
from fancnn.data.registration import turned
from fancnn.data.union_find import joined


def blurred(images: Tensor) -> Tensor:
    return avg_pool2d(images[:, None], 3, 1, 1)[:, 0]


EDITS = {
    "compressed": lambda image: image + 2 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1)),
    "exposure": lambda image: 0.8 * image + 30,
    "shifted": lambda image: image.roll((3, -2), (-2, -1)),
    "cropped": lambda image: center_crops(image, 0.9),
    "blurred": blurred,
    "turned by 90 degrees": lambda image: turned(image, 5),
    "mirrored": lambda image: turned(image, 1),
}


def as_bytes(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).byte()


@pytest.mark.parametrize("name", EDITS)
def test_a_copy_is_found_and_what_was_done_to_it_is_named(name: str) -> None:
    images = blurred(blurred(textures(120)))  # as photographs are: without a detail that one more blur takes away
    edited = EDITS[name](images[:12])
    duplicates = near_duplicates(as_bytes(torch.cat([images, edited])))
    assert {tuple(sorted((pair.first, pair.second))) for pair in duplicates} == {
        (place, 120 + place) for place in range(12)
    }
    assert all(name in pair.changes for pair in duplicates)
    assert all(pair.correlation >= module.LEAST_CORRELATION for pair in duplicates)


def test_different_images_are_no_copies_of_one_another() -> None:
    assert near_duplicates(as_bytes(textures(300))) == []


def test_parts_in_one_fixture_are_no_copies_though_they_look_alike() -> None:
    """As many as there may be copies of one photograph, and all alike."""
    layout, own = textures(1, seed=5), textures(60, seed=6) - 128
    assert near_duplicates(as_bytes(layout + 0.1 * own)) == []


def test_many_edits_of_a_few_photographs_are_found() -> None:
    originals = blurred(blurred(textures(6)))
    edits = [EDITS[name](originals) for name in EDITS]
    doubled = [
        EDITS["exposure"](EDITS["turned by 90 degrees"](originals)),
        EDITS["mirrored"](EDITS["shifted"](originals)),
    ]
    together = torch.cat([originals, *edits, *doubled])
    duplicates = near_duplicates(as_bytes(together))
    assert joined(len(together), ((pair.first, pair.second) for pair in duplicates)) == [
        place % 6 for place in range(len(together))
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_there_are_no_pairs_of_fewer_than_two(count: int) -> None:
    assert near_duplicates(as_bytes(textures(2))[:count]) == []


def test_even_images_and_bare_edges_are_nobodys_copies() -> None:
    even = torch.full((5, SIDE, SIDE), 90, dtype=torch.uint8)
    edges = torch.zeros(30, SIDE, SIDE, dtype=torch.uint8)
    for place in range(30):
        edges[place, :, 10 + place :] = 200
    assert near_duplicates(torch.cat([even, edges, as_bytes(textures(60))])) == []


def test_neighbors_in_cells_are_those_of_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    images = textures(600)
    together = as_bytes(torch.cat([images, EDITS["shifted"](images[:100]), EDITS["cropped"](images[100:200])]))
    searched = descriptors(together)
    truth = {(place, 600 + place) for place in range(200)}

    def pairs() -> set[tuple[int, int]]:
        duplicates = candidate_pairs(searched)
        ends = zip(duplicates.first.tolist(), duplicates.second.tolist(), strict=True)
        return {(min(pair), max(pair)) for pair in ends}

    brute = pairs() & truth
    monkeypatch.setattr(module, "BRUTE_FORCE", 100)
    assert len(brute) == len(truth)
    assert len(pairs() & truth) >= 0.98 * len(truth)
