"""The shape of the house: who may import whom, and what a room is called."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fancnn"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]

# from high to low; a module imports from its own floor and from those below, never from above
FLOORS = (
    (
        *("train", "pretrain", "crossval", "ensemble", "evaluate", "predict", "decide", "certify", "report", "compare"),
        *("export", "parity", "serve"),
        *("explain", "describe", "lr_find", "filters", "prune", "fans", "cache", "benchmark", "__main__", "__init__"),
    ),
    ("workflows",),
    ("benchmarks",),
    ("assembly", "checkpoints", "serving"),
    ("learning", "deployment"),
    ("model", "reporting"),
    ("explaining",),
    ("networks", "augmentation", "images", "splits", "inspection", "rendering", "command"),
    ("typed_settings", "refused_overrides"),
    (
        "arguments",
        "pictures",
        "limits",
        "pretraining_limits",
        "pruning_limits",
        "serving_limits",
        "judging_limits",
        "tool_limits",
        "installation",
        "cache_folder",
        "looks",
        "memory",
        "console",
        "kept_settings",
    ),
    ("settings", "pretraining_settings", "serving_settings"),
    ("group_settings", "line_settings"),
    ("tables", "seen_images", "trust", "kinds", "json_files", "yaml_files", "seals", "run_folders", "interruption"),
    ("errors", "regular_files", "atomic_files", "plurals"),
)
PURE = (
    *("inspection", "rendering", "reporting", "splits"),
    *(
        "pictures",
        "seen_images",
        "tables",
        "atomic_files",
        "kinds",
        "json_files",
        "yaml_files",
        "seals",
        "settings",
        "group_settings",
        "limits",
        "pretraining_limits",
        "pruning_limits",
        "judging_limits",
        "tool_limits",
        "plurals",
        "errors",
        "run_folders",
        "interruption",
        "cache_folder",
        "looks",
        "memory",
    ),
)
TORCH = {"torch", "torchvision", "torchmetrics", "pytorch_lightning", "lightning_fabric"}
HYDRA = {"hydra", "omegaconf"}
DRAWERS = {"utils", "util", "common", "helpers", "helper", "base", "core", "misc"}


def room(path: Path) -> str:
    """The first name below `fancnn`: a folder or a module."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "fancnn" else {node.module}
            )
    return found


def floor(name: str) -> int:
    return next(level for level, rooms in enumerate(FLOORS) if name in rooms)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_point_downward(path: Path) -> None:
    own = floor(room(path))
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "fancnn" and len(parts) > 1 and room(path) != "__init__":
            assert floor(parts[1]) >= own, f"{name} is above"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_only_command_and_assembly_know_hydra(path: Path) -> None:
    if room(path) not in ("command", "typed_settings", "refused_overrides", "assembly"):
        assert not {name.split(".")[0] for name in imports(path)} & HYDRA


@pytest.mark.parametrize("path", [path for path in FILES if room(path) in PURE], ids=str)
def test_pure_rooms_import_no_torch(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & TORCH


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_room_is_named_after_what_is_in_it(path: Path) -> None:
    assert not DRAWERS & {path.stem, *path.relative_to(PACKAGE).parts}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_nothing_inherits_but_from_torch_and_lightning(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            own = {"UserError", "FansSettings", "TrainSettings"}  # an exception, and dataclasses with some keys more
            names = {ast.unparse(parent).split("[")[0] for parent in node.bases} - own
            assert names <= KNOWN_PARENTS, f"{node.name}({', '.join(names)})"


KNOWN_PARENTS = {
    "ValueError",
    "HttpToolsProtocol",  # of uvicorn
    "nn.Module",
    "nn.Conv2d",
    "fx.Tracer",
    "ImageFolder",
    "Dataset",
    "Sampler",
    "ReduceLROnPlateau",
    "TorchCheckpointIO",
    "ModelCheckpoint",
    "Checkpoint",
    "pl.Callback",
    "Callback",  # of Hydra
    "pl.LightningModule",
    "pl.LightningDataModule",
    "NamedTuple",
    "TypedDict",
    "Protocol",
}
