"""Files of weights: each mistake in words, and nothing read, run or downloaded that should not be."""

import errno
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fancnn.errors import UserError
from fancnn.networks import TimmNet
from fancnn.networks.pretrained_weights import downloaded, read_weights
from fancnn.networks.registry import network_from_dict

pytestmark = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm")
NAME = "test_resnet"


def state_of(name: str = NAME, outputs: int = 1000) -> dict[str, Tensor]:
    return TimmNet((80, 80), name, outputs=outputs).network.state_dict()


def write(state: dict[str, Tensor], path: Path) -> Path:
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path


def why_refused(weights: str | Path, name: str = NAME) -> str:
    with pytest.raises(ValueError, match="weights=") as refused:
        TimmNet((80, 80), name, str(weights))
    return str(refused.value)


def test_a_file_of_another_network_is_refused_with_what_does_not_fit(tmp_path: Path) -> None:
    path = write(state_of("test_vit"), tmp_path / "vit.safetensors")
    said = why_refused(path)
    assert f"weights={str(path)!r} are of another network than test_resnet, which has " in said
    assert "missing, first bn1.bias" in said
    assert "unknown, first blocks.0." in said
    assert said.endswith("Say the network that they are of: model.network.name=...")


def test_a_tensor_that_is_missing_unknown_or_of_another_shape_is_named(tmp_path: Path) -> None:
    whole = state_of()
    without = {name: value for name, value in whole.items() if name != "layer2.0.conv1.weight"}
    assert "1 missing, first layer2.0.conv1.weight." in why_refused(write(without, tmp_path / "a.safetensors"))
    more = {**whole, "neck.weight": torch.ones(2)}
    assert "1 unknown, first neck.weight." in why_refused(write(more, tmp_path / "b.safetensors"))
    other = {**whole, "bn1.weight": torch.ones(7)}
    assert "bn1.weight is (7,) there and (32,) here" in why_refused(write(other, tmp_path / "c.safetensors"))


def test_a_last_layer_may_be_missing_and_so_may_counts_of_batches(tmp_path: Path) -> None:
    kept = {
        name: value for name, value in state_of().items() if not name.startswith("fc.") and "num_batches" not in name
    }
    assert len(kept) < len(state_of()) - 4
    net = TimmNet((80, 80), NAME, str(write(kept, tmp_path / "w.safetensors"))).network
    assert all(torch.equal(net.state_dict()[name], value) for name, value in kept.items())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    state = state_of()
    state["bn1.running_var"][3] = value
    said = why_refused(write(state, tmp_path / "w.safetensors"))
    assert "has weights that are no finite numbers: 1 of 32 in bn1.running_var. Its training diverged" in said


def test_numbers_beyond_float32_are_refused_and_half_precision_is_taken(tmp_path: Path) -> None:
    state = state_of()
    state["bn1.running_var"] = torch.full((32,), 1e300, dtype=torch.float64)
    assert "no finite numbers: 32 of 32" in why_refused(write(state, tmp_path / "w.safetensors"))
    half = {name: value.half() if value.is_floating_point() else value for name, value in state_of().items()}
    net = TimmNet((80, 80), NAME, str(write(half, tmp_path / "h.safetensors"))).network
    assert net.conv1[0].weight.dtype == torch.float32
    assert torch.equal(net.conv1[0].weight, half["conv1.0.weight"].float())


class Planted:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("new", [True, False])
def test_a_pickle_is_refused_whatever_it_is_called_and_not_run(new: bool, name: str, tmp_path: Path) -> None:
    torch.save({"a": Planted(tmp_path / "ran")}, tmp_path / name, _use_new_zipfile_serialization=new)
    said = why_refused(tmp_path / name)
    assert "is a pickle of torch, and those are not loaded: they could run anything" in said
    assert "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'FILE.safetensors')" in said
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused_with_the_way_out(share: float, tmp_path: Path) -> None:
    path = write(state_of(), tmp_path / "w.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    said = why_refused(path)
    assert "is cut short, damaged or of another kind" in said
    assert "take another copy" in said


def test_what_is_no_file_or_far_too_large_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is no file. Expected a .safetensors file, pretrained, or null" in why_refused(tmp_path / "none.safetensors")
    assert "cannot be read: a folder, not a file" in why_refused(tmp_path)
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert "cannot be read: a named pipe, not a regular file" in why_refused(tmp_path / "pipe.safetensors")
    with (tmp_path / "huge.safetensors").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match=r"huge.safetensors' cannot be read: more than 1,073,\d+,\d+ bytes"):
        read_weights(tmp_path / "huge.safetensors", nn.Linear(3, 3))


def hub(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[str, str]]:
    """Let the Hugging Face hub answer so, with nothing in its cache; what was asked for is in the list."""
    import huggingface_hub

    asked = []

    def download(repo_id: str, filename: str, local_files_only: bool = False, **more: Any) -> str:
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")
        asked.append((repo_id, filename))
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


@pytest.mark.parametrize("name", [NAME, f"{NAME}.r160_in1k"])
def test_pretrained_takes_the_file_of_timm_and_says_its_licence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = state_of()
    asked = hub(monkeypatch, write(state, tmp_path / "model.safetensors"))
    net = TimmNet((80, 80), name, "pretrained")
    assert asked == [("timm/test_resnet.r160_in1k", "model.safetensors")]
    assert torch.equal(net.network.conv1[0].weight, state["conv1.0.weight"])
    assert net.backbone is not None
    assert net.backbone.network == f"{NAME}.r160_in1k"
    assert (net.backbone.origin, net.backbone.license) == ("timm/test_resnet.r160_in1k", "apache-2.0")
    assert list(net.backbone.mean) == [0.5, 0.5, 0.5]


def test_without_a_network_it_says_where_to_get_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's own error, of an empty cache and a network that is switched off."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    said = why_refused("pretrained")
    assert "timm/test_resnet.r160_in1k is not in the cache, and there is no network to download it from" in said
    assert "Download model.safetensors of https://huggingface.co/timm/test_resnet.r160_in1k on another" in said
    assert "model.network.weights=FILE.safetensors" in said


def test_what_is_in_the_cache_is_taken_without_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache as the hub lays it out, and a network that nobody may use."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection was made"))
    kept = tmp_path / "models--timm--test_resnet.r160_in1k"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs/main").write_text("a" * 40)
    (kept / "snapshots" / ("a" * 40)).mkdir(parents=True)
    state = state_of()
    write(state, kept / "snapshots" / ("a" * 40) / "model.safetensors")
    net = TimmNet((80, 80), NAME, "pretrained")
    assert torch.equal(net.network.conv1[0].weight, state["conv1.0.weight"])


def test_a_network_that_breaks_off_is_told_apart_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    assert "(No space left on device)" in why_refused("pretrained").replace("[Errno 28] ", "")


@pytest.mark.parametrize("config", [{}, {"hf_hub_id": ""}, {"hf_hub_id": "timm/other", "custom_load": True}])
def test_a_network_without_published_weights_is_refused_before_anything_is_asked(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = hub(monkeypatch, OSError())
    with pytest.raises(ValueError, match=r"timm has no weights of resnet18.mine as .safetensors. It has some of resn"):
        downloaded("resnet18.mine", config)
    assert asked == []


def test_what_a_file_says_of_a_network_reads_and_downloads_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(monkeypatch, OSError())
    for weights in ("pretrained", "/dev/zero", "/nowhere.safetensors"):
        described = {"_target_": "fancnn.networks.TimmNet", "image_size": [80, 80], "name": NAME, "weights": weights}
        made = network_from_dict(described)
        assert isinstance(made, TimmNet)
        assert made.backbone is None
    assert asked == []


@pytest.mark.parametrize(
    ("weights", "mean", "std", "why"),
    [
        (
            None,
            [0.5] * 3,
            [0.5] * 3,
            "are for weights=FILE.safetensors: they are of the images",
        ),
        ("pretrained", [0.5] * 3, [0.5] * 3, "are for weights=FILE.safetensors: timm says those of its own weights"),
        ("w.safetensors", [0.5] * 3, None, "std=None: say both"),
        ("w.safetensors", [0.5] * 3, [0.0] * 3, "three numbers each, those of std above 0"),
        ("w.safetensors", [0.5], [0.5], "three numbers each, those of std above 0"),
    ],
)
def test_a_mean_and_deviation_are_those_of_a_file(weights: Any, mean: Any, std: Any, why: str) -> None:
    with pytest.raises((ValueError, UserError), match=why):
        TimmNet((80, 80), NAME, weights, mean, std)


def test_without_safetensors_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(state_of(), tmp_path / "w.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ValueError, match=r'pip install "fancnn\[timm\]"'):
        read_weights(path, nn.Linear(3, 3))
