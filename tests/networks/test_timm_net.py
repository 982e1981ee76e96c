"""Networks of timm, where it is installed; and what is said where it is not."""

import hashlib
import importlib.util
import re
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
def test_weights_of_a_file_replace_all_but_a_last_layer_for_other_classes(tmp_path: Path) -> None:
    thousand, path = saved(TimmNet((80, 80), "test_resnet", outputs=1000), tmp_path)
    network = TimmNet((80, 80), "test_resnet", path).network
    for name, value in network.state_dict().items():
        assert name.startswith("fc.") or torch.equal(value, thousand[name]), name
    assert not torch.equal(network.state_dict()["fc.weight"], thousand["fc.weight"][:1])
    same = TimmNet((80, 80), "test_resnet", path, outputs=1000).network
    assert all(torch.equal(value, thousand[name]) for name, value in same.state_dict().items())


@needs_timm
@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"])
def test_features_are_those_of_timm_itself_also_for_images_of_another_size(name: str, tmp_path: Path) -> None:
    """Timm's own way through a file is the oracle: it fits the places of a transformer's patches to the size, too."""
    import timm

    _, path = saved(TimmNet((160, 160), name, outputs=1000), tmp_path)
    size = {"img_size": (80, 64)} if name == "test_vit" else {}
    overlay = {"file": path, "url": None, "hf_hub_id": None}
    theirs = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=1, **size).eval()
    ours = TimmNet((80, 64), name, path).eval()
    images = torch.rand(2, 3, 80, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours.network.forward_features(images), theirs.forward_features(images))


@needs_timm
def test_what_a_file_has_taught_is_stated(tmp_path: Path) -> None:
    _, path = saved(TimmNet((80, 80), "test_efficientnet"), tmp_path)
    backbone = TimmNet((80, 80), "test_efficientnet", path).backbone
    assert backbone is not None
    assert (backbone.network, backbone.origin, backbone.license) == ("test_efficientnet", "w.safetensors", None)
    assert backbone.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert (list(backbone.mean), list(backbone.std)) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert TimmNet((80, 80), "test_efficientnet").backbone is None


def saved(net: TimmNet, folder: Path) -> tuple[dict[str, torch.Tensor], str]:
    """The weights of a network of timm, and the file that they were written to."""
    state, path = net.network.state_dict(), folder / "w.safetensors"
    pytest.importorskip("safetensors.torch").save_file(state, path)
    return state, str(path)


@needs_timm
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_depths_rise_from_the_stem_by_block_to_the_last_layer(name: str) -> None:
    net = TimmNet((80, 80), name)
    depths = net.layer_depths()
    assert depths.keys() == dict(net.named_parameters()).keys()
    stem = {"test_resnet": "network.conv1.0.weight", "test_vit": "network.patch_embed.proj.weight"}[name]
    blocks = {"test_resnet": r"layer(\d)\.", "test_vit": r"blocks\.(\d)\."}[name]
    assert depths[stem] == 0
    by_block = {int(found[1]): depth for of, depth in depths.items() if (found := re.search(blocks, of))}
    first = min(by_block)
    assert by_block == {block: block - first + 1 for block in by_block}
    last = [depth for of, depth in depths.items() if of.startswith(net.last_layers)]
    assert set(last) == {max(by_block.values()) + 1}


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


@needs_timm
def test_an_unknown_tag_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="name='test_vit.mine' has a tag that timm does not know.*test_vit.r160_in1k"):
        TimmNet((80, 80), "test_vit.mine")
