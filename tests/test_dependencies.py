"""What the project is built on: bounds in pyproject.toml, and the script that tries them and lists licences."""

import importlib.util
import json
import subprocess
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from samples import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    *PROJECT["dependencies"],
    *(item for extra in PROJECT["optional-dependencies"].values() for item in extra),
]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """`.ci/dependencies` as a module."""
    loader = SourceFileLoader("dependencies", str(REPOSITORY / ".ci/dependencies"))
    spec = importlib.util.spec_from_loader("dependencies", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def write_distribution(packages: Path, name: str, *lines: str) -> None:
    (packages / f"{name}-1.0.dist-info").mkdir(parents=True)
    text = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines, ""])
    (packages / f"{name}-1.0.dist-info/METADATA").write_text(text)


def test_every_requirement_has_a_lowest_version_which_can_be_tried() -> None:
    for requirement in map(Requirement, REQUIREMENTS):
        own = requirement.name == PROJECT["name"]  # the extras of another extra
        assert own or ">=" in {bound.operator for bound in requirement.specifier}, f"{requirement} has no lower bound"


def test_licences_that_are_not_permissive_are_named(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_distribution(tmp_path, "good", "License-Expression: (MIT OR GPL-3.0-only) AND Apache-2.0 WITH LLVM-exception")
    write_distribution(tmp_path, "old", "License: BSD-3-Clause", "Classifier: License :: OSI Approved :: BSD License")
    write_distribution(tmp_path, "tqdm", "License: MPL-2.0 AND MIT")
    write_distribution(tmp_path, "nvidia-cublas", "License-Expression: LicenseRef-NVIDIA-Proprietary")
    write_distribution(tmp_path, "viral", "License: MIT", "Classifier: License :: OSI Approved :: GPLv3")
    write_distribution(tmp_path, "mixed", "License-Expression: MIT AND GPL-3.0-only")
    write_distribution(tmp_path, "silent")
    refused = script.print_licences(script.installed_in(tmp_path))
    assert [item.name for item in refused] == ["mixed", "silent", "viral"]
    printed = capsys.readouterr().out
    assert "viral 1.0 has the licence 'GPLv3', which is not permissive" in printed
    assert "silent 1.0 has the licence 'unknown'" in printed
    assert "nvidia-cublas 1.0" in printed.partition("NVIDIA's, proprietary")[2]


@pytest.mark.parametrize(
    ("answer", "weak", "text"),
    [
        ({"dependencies": [{"name": "a", "skip_reason": "not found"}]}, 0, "0 of 0 packages; 1 could not be asked for"),
        (
            {
                "dependencies": [
                    {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]},
                    {"name": "b", "version": "1", "vulns": []},
                ]
            },
            1,
            "known weaknesses: 1 of 2 packages; 0 could not be asked for\n  a 1: CVE-1, fixed in 2",
        ),
        (None, 0, "pip-audit could not ask for them: no network"),
    ],
    ids=["out of reach", "weak", "failed"],
)
def test_what_pip_audit_could_not_ask_for_is_said(
    answer: object,
    weak: int,
    text: str,
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = json.dumps(answer) if answer else ""
    ended = subprocess.CompletedProcess([], 1, said, "Traceback ...\nno network\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    assert len(script.print_weaknesses(tmp_path / "pip-audit", tmp_path)) == weak
    assert text in capsys.readouterr().out
