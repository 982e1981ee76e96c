"""Write a model as one file: ONNX, OpenVINO or torch.export, each with its facts inside."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.export import Dim

from fancnn.errors import UserError
from fancnn.files.atomic_files import atomic_folder, remove, sync_file, sync_folder
from fancnn.files.seals import BLANK, seal, seal_archive
from fancnn.inference.export_formats import FORMATS, Format, needed
from fancnn.inference.export_metadata import INPUT, KEY, SEAL_KEY, ExportMetadata
from fancnn.inference.export_module import ExportModule
from fancnn.model import Model

OPSET = 20
DIMENSIONS = ({0: "batch", 1: "height", 2: "width"},)  # of the input, as runtimes and viewers name them


@contextmanager
def atomic_export(path: Path, form: Format) -> Iterator[Path]:
    """Yield a path in a folder of its own beside `path`; at the end its files replace those of `path`.

    An error inside leaves the files of `path` as they were. Of two files that belong together, a kill while they take
    their places can leave none, but never one that is old and one that is new.

    Raises:
        UserError: If the folder cannot be written.
    """
    try:
        with atomic_folder(path) as staging:
            yield staging / path.name
            pairs = list(zip(form.files(staging / path.name), form.files(path), strict=True))
            for written, _ in pairs:
                sync_file(written)
            if len(pairs) > 1:
                remove(path)
            for written, file in pairs:
                written.replace(file)
                sync_folder(file.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}. Name a place that can be written") from error


def write(model: Model, facts: ExportMetadata, path: Path, format: str) -> None:
    """Write `model` to `path`.

    Args:
        model: As `fancnn.load` gives it.
        facts: What the file says of itself.
        path: With the suffix of its format; OpenVINO's weights lie beside it, with the suffix `.bin`.
        format: `onnx`, `openvino` or `torch`.

    Raises:
        UserError: If a package is not installed, or the network has operations that the format does not know.
    """
    writers: dict[str, Callable[[torch.export.ExportedProgram, ExportMetadata, Path], None]] = {
        "onnx": _write_onnx,
        "openvino": _write_openvino,
        "torch": _write_torch,
    }
    for name in FORMATS[format].packages:
        needed(name)
    with _quiet():
        writers[format](traced(model), facts, path)


def traced(model: Model) -> torch.export.ExportedProgram:
    """Return the graph of a model for images of any number, height and width.

    Raises:
        UserError: If the network cannot be traced.
    """
    # no side is 1, nor are two alike: each of those would be taken for something that always holds
    example = torch.zeros(2, 67, 59, 3, dtype=torch.uint8)
    shapes = ({0: Dim.DYNAMIC, 1: Dim.DYNAMIC, 2: Dim.DYNAMIC},)
    try:
        with torch.no_grad():
            program = torch.export.export(ExportModule(model).eval(), (example,), dynamic_shapes=shapes)
    except Exception as error:  # torch's have no common class but this
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"the network cannot be exported: {reason}") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # lines of these sources, under the paths of this computer
    return program


def _write_onnx(program: torch.export.ExportedProgram, facts: ExportMetadata, path: Path) -> None:
    exported = torch.onnx.export(
        program,
        dynamo=True,
        external_data=False,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=facts.tensors,
        dynamic_shapes=DIMENSIONS,
        verbose=False,
    )
    if exported is None:
        raise UserError("torch.onnx.export gave no program")
    proto = exported.model_proto
    proto.producer_name = "fancnn"
    needed("onnx").helper.set_model_props(proto, {KEY: facts.as_text(), SEAL_KEY: BLANK.decode()})
    path.write_bytes(proto.SerializeToString())
    seal(path)


def _write_openvino(program: torch.export.ExportedProgram, facts: ExportMetadata, path: Path) -> None:
    openvino = needed("openvino")
    graph = openvino.convert_model(program)
    graph.inputs[0].get_tensor().set_names({INPUT})
    for output, name in zip(graph.outputs, facts.tensors, strict=True):
        output.get_tensor().set_names({name})
    graph.set_rt_info(facts.as_text(), [KEY])
    graph.set_rt_info(BLANK.decode(), [SEAL_KEY])
    openvino.serialize(graph, str(path), str(path.with_suffix(".bin")))
    seal(path, path.with_suffix(".bin"))


def _write_torch(program: torch.export.ExportedProgram, facts: ExportMetadata, path: Path) -> None:
    torch.export.save(program, path, extra_files={KEY: facts.as_text()})
    with path.open("r+b") as file:
        seal_archive(file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep remarks of the exporters about themselves off the screen."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
