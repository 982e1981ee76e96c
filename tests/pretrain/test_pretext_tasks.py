from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fancnn.errors import UserError
from fancnn.images.preprocess import Preprocess
from fancnn.networks import ConvNet, Decoder, ResidualNet
from fancnn.pretrain.pretext_tasks import Autoencoder, Rotation, four_turns, learnt_layers

SMALL: dict[str, Callable[[], nn.Module]] = {
    "convnet": lambda: ConvNet((20, 24), filters=(4, 6), hidden=(5,), norm="batch"),
    "convnet, mean": lambda: ConvNet((20, 24), filters=(4, 6), hidden=(), head="average"),
    "residual, pre": lambda: ResidualNet((20, 24), widths=(8, 16), stem_stride=2),
    "residual, maximum": lambda: ResidualNet((20, 24), widths=(8, 16), stem_stride=2, head="max"),
    "residual, post": lambda: ResidualNet((20, 24), widths=(8, 16), stem_stride=2, order="post"),
}


def random_images(count: int = 3, size: tuple[int, int] = (20, 24)) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_what_a_network_decides_comes_from_its_feature_map(make: Callable[[], nn.Module]) -> None:
    """What follows it is pooling, flattening and linear layers."""
    network = make().eval()
    pixels = torch.rand(4, 3, 20, 24)
    features = network.feature_map(pixels)
    if isinstance(network, ConvNet):
        pooled = network.hidden(features)
    else:
        pooled = features.amax((2, 3)) if make is SMALL["residual, maximum"] else features.mean((2, 3))
    logits = network.logit(pooled).squeeze(1)
    torch.testing.assert_close(logits, network(pixels))


@pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)
def test_what_comes_after_the_feature_map_is_not_learnt_and_looking_changes_nothing(
    make: Callable[[], nn.Module],
) -> None:
    network, preprocess = make(), Preprocess((20, 24))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    learnt = learnt_layers(network, preprocess)
    holding = [name for name, layer in network.named_modules() if list(layer.parameters(recurse=False))]
    last = {"logit", "hidden.1.0"}
    assert set(learnt) == set(holding) - last
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert network.training
    assert all(weight.grad is None and weight.requires_grad for weight in network.parameters())


def test_a_layer_frozen_by_hand_belongs_to_what_was_learnt_and_stays_frozen() -> None:
    network = ConvNet((20, 24), filters=(4,), hidden=(), first_layer="sobel", freeze_first_layer=True)
    assert learnt_layers(network, Preprocess((20, 24))) == ["blocks.0.0"]
    assert not network.blocks[0][0].weight.requires_grad


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 99))
def test_turns_are_numpys_and_their_labels_count_them(count: int, side: int, seed: int) -> None:
    pixels = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    turned, turns = four_turns(pixels)
    assert sorted(turns.tolist()) == sorted([0, 1, 2, 3] * count)
    for place, (image, label) in enumerate(zip(turned, turns, strict=True)):
        upright = pixels[place % count].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.rot90(upright, int(label)))


def test_the_loss_of_turns_is_their_cross_entropy_and_the_accuracy_their_share() -> None:
    task = Rotation(ConvNet((20, 20), filters=(4,), hidden=()), Preprocess((20, 20))).eval()
    pixels = torch.rand(3, 3, 20, 20)
    found = task.per_image_scores(pixels)
    losses, right = [], []
    for image in pixels:
        for turns in range(4):
            chances = task.classify_turns(image.rot90(turns, (1, 2))[None]).softmax(1)[0]
            losses.append(-chances[turns].log().item())
            right.append(int(chances.argmax()) == turns)
    assert found["loss"].mean().item() == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["accuracy"].mean().item() == pytest.approx(np.mean(right))


def test_an_autoencoder_is_measured_without_noise_and_trained_with_it() -> None:
    task = Autoencoder(ConvNet((20, 24), filters=(4,), hidden=()), Preprocess((20, 24)), noise=0.3).eval()
    images = random_images()
    error = (task(images) - images / 255).square().mean((1, 2, 3))
    torch.testing.assert_close(task.per_image_scores(images / 255)["loss"], error)
    task.train()
    torch.manual_seed(0)
    noisy = task.per_image_scores(images / 255)["loss"]
    torch.manual_seed(1)
    assert not torch.equal(task.per_image_scores(images / 255)["loss"], noisy)


def test_what_is_to_be_rebuilt_has_no_noise() -> None:
    """A decoder that gives the images themselves has no loss, whatever is shown."""
    task = Autoencoder(ConvNet((20, 24), filters=(4,), hidden=()), Preprocess((20, 24)), noise=0.5).train()
    pixels = random_images() / 255
    task.reconstruct = lambda shown: pixels  # type: ignore[method-assign]
    assert task.per_image_scores(pixels)["loss"].max() == 0


def test_an_autoencoder_learns_to_rebuild() -> None:
    torch.manual_seed(0)
    task = Autoencoder(ConvNet((20, 24), filters=(8, 8), hidden=()), Preprocess((20, 24)), noise=0.0)
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    pixels = torch.nn.functional.interpolate(torch.rand(8, 3, 3, 3), size=(20, 24), mode="bilinear")
    losses = []
    for _ in range(60):
        loss = task.per_image_scores(pixels)["loss"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5


@pytest.mark.parametrize(("map_size", "image_size"), [((5, 5), (80, 80)), ((18, 18), (80, 80)), ((3, 7), (33, 70))])
def test_a_decoder_gives_as_many_pixels_as_asked_for(map_size: tuple[int, int], image_size: tuple[int, int]) -> None:
    assert Decoder(24, map_size, image_size)(torch.rand(2, 24, *map_size)).shape == (2, 3, *image_size)


@pytest.mark.parametrize("task", [Autoencoder, Rotation])
def test_a_network_without_a_feature_map_is_refused_in_words(task: type) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 1))
    with pytest.raises(UserError, match=r"Sequential has no feature_map: .*feature_map\(images\) that gives"):
        task(network, Preprocess((8, 8)))


def test_turns_of_images_that_are_not_square_are_refused() -> None:
    with pytest.raises(UserError, match=r"data.image_size=\[20, 24\]: task=rotation needs square images"):
        Rotation(ConvNet((20, 24), filters=(4,)), Preprocess((20, 24)))


def test_negative_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="noise=-1 should be 0"):
        Autoencoder(ConvNet((20, 24), filters=(4,)), Preprocess((20, 24)), noise=-1)
