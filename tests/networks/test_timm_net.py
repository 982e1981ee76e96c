"""Networks of timm, where it is installed; and what is said where it is not."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from fancnn.networks import TimmNet

needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")


@needs_timm
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_a_network_gives_a_logit_for_each_image_of_a_size_of_ours(name: str) -> None:
    network = TimmNet((80, 64), name)
    assert network(torch.zeros(2, 3, 80, 64)).shape == (2,)
    assert TimmNet((80, 64), name, outputs=3)(torch.zeros(2, 3, 80, 64)).shape == (2, 3)
    assert network.training


@needs_timm
def test_its_first_weights_depend_on_the_seed_alone() -> None:
    kernels = []
    for _ in range(2):
        torch.manual_seed(5)
        kernels.append(next(TimmNet((80, 64), "test_resnet").parameters()))
    assert torch.equal(*kernels)


@needs_timm
@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_of_a_file_replace_all_but_a_last_layer_for_other_classes(wrapped: bool, tmp_path: Path) -> None:
    thousand = TimmNet((80, 80), "test_resnet", outputs=1000).network.state_dict()
    torch.save({"state_dict": thousand} if wrapped else thousand, tmp_path / "weights.pth")
    network = TimmNet((80, 80), "test_resnet", str(tmp_path / "weights.pth")).network
    for name, value in network.state_dict().items():
        assert name.startswith("fc.") or torch.equal(value, thousand[name]), name
    same = TimmNet((80, 80), "test_resnet", str(tmp_path / "weights.pth"), outputs=1000).network
    assert all(torch.equal(value, thousand[name]) for name, value in same.state_dict().items())


@needs_timm
def test_safetensors_are_read_too(tmp_path: Path) -> None:
    files = pytest.importorskip("safetensors.torch")
    first = TimmNet((80, 80), "test_resnet")
    files.save_file(first.network.state_dict(), tmp_path / "weights.safetensors")
    second = TimmNet((80, 80), "test_resnet", str(tmp_path / "weights.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    (tmp_path / "weights.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="weights.safetensors' .*(is no sound|cannot be read)"):
        TimmNet((80, 80), "test_resnet", str(tmp_path / "weights.safetensors"))


@needs_timm
def test_weights_that_are_none_or_of_another_network_are_refused_in_words(tmp_path: Path) -> None:
    torch.save(TimmNet((80, 80), "test_vit").network.state_dict(), tmp_path / "vit.pth")
    with pytest.raises(ValueError, match="are of another network than test_resnet: .* tensors are missing, unknown"):
        TimmNet((80, 80), "test_resnet", str(tmp_path / "vit.pth"))
    with pytest.raises(ValueError, match="nowhere.pth' is no file"):
        TimmNet((80, 80), "test_resnet", str(tmp_path / "nowhere.pth"))
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(ValueError, match="text.pth' cannot be read: "):
        TimmNet((80, 80), "test_resnet", str(tmp_path / "text.pth"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="list.pth' holds no mapping of names to tensors"):
        TimmNet((80, 80), "test_resnet", str(tmp_path / "list.pth"))


@needs_timm
@pytest.mark.parametrize(("name", "near"), [("resnet81", "resnet"), ("hf-hub:timm/resnet18", ""), ("", "")])
def test_an_unknown_name_is_refused_with_near_ones_and_nothing_is_downloaded(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"name='{name}' is none of timm's \d+ networks. Near: .*{near}"):
        TimmNet((80, 80), name)


@needs_timm
def test_images_that_do_not_pass_are_refused_with_the_layer_and_its_size() -> None:
    with pytest.raises(
        ValueError, match=r"(\w+\.)+\w+ gets \d+x\d+ pixels and inception_v3 fails there: .*Take larger"
    ):
        TimmNet((40, 40), "inception_v3")


def test_without_timm_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r'pip install "fancnn\[timm\]"'):
        TimmNet((80, 80))
