import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from fancnn.networks import PatchNet


def fresh(**options: object) -> PatchNet:
    torch.manual_seed(0)
    return PatchNet((64, 64), **options).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_weights_do_not_depend_on_the_size_of_images_and_a_cell_is_as_large_as_said(stride: int) -> None:
    network = fresh(stride=stride)
    for height, width in ((64, 64), (96, 160), (50, 70)):
        found = network.logits_and_cells(torch.rand(2, 3, height, width))
        assert found.logits.shape == (2,)
        assert found.cells.shape == (2, -(-height // stride), -(-width // stride))


@pytest.mark.parametrize("pool", ["head", "max"])
def test_a_fresh_network_says_of_an_image_what_its_hottest_cell_says(pool: str) -> None:
    found = fresh(pool=pool).logits_and_cells(torch.rand(4, 3, 64, 64))
    torch.testing.assert_close(found.logits, found.cells.flatten(1).amax(1))
    assert (found.logits < 0).all(), "nearly all cells of all images are good"


def test_the_other_pools_lie_where_they_should() -> None:
    images = torch.rand(4, 3, 64, 64)
    top, most, smooth = (fresh(pool=pool)(images) for pool in ("top_k", "max", "log_sum_exp"))
    assert (top <= most).all()
    assert (most <= smooth).all()


@given(rows=st.integers(-2, 2), columns=st.integers(-2, 2))
@examples(max_examples=10)
def test_a_defect_that_lies_some_cells_elsewhere_heats_the_cells_there(rows: int, columns: int) -> None:
    network, image = fresh(stride=8), torch.full((1, 3, 128, 128), 0.5)
    image[..., 62:66, 60:70] = 1.0
    moved = image.roll((8 * rows, 8 * columns), (2, 3))
    here, there = (network.logits_and_cells(pixels).cells[0] for pixels in (image, moved))
    inner = slice(5, -5)  # zeros beyond the edge are seen from the outer cells
    torch.testing.assert_close(
        there.roll((-rows, -columns), (0, 1))[inner, inner], here[inner, inner], atol=1e-5, rtol=1e-4
    )


@given(top=st.integers(0, 8), left=st.integers(0, 8), rows=st.integers(8, 14), columns=st.integers(8, 14))
@examples(max_examples=10)
def test_the_cells_of_overlapping_tiles_are_those_of_the_whole_image(
    top: int, left: int, rows: int, columns: int
) -> None:
    """Where the tile has all that a cell sees: 47 pixels, so that 3 cells of an edge within the image are not."""
    network, image = fresh(stride=8), torch.rand(1, 3, 176, 176)
    tile = image[..., 8 * top : 8 * (top + rows), 8 * left : 8 * (left + columns)]
    whole, part = (network.logits_and_cells(pixels).cells[0] for pixels in (image, tile))
    inner = np.s_[3 : part.shape[0] - 3, 3 : part.shape[1] - 3]
    expected = whole[top : top + part.shape[0], left : left + part.shape[1]][inner]
    torch.testing.assert_close(part[inner], expected, atol=1e-5, rtol=1e-4)


def test_its_shapes_are_known_without_memory_being_taken() -> None:
    with torch.device("meta"):
        assert PatchNet((64, 64)).state_dict()["head.weight"].shape == (1, 131)


def test_an_image_is_scored_alone() -> None:
    network, images = fresh(), torch.rand(3, 3, 64, 64)
    torch.testing.assert_close(network(images), torch.cat([network(image[None]) for image in images]))


def test_several_outputs_begin_with_every_kind_of_ng_as_likely() -> None:
    outputs = fresh(outputs=4)(torch.rand(2, 3, 64, 64))
    assert outputs.shape == (2, 4)
    assert torch.equal(outputs[:, 1], outputs[:, 3])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"stride": 3}, "stride=3 is none of 2, 4, 8, 16"),
        ({"widths": (8, 8), "stride": 8}, r"widths=\[8, 8\] has 2 convolutions: stride=8 takes 3"),
        ({"pool": "mean"}, "pool='mean' is none of head, max, top_k, log_sum_exp"),
        ({"pool": "max", "outputs": 3}, "3 outputs take pool=head"),
        ({"image_size": (4, 64)}, "the first cell gets 4x64 pixels"),
    ],
)
def test_arguments_out_of_range_are_refused_by_their_name(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        PatchNet(**{"image_size": (64, 64), **options})  # type: ignore[arg-type]
