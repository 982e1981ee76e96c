"""The shape of the package, derived from its imports: who may import whom, and what a file is called."""

import ast
import subprocess
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest
from samples import REPOSITORY, process_environment

PACKAGE = REPOSITORY / "fancnn"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem[0] != "_")
CAPABILITIES = sorted(path.parent.name for path in PACKAGE.glob("*/__main__.py"))
# what a person on the line, or a page, needs without torch
WITHOUT_TORCH = ("metrics", "decisions", "pages", "serve", "report", "compare", "fans", "files", "settings")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def package_of(module: str) -> str:
    return module.split(".")[1]


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in the file; of this package down to modules."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & MODULES or {node.module}
    return found


MODULES = {module_of(path) for path in PACKAGE.rglob("*.py")}
IMPORTS = {module_of(path): imported(path) for path in FILES}


def between_packages() -> list[tuple[str, str]]:
    """Pairs of an importing and an imported module of different packages."""
    return [
        (module, name)
        for module, names in IMPORTS.items()
        for name in sorted(names)
        if name.startswith("fancnn.") and package_of(name) != package_of(module)
    ]


def test_packages_import_one_another_in_one_direction() -> None:
    graph: dict[str, set[str]] = {}
    for module, name in between_packages():
        graph.setdefault(package_of(module), set()).add(package_of(name))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = error.args[1]
        edges = [
            (a, b)
            for a, b in between_packages()
            if any({package_of(a), package_of(b)} <= {*pair} for pair in pairwise(cycle))
        ]
        pytest.fail(f"{' <- '.join(cycle)}, by {edges}")


def test_a_capability_is_used_by_others_through_its_story_and_settings() -> None:
    for module, name in between_packages():
        capability = package_of(name)
        if capability in CAPABILITIES:
            # assembly renders the sample fans where `data.fans` asks for them
            assert package_of(module) in (*CAPABILITIES, "assembly"), f"{module} imports {name}, which stands above it"
            assert name.rpartition(".")[2] in (capability, "settings"), (
                f"{module} imports {name}, a part of {capability}"
            )


def test_only_cli_and_assembly_know_hydra() -> None:
    for module, names in IMPORTS.items():
        if package_of(module) not in ("cli", "assembly"):
            assert not {name.split(".")[0] for name in names} & {"hydra", "omegaconf"}, module


def test_what_needs_no_torch_does_not_load_it() -> None:
    modules = [name for name in sorted(MODULES) if name.count(".") > 1 and package_of(name) in WITHOUT_TORCH]
    modules = [name for name in modules if not name.endswith("__main__")]
    code = f"import importlib, sys\nfor name in {modules}:\n    importlib.import_module(name)\n"
    code += "    assert 'torch' not in sys.modules, name"
    subprocess.run([sys.executable, "-c", code], env=process_environment(), check=True)


def test_the_name_of_a_file_says_what_is_in_it_and_stands_once() -> None:
    names = Counter(path.stem for path in PACKAGE.rglob("*.py"))
    assert {name for name, count in names.items() if count > 1} <= {"__init__", "__main__", "settings"}
    assert not {"utils", "util", "common", "helpers", "helper", "base", "core", "misc"} & {*names}
