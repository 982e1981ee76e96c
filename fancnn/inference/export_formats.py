"""The formats of exported files: their suffixes, and the packages that they need."""

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from fancnn.errors import UserError

EXTRAS = {"onnx": "export", "onnxscript": "export", "onnxruntime": "export", "openvino": "openvino"}


class Format(NamedTuple):
    """How its files are called, which packages write and compare them, and the suffix of a second file, if any."""

    suffix: str
    packages: tuple[str, ...]
    beside: str = ""

    def files(self, path: Path) -> list[Path]:
        """Return all that is written for `path`, which comes last: whatever reads it finds the other one there."""
        return [*([path.with_suffix(self.beside)] if self.beside else []), path]


FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxscript", "onnxruntime")),
    "openvino": Format(".xml", ("openvino",), ".bin"),
    "torch": Format(".pt2", ()),
}


def needed(name: str) -> Any:
    """Return a package that only exporting needs.

    Raises:
        UserError: If it is not installed, with the extra to install.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        extra = EXTRAS[name]
        raise UserError(f'{name} is not installed: pip install "fancnn[{extra}]"') from error
