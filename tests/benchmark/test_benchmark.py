import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from samples import compose_command, run_command

from fancnn.benchmark import start_up
from fancnn.benchmark.benchmark import benchmark
from fancnn.benchmark.settings import BenchmarkSettings
from fancnn.errors import UserError

SMALL = ["model=tiny", "data.image_size=[16,16]", "count=24", "size=[40,48]", "repeats=1", "trainer.accelerator=cpu"]


def settings(tmp_path: Path, *overrides: str) -> BenchmarkSettings:
    given = [*SMALL, f"output_dir={tmp_path}", *overrides]
    return compose_command("benchmark", BenchmarkSettings, *given)


def run_from_fork_server(command: list[str], *, cwd: Path, **_: object) -> "subprocess.CompletedProcess[str]":
    """Run what `subprocess.run` would, without the imports, which a benchmark measures and a test need not."""
    if command[1] == "-m":
        return run_command(*command[2:], cwd=cwd)
    return subprocess.run([command[0], "-c", "pass"], check=True, capture_output=True, text=True)


@pytest.mark.slow
def test_every_part_is_measured_and_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_up, "subprocess", SimpleNamespace(run=run_from_fork_server))
    quick = ["large=4", "scale=[8]", "epochs=1"]
    results = benchmark(settings(tmp_path, *quick))
    written = json.loads((tmp_path / "benchmark.json").read_text())
    assert (written["format"], written["version"]) == ("fancnn-benchmark", 1)
    assert [item["name"] for item in written["results"]] == [result.name for result in results]
    assert all(value > 0 for item in written["results"] for value in item["values"])
    held = {item["name"] for item in written["results"] if item["ratio"]}
    assert {"training epoch, 32", "training epoch, bf16-mixed", "predict, end to end"} <= held
    assert written["machine"]["versions"]["torch"]


def test_an_unknown_part_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="parts: 'speed' is none of machine, start, training"):
        benchmark(settings(tmp_path, "parts=[speed]"))


def test_a_python_without_keras_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="keras=.*nowhere cannot be started"):
        benchmark(settings(tmp_path, "parts=[runs]", "epochs=1", f"keras={tmp_path}/nowhere"))
