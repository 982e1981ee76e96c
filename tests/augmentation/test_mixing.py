import pytest
import torch
from scipy import stats
from torch import Tensor

from fancnn.augmentation import Augment, CutMix, MixUp
from fancnn.augmentation.mixing import larger_share


def flat(levels: Tensor, height: int = 20, width: int = 30) -> Tensor:
    """Images of one grey level each."""
    return levels.view(-1, 1, 1, 1).expand(-1, 3, height, width)


def test_mixup_mixes_pixels_and_labels_in_the_same_shares() -> None:
    """With the label as grey level, every pixel of the mixture is the mixture's label."""
    torch.manual_seed(0)
    levels = torch.rand(64)
    found, labels = Augment([MixUp(alpha=1)])(flat(levels), levels)
    torch.testing.assert_close(found, flat(labels))
    assert not torch.equal(labels, levels)
    shares = (labels - levels.roll(1)) / (levels - levels.roll(1))
    assert shares.min() >= 0.5 - 1e-3  # most of an image is itself
    assert shares.max() <= 1 + 1e-3


def test_mixup_is_the_convex_combination_of_neighbours() -> None:
    images, labels = torch.rand(5, 3, 7, 9), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
    torch.manual_seed(0)
    found, mixed = MixUp(alpha=1).mix(images, labels)
    torch.manual_seed(0)
    share = larger_share(1.0, 5, images.device)
    wide = share.view(-1, 1, 1, 1)
    torch.testing.assert_close(found, wide * images + (1 - wide) * images[[4, 0, 1, 2, 3]])
    torch.testing.assert_close(mixed, share * labels + (1 - share) * labels[[4, 0, 1, 2, 3]])


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 5.0])
def test_shares_are_the_larger_sides_of_draws_from_beta(alpha: float) -> None:
    torch.manual_seed(0)
    drawn = larger_share(alpha, 4000, torch.device("cpu"))
    assert drawn.isfinite().all()

    def below(share: float) -> float:
        return float(stats.beta.cdf(share, alpha, alpha) - stats.beta.cdf(1 - share, alpha, alpha))

    for share in (0.6, 0.75, 0.9, 0.99):
        assert (drawn <= share).float().mean() == pytest.approx(below(share), abs=0.03)


def test_cutmix_pastes_one_rectangle_and_mixes_labels_by_its_area() -> None:
    torch.manual_seed(0)
    levels = torch.arange(64) / 64
    found, labels = Augment([CutMix(alpha=1, probability=1)])(flat(levels), levels)
    pasted = (found == flat(levels.roll(1))).all(1)  # (64, 20, 30)
    assert (pasted | (found == flat(levels)).all(1)).all()  # nothing but the two images
    area = pasted.float().mean((1, 2))
    torch.testing.assert_close(labels, (1 - area) * levels + area * levels.roll(1))
    assert area.max() <= 0.55  # half, and whole pixels
    assert (area > 0.2).any()
    for mask in pasted:
        rows, columns = mask.any(1).sum(), mask.any(0).sum()
        assert mask.sum() == rows * columns


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_shares_of_several_classes_are_mixed_as_labels_are(kind: type[MixUp]) -> None:
    labels = torch.arange(64) % 3
    images = torch.rand(64, 3, 20, 30)
    torch.manual_seed(0)
    _, of_ng = Augment([kind(alpha=1, probability=1)])(images, (labels > 0).float())
    torch.manual_seed(0)
    _, shares = Augment([kind(alpha=1, probability=1)])(images, torch.eye(3)[labels])
    torch.testing.assert_close(shares.sum(1), torch.ones(64))
    torch.testing.assert_close(1 - shares[:, 0], of_ng)
    assert ((shares > 0).sum(1) <= 2).all()  # of itself and of the one before it


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_an_image_alone_stays_as_it_is(kind: type[MixUp]) -> None:
    image, label = torch.rand(1, 3, 8, 5), torch.ones(1)
    found, labels = Augment([kind(alpha=1, probability=1)])(image, label)
    torch.testing.assert_close(found, image)
    torch.testing.assert_close(labels, label)


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_probability_decides_which_images_are_mixed(kind: type[MixUp]) -> None:
    torch.manual_seed(0)
    images, labels = torch.rand(400, 3, 16, 16), torch.rand(400)
    for probability, least, most in ((0, 0, 0), (1, 380, 400), (0.25, 60, 140)):
        found, mixed = Augment([kind(alpha=5, probability=probability)])(images, labels)
        changed = (found != images).flatten(1).any(1)
        assert least <= changed.sum() <= most
        assert torch.equal(mixed[~changed], labels[~changed])


@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_values_out_of_range_are_refused(kind: type[MixUp]) -> None:
    with pytest.raises(ValueError, match="alpha=0 should be a number from 0.01 to 10"):
        kind(alpha=0)
