"""The whole of an augmentation: what holds for any choice of transforms."""

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

import fancnn.augmentation
from fancnn.augmentation import Augment, Brightness, ChannelGain, DihedralSymmetry, HorizontalFlip, Rotation, Translate

PLANTED = {"Plant", "Blob", "CutPaste", "Scratch", "Texture"}  # on images that are augmented already: test_planting
NAMES = sorted({*fancnn.augmentation.__all__} - PLANTED - {"Augment"})
EVERY = [getattr(fancnn.augmentation, name)() for name in NAMES]


def batch(size: int = 6, height: int = 24, width: int = 24) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    images = torch.rand(size, 3, height, width, generator=random)
    return images.to(memory_format=torch.channels_last), torch.arange(size) % 2 * 1.0


@pytest.mark.parametrize("size", [(6, 24, 24), (1, 24, 24), (5, 17, 31), (2, 8, 5), (3, 1, 1)])
@pytest.mark.parametrize("transforms", [[item] for item in EVERY] + [EVERY], ids=lambda t: type(t[0]).__name__)
def test_shape_range_and_memory_order_are_kept_whatever_the_size(
    transforms: list[object], size: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    images, labels = batch(*size)
    before = images.clone()
    found, mixed = Augment(transforms)(images, labels)
    assert found.shape == images.shape
    assert mixed.shape == labels.shape
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert found.isfinite().all()
    assert 0 <= found.min() <= found.max() <= 1
    assert 0 <= mixed.min() <= mixed.max() <= 1
    assert torch.equal(images, before)  # what came in is not written over


@pytest.mark.parametrize("border", ["reflection", "edge", 0.0, 1.0])
def test_far_moves_stay_in_range_with_every_border(border: str | float) -> None:
    torch.manual_seed(0)
    found, _ = Augment([Rotation(180), Translate(1.0)], border)(*batch())  # type: ignore[arg-type]
    assert found.isfinite().all()
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("transforms", [[item] for item in EVERY] + [EVERY], ids=lambda t: type(t[0]).__name__)
def test_the_generators_state_decides_everything(transforms: list[object]) -> None:
    augment, (images, labels) = Augment(transforms), batch(16)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, other = augment(images, labels), augment(images, labels)
    torch.set_rng_state(state)
    again = augment(images, labels)
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], again[1])
    assert not torch.equal(one[0], other[0])


def test_only_training_is_augmented_and_nothing_is_drawn_outside_it() -> None:
    augment, (images, labels) = Augment(EVERY).eval(), batch()
    state = torch.get_rng_state()
    found, same = augment(images, labels)
    assert found is images
    assert same is labels
    assert torch.equal(torch.get_rng_state(), state)


def test_there_is_nothing_to_store() -> None:
    assert Augment(EVERY).state_dict() == {}


def test_no_transform_changes_nothing() -> None:
    images, labels = batch()
    found, same = Augment([])(images, labels)
    assert torch.equal(found, images)
    assert torch.equal(same, labels)


def test_autocast_does_not_coarsen_positions_or_colors() -> None:
    images, labels = batch(4, 80, 80)
    augment = Augment(EVERY)
    torch.manual_seed(0)
    alone, _ = augment(images, labels)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        inside, _ = augment(images, labels)
    assert torch.equal(alone, inside)


def test_images_are_made_channels_last_once_and_the_network_copies_nothing() -> None:
    """A hidden change of memory order would be a `contiguous`, a `clone` or a `copy_` of the whole batch."""
    images, labels = batch(8, 32, 32)
    augment = Augment([DihedralSymmetry(), Translate(), Brightness()])
    convolution = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True, acc_events=True) as profiler:
        convolution(augment(images, labels)[0])
    whole = [8, 3, 32, 32]
    copies = [
        event.name
        for event in profiler.events()
        if event.name in ("aten::copy_", "aten::clone", "aten::contiguous", "aten::_to_copy")
        and whole in (event.input_shapes or [])
    ]
    assert copies == []


def test_moves_of_whole_pixels_alone_are_exact() -> None:
    torch.manual_seed(0)
    images, labels = batch(64)
    found, _ = Augment([DihedralSymmetry(), HorizontalFlip()])(images, labels)
    levels = images.flatten(1).sort().values
    assert torch.equal(found.flatten(1).sort().values, levels)


def test_grey_images_stay_grey_but_under_a_color_cast() -> None:
    torch.manual_seed(0)
    images, labels = batch()
    grey = images[:, :1].repeat(1, 3, 1, 1)
    found, _ = Augment([item for item in EVERY if not isinstance(item, ChannelGain)])(grey, labels)
    torch.testing.assert_close(found[:, 0], found[:, 1])
    torch.testing.assert_close(found[:, 0], found[:, 2])


def test_every_transform_says_what_it_assumes() -> None:
    for item in EVERY:
        assert "assume" in (type(item).__doc__ or "").lower(), type(item).__name__


@pytest.mark.parametrize("border", ["wrap", 2.0, True, None])
def test_an_unknown_border_is_refused(border: object) -> None:
    with pytest.raises(ValueError, match="border=.* is none of reflection, edge, or a grey level from 0 to 1"):
        Augment([], border)  # type: ignore[arg-type]


def test_what_is_no_transform_is_refused() -> None:
    with pytest.raises(ValueError, match="transforms: Linear is none. Expected those of fancnn.augmentation"):
        Augment([torch.nn.Linear(1, 1)])


@pytest.mark.gpu
def test_a_gpu_gives_images_like_these() -> None:
    images, labels = (part.cuda() for part in batch())
    torch.cuda.manual_seed(0)
    one, mixed = Augment(EVERY)(images, labels)
    torch.cuda.manual_seed(0)
    again, _ = Augment(EVERY)(images, labels)
    assert one.device == mixed.device == images.device
    assert torch.equal(one, again)
    assert one.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("transforms", [[HorizontalFlip(), DihedralSymmetry()], [Rotation(), Translate()]])
def test_masks_move_along_with_their_images_and_change_no_pixel(transforms: list[object]) -> None:
    images, labels = batch(40)
    masks = torch.zeros(40, 24, 24, dtype=torch.bool)
    masks[:, 4:9, 6:16] = True
    shown = masks[:, None].float().repeat(1, 3, 1, 1)
    augment = Augment(transforms, border=0.0)
    torch.manual_seed(3)
    _, _, moved = augment.with_masks(shown, labels, masks)
    assert moved is not None
    torch.manual_seed(3)
    drawn, _ = augment(shown, labels)
    assert torch.equal(moved, drawn[:, 0] > 0.3)
    assert len({mask.numpy().tobytes() for mask in moved}) > 2
    torch.manual_seed(3)
    with_masks, _, _ = augment.with_masks(images, labels, masks)
    torch.manual_seed(3)
    torch.testing.assert_close(augment(images, labels)[0], with_masks)
