"""The run and its exported file on each runtime that there is, asked in one way."""

import json
import logging
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fancnn.errors import UserError
from fancnn.files.seals import contents_of, validate_archive
from fancnn.inference.export_formats import FORMATS, needed
from fancnn.inference.export_metadata import KEY, ExportMetadata
from fancnn.inference.exported_model import checked_seal, content_of, metadata_text, session_of
from fancnn.model import Model
from fancnn.networks.cell_network import judged
from fancnn.networks.full_float32 import full_float32
from fancnn.networks.outputs import logit_of_ng

Tensors = dict[str, NDArray[Any]]
Score = Callable[[NDArray[np.uint8]], Tensors]
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}  # where a processor has bfloat16, that is OpenVINO's default


@dataclass(frozen=True)
class Runtime:
    """Something that scores images.

    Attributes:
        name: As tables call it.
        score: From images `(n, h, w, 3)` uint8 to the tensors of `fancnn.inference.export_metadata`, by name.
        counts: Whether it must agree; False where it computes as nobody should let it.
    """

    name: str
    score: Score
    counts: bool = True


def reference(model: Model, images: NDArray[np.uint8]) -> Tensors:
    """Return what the run says of images `(n, h, w, 3)`: with its own resize, and its calibration in float64."""
    return reference_of_pixels(model, model.preprocess.fit(torch.from_numpy(images).permute(0, 3, 1, 2)))


@torch.inference_mode()
def reference_of_pixels(model: Model, pixels: Tensor) -> Tensors:
    """Return the same of images after a resize, `(n, 3, *image_size)` uint8."""
    was_training = model.training
    model.eval()
    with torch.autocast(model.device.type, enabled=False), full_float32(model.device.type):
        outputs, cells = judged(model.network, model.preprocess(pixels.to(model.device)))
    model.train(was_training)
    logits = logit_of_ng(outputs).double().cpu().numpy()
    tensors = {
        "pixels": pixels.float().numpy(),
        "logit": logits,
        "probability": model.calibration.probabilities(logits),
    }
    if model.has_types:
        tensors["type_shares"] = torch.softmax(outputs[:, 1:], 1).cpu().numpy()
    return tensors if cells is None else tensors | {"cells": cells.sigmoid().cpu().numpy()}


def format_of(path: Path) -> str:
    """Return `onnx`, `openvino` or `torch`, by the suffix.

    Raises:
        UserError: If there is no such file, or its suffix is another.
    """
    formats = {form.suffix: name for name, form in FORMATS.items()}
    if not path.is_file():
        raise UserError(f"{path} does not exist. Expected a file that `python -m fancnn.export` wrote")
    if path.suffix not in formats:
        raise UserError(f"{path} should end in {', '.join(formats)}, as `python -m fancnn.export` names its files")
    return formats[path.suffix]


def facts_of(path: Path) -> ExportMetadata:
    """Return what an exported file of any format says of itself.

    Raises:
        UserError: If it is damaged or not one of fancnn's.
    """
    readers = {"onnx": _metadata_in_onnx, "openvino": _metadata_in_openvino, "torch": _metadata_in_program}
    kind = format_of(path)
    sealed = _is_sealed(path, kind)  # before anything in it is looked at
    return ExportMetadata.from_text(readers[kind](path), str(path), sealed=sealed)


def _is_sealed(path: Path, kind: str) -> bool:
    """Return whether a file has a seal; one that does not hold is refused."""
    if kind == "torch":
        try:
            with path.open("rb") as file:
                return validate_archive(file)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise _damaged_program(path, error) from error
    files = [path, path.with_suffix(FORMATS[kind].beside)] if kind == "openvino" else [path]
    try:
        with contents_of(*(file for file in files if file.is_file())) as contents:
            return checked_seal(path, *contents)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def runtimes_of(path: Path) -> list[Runtime]:
    """Return all that can run the file here.

    Raises:
        UserError: If the file is damaged, or the package that its format needs is not installed.
    """
    kind = format_of(path)
    _is_sealed(path, kind)
    if kind == "torch":
        return [Runtime("torch.export", of_program(path))]
    runtimes = [Runtime("ONNX Runtime", of_onnx_runtime(content_of(path), path))] if kind == "onnx" else []
    if kind == "openvino" or find_spec("openvino") is not None:
        runtimes.append(Runtime("OpenVINO, float32", of_openvino(path, FLOAT32)))
        if (precision := openvino_default(path)) != "f32":
            runtimes.append(Runtime(f"OpenVINO as it comes, {precision}", of_openvino(path, {}), counts=False))
    return runtimes


def of_onnx_runtime(content: bytes, path: Path) -> Score:
    """Return ONNX Runtime on the bytes of a file."""
    session = session_of(content, path, threads=0)
    names, (taken,) = [output.name for output in session.get_outputs()], session.get_inputs()
    return lambda images: dict(zip(names, session.run(names, {taken.name: images}), strict=True))


def of_openvino(source: Path | bytes, options: dict[str, str]) -> Score:
    """Return OpenVINO on a file, or on the bytes of an ONNX file."""
    compiled = _compiled(source, options)
    names, taken = [output.get_any_name() for output in compiled.outputs], compiled.inputs[0].get_any_name()

    def score(images: NDArray[np.uint8]) -> Tensors:
        outputs = compiled({taken: images})
        return {name: np.array(outputs[name]) for name in names}

    return score


def of_program(path: Path) -> Score:
    """Return PyTorch on a file of `torch.export`."""
    program, names = _loaded(path)[0].module(), facts_of(path).tensors

    def score(images: NDArray[np.uint8]) -> Tensors:
        with torch.inference_mode():
            outputs = program(torch.from_numpy(images))
        return {name: values.numpy() for name, values in zip(names, outputs, strict=True)}

    return score


def openvino_default(path: Path) -> str:
    """Return the precision that OpenVINO computes in on this processor, unless it is set: `f32`, `bf16` or `f16`."""
    return str(_compiled(path, {}).get_property("INFERENCE_PRECISION_HINT").get_type_name())


@cache  # one for the process: each changes the stack that signals are handled on, and the last to go leaves none
def _core() -> Any:
    return needed("openvino").Core()


def _compiled(source: Path | bytes, options: dict[str, str]) -> Any:
    return _core().compile_model(_read_by_openvino(source), "CPU", options)


def _read_by_openvino(source: Path | bytes) -> Any:
    try:
        return _core().read_model(source)
    except RuntimeError as error:
        name = source if isinstance(source, Path) else "the ONNX file"
        raise UserError(f"OpenVINO cannot read {name}: {str(error).strip().splitlines()[-1]}") from error


def _metadata_in_onnx(path: Path) -> str | None:
    return metadata_text(session_of(content_of(path), path, threads=1), path)


def _metadata_in_openvino(path: Path) -> str | None:
    graph = _read_by_openvino(path)
    return str(graph.get_rt_info([KEY]).value) if graph.has_rt_info([KEY]) else None


def _metadata_in_program(path: Path) -> str:
    return _loaded(path)[1]


def _loaded(path: Path) -> tuple[torch.export.ExportedProgram, str]:
    extra_files = {KEY: ""}
    try:
        validate_sizes(path)
        with _tensors_only(), _hushed("torch.export"):
            return torch.export.load(path, extra_files=extra_files), extra_files[KEY]
    except Exception as error:  # torch's have no common class but this
        raise _damaged_program(path, error) from error


def _damaged_program(path: Path, error: Exception) -> UserError:
    reason = str(error).partition("\n")[0]
    if "weights_only" in reason or "Weights only" in reason or "warnings above" in reason:  # torch's advice is to trust
        reason = "it holds something else than tensors, or cannot be read, and nothing of it was run"
    return UserError(f"{path} is damaged or no file of torch.export: {reason}")


@contextmanager
def _hushed(name: str) -> Iterator[None]:
    """Keep the tracebacks that a library logs off the screen: the error says what they come to."""
    logger = logging.getLogger(name)
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


NAMES_IN_SIZES = frozenset(
    {
        *("Symbol", "Integer", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Mod", "PythonMod", "ModularIndexing"),
        *("FloorDiv", "CeilDiv", "CleanDiv", "Eq", "Ne", "Ge", "Gt", "Le", "Lt", "And", "Or", "Not"),
        *("Equality", "Unequality", "GreaterThan", "StrictGreaterThan", "LessThan", "StrictLessThan"),
        *("True", "False", "positive", "nonnegative", "integer", "oo", "int_oo", "Infinity"),
    }
)
_SIZE = re.compile(r"[A-Za-z_]\w*")
_SYMBOL = re.compile(r"[a-z]{1,4}\d+")


def validate_sizes(path: Path) -> None:
    """Refuse a file of `torch.export` whose sizes are more than arithmetic: torch hands them to `eval`.

    Raises:
        ValueError: If it is no such archive, or a size names anything but a symbol and the functions of sizes.
    """
    with zipfile.ZipFile(path) as archive:
        texts = [archive.read(name).decode("utf-8") for name in archive.namelist() if name.endswith(".json")]
    for text in texts:
        for expression in _expressions(json.loads(text)):
            strange = [
                name for name in _SIZE.findall(expression) if name not in NAMES_IN_SIZES and not _SYMBOL.fullmatch(name)
            ]
            if strange or "." in expression or "__" in expression or len(expression) > 1000:
                raise ValueError(f"a size in it is no arithmetic: {expression[:80]!r}")


def _expressions(tree: Any) -> Iterator[str]:
    """Yield every expression of sizes that a serialised graph holds, wherever it stands."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key in ("expr_str", "lower", "upper") and isinstance(value, str):
                yield value
            yield from _expressions(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _expressions(value)


@contextmanager
def _tensors_only() -> Iterator[None]:
    """Let torch read tensors alone: `torch.export.load` would fall back to unpickling whatever is there."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
