import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch import Tensor

from fancnn.augmentation import Blob, CutPaste, Plant, Scratch, Texture

KINDS = {"blob": Blob(), "scratch": Scratch(), "cut_paste": CutPaste(), "texture": Texture()}


def surfaces(count: int = 6, height: int = 90, width: int = 120) -> Tensor:
    torch.manual_seed(1)
    return (0.5 + 0.05 * torch.randn(count, 1, height, width)).clamp(0, 1).expand(-1, 3, -1, -1).contiguous()


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000))
@examples(max_examples=25)
def test_a_planted_defect_changes_its_place_and_nothing_far_from_it(kind: str, seed: int) -> None:
    images, labels = surfaces(), torch.tensor([0.0, 1.0] * 3)
    torch.manual_seed(seed)
    planted = Plant([KINDS[kind]], share=1.0, most=1)(images, labels)
    change = (planted.images - images).abs().amax(1)
    assert planted.labels.tolist() == [1.0] * 6
    for index in range(6):
        if labels[index] == 1:
            assert not planted.masks[index].any()
            assert torch.equal(planted.images[index], images[index])
            continue
        assert planted.masks[index].any()
        assert change[index][planted.masks[index]].mean() > 0.01
        near = F.max_pool2d(planted.masks[index].float()[None, None], 15, 1, 7)[0, 0] > 0
        assert change[index][~near].max() < 0.05
    assert 0 <= planted.images.min() <= planted.images.max() <= 1


def test_the_generator_of_random_numbers_decides_all_and_the_share_how_many() -> None:
    images, labels = surfaces(40), torch.zeros(40)
    plant = Plant(list(KINDS.values()), share=0.5)
    torch.manual_seed(3)
    first = plant(images, labels)
    torch.manual_seed(3)
    again = plant(images, labels)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert 10 <= first.labels.sum() <= 30
    assert torch.equal(first.labels == 1, first.masks.flatten(1).any(1))
    assert not plant.eval()(images, labels).masks.any()
    assert torch.equal(Plant([Blob()], share=0.0)(images, labels).images, images)


def test_a_planted_defect_is_of_every_type_as_likely_and_a_mixed_image_is_left_alone() -> None:
    shares = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0.6, 0.4, 0, 0]])
    planted = Plant([Scratch()], share=1.0)(surfaces(3), shares)
    expected = torch.tensor([[0, 1 / 3, 1 / 3, 1 / 3], [0, 1.0, 0, 0], [0.6, 0.4, 0, 0]])
    torch.testing.assert_close(planted.labels, expected)


def test_images_smaller_than_a_defect_are_planted_too() -> None:
    planted = Plant(list(KINDS.values()), share=1.0, most=5)(surfaces(8, 9, 7), torch.zeros(8))
    assert planted.masks.shape == (8, 9, 7)
    assert planted.images.isfinite().all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Plant([]), "there is none to plant"),
        (lambda: Plant(["a"]), "defects: str is none"),
        (lambda: Plant([Blob()], share=2), "share=2 should be a number from 0 to 1"),
        (lambda: Blob(least_width=9, most_width=2), "least_width=9 should not be above most_width=2"),
        (lambda: Scratch(least_length=0), "least_length=0 should be a number from 1"),
    ],
)
def test_arguments_out_of_range_are_refused_by_their_name(make: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()  # type: ignore[operator]
