"""Weights that another program has taught, in a safetensors file: read within bounds, compared, and never run."""

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from fancnn.files.regular_files import size_of_regular

PRETRAINED = "pretrained"
MOST_TIMES, MOST_MORE = 4, 2**30  # bytes of a file: float64 and a last layer of many classes, and no more
MAGIC_OF_PICKLES = (b"PK\x03\x04", b"\x80")  # a torch file, new and old
CONVERT = (
    "Expected a .safetensors file. One of your own is converted once, where you trust it: "
    "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'FILE.safetensors')"
)


def read_weights(path: Path, network: nn.Module) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a safetensors file by name, and the SHA-256 of its bytes.

    Args:
        path: Of the file.
        network: That they are for: a file of many times its size is not read.

    Raises:
        ValueError: If the file is not there, of another kind, cut short, too large, or holds numbers that are not
            finite.
    """
    own = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    key = f"weights={str(path)!r}"
    try:
        size_of_regular(path, MOST_TIMES * own + MOST_MORE)
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ValueError(f"{key} is no file. Expected a .safetensors file, {PRETRAINED}, or null") from error
    except OSError as error:
        raise ValueError(f"{key} cannot be read: {error.strerror or error}") from error
    if start.startswith(MAGIC_OF_PICKLES):
        raise ValueError(f"{key} is a pickle of torch, and those are not loaded: they could run anything. {CONVERT}")
    state = _tensors(path, key)
    _validate_numbers(state, key)
    return state, sha256


def _tensors(path: Path, key: str) -> dict[str, Tensor]:
    safetensors = _package("safetensors")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (safetensors.SafetensorError, OSError, RuntimeError, ValueError, KeyError, AttributeError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{key} is cut short, damaged or of another kind ({why}): take another copy. {CONVERT}") from (
            error
        )


def _validate_numbers(state: Mapping[str, Tensor], key: str) -> None:
    for name, value in state.items():
        if value.is_complex():
            raise ValueError(f"{key} has complex numbers in {name}: no network of timm has any")
        wrong = int((~torch.isfinite(value.to(torch.float32))).sum()) if value.is_floating_point() else 0
        if wrong:
            raise ValueError(
                f"{key} has weights that are no finite numbers: {wrong} of {value.numel()} in {name}. Its training "
                "diverged or the file is damaged: take another"
            )


def fill(network: nn.Module, name: str, state: Mapping[str, Tensor], key: str) -> None:
    """Give a network of timm the weights of another of its name; its last layer stays fresh where that is another.

    What timm does to weights of an earlier version of a network, or of one for images of another size, is done here.

    Args:
        network: Takes them, in place.
        name: It is called.
        state: Tensors by name.
        key: Names the file, for messages.

    Raises:
        ValueError: If another tensor than those of the last layer is missing, unknown, or of another shape.
    """
    given, own, last = _filtered(network, name, state, key), network.state_dict(), last_layers(network)
    fitting = {of: value for of, value in given.items() if of in own and own[of].shape == value.shape}
    wrong = [of for of in {*given, *own} - {*fitting} if not of.startswith(last) and not _may_be_missing(of, given)]
    if wrong:
        raise ValueError(_misfit(name, given, own, wrong, key))
    network.load_state_dict(fitting, strict=False)


def _filtered(network: nn.Module, name: str, state: Mapping[str, Tensor], key: str) -> Mapping[str, Tensor]:
    """Return the weights by today's names and for the size of images here, as timm itself would."""
    module = importlib.import_module(type(network).__module__)
    change: Any = getattr(module, "checkpoint_filter_fn", None)  # what timm calls it in the modules that have one
    if change is None:
        return state
    try:
        try:
            changed: Mapping[str, Tensor] = change(dict(state), network)
        except TypeError:
            changed = change(dict(state))
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(
            f"{key} are of another network than {name}: timm cannot fit them to it ({type(error).__name__}: {error}). "
            f"{_WAY_OUT}"
        ) from error
    return changed


_WAY_OUT = "Say the network that they are of: model.network.name=..."


def _misfit(name: str, given: Mapping[str, Tensor], own: Mapping[str, Tensor], wrong: Sequence[str], key: str) -> str:
    missing = sorted(of for of in wrong if of not in given)
    unknown = sorted(of for of in wrong if of not in own)
    differing = sorted(of for of in wrong if of in own and of in given)
    said = [
        *([f"{len(missing)} missing, first {missing[0]}"] if missing else []),
        *([f"{len(unknown)} unknown, first {unknown[0]}"] if unknown else []),
        *(
            f"{of} is {tuple(given[of].shape)} there and {tuple(own[of].shape)} here, as {len(differing) - 1} more"
            for of in differing[:1]
        ),
    ]
    return f"{key} are of another network than {name}, which has {len(own)} tensors: {'; '.join(said)}. {_WAY_OUT}"


def _may_be_missing(name: str, given: Mapping[str, Tensor]) -> bool:
    """Return whether a tensor may be missing: how many batches a norm has seen decides nothing."""
    return name.endswith("num_batches_tracked") and name not in given


def last_layers(network: nn.Module) -> tuple[str, ...]:
    """Return how the names of the layers that give timm's logits begin; nothing where timm does not say."""
    names = getattr(network, "default_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def downloaded(name: str, config: Mapping[str, Any]) -> tuple[Path, str]:
    """Return the safetensors file of timm's weights for a network, and its repository on the Hugging Face hub.

    It is taken from the cache of the hub, where timm keeps what it downloads, and downloaded where it is not there.

    Args:
        name: Of the network.
        config: What timm says of its weights.

    Raises:
        ValueError: If timm knows of none, or they cannot be had.
    """
    repository, key = config.get("hf_hub_id"), f"weights={PRETRAINED}"
    if not isinstance(repository, str) or not repository or config.get("custom_load"):
        known = _package("timm").list_pretrained(f"{name.partition('.')[0]}*")
        near = f"It has some of {', '.join(known[:3])}" if known else "Take another network"
        raise ValueError(f"{key}: timm has no weights of {name} as .safetensors. {near}: model.network.name=...")
    hub = _package("huggingface_hub")
    repository, _, revision = repository.partition("@")
    wanted = {"repo_id": repository, "filename": _file_name(config), "revision": revision or None}
    try:
        try:  # what is there is taken as it is, without asking: the same weights in each run of a sweep
            path = hub.hf_hub_download(**wanted, local_files_only=True)
        except hub.errors.LocalEntryNotFoundError:
            path = hub.hf_hub_download(**wanted, library_name="timm")
    except (OSError, ValueError, hub.errors.EntryNotFoundError) as error:
        raise ValueError(_why_not_there(error, hub, repository, key)) from error
    return Path(path), repository


def _file_name(config: Mapping[str, Any]) -> str:
    said = str(config.get("hf_hub_filename") or "model.safetensors")
    if said.endswith(".safetensors"):
        return said
    return "open_clip_model.safetensors" if said.startswith("open_clip") else "model.safetensors"


def _why_not_there(error: Exception, hub: ModuleType, repository: str, key: str) -> str:
    elsewhere = (
        f"Download model.safetensors of https://huggingface.co/{repository} on another computer, and say "
        "model.network.weights=FILE.safetensors"
    )
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, hub.errors.LocalEntryNotFoundError):
        why = f"{repository} is not in the cache, and there is no network to download it from"
    elif isinstance(error, hub.errors.GatedRepoError):
        why = f"{repository} asks for an account that has agreed to its licence"
    elif isinstance(error, hub.errors.RepositoryNotFoundError):
        why = f"{repository} is not on the hub any more, or asks for an account"
    elif isinstance(error, hub.errors.EntryNotFoundError):
        why = f"{repository} has no such file ({first})"
    elif isinstance(error, hub.errors.HfHubHTTPError):
        why = f"the hub answers for {repository}: {first}"
    else:
        why = f"{repository} is not in the cache, and there is no network to download it from ({first})"
    return f"{key}: {why}. {elsewhere}"


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f'weights need the package {name} ({error}): pip install "fancnn[timm]"') from error
