import os
import subprocess
import sys
from pathlib import Path

import pytest

import fancnn
from fancnn.errors import UserError
from fancnn.rendering.workers import parallel_map

SCRIPT = """
from fancnn.fans.fan_dataset import render_fans
render_fans("fans", count=40, size=48, workers=2)
"""


def ignore(finished: int) -> None:
    """Progress that nobody asked for."""


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_jobs(workers: int) -> None:
    finished: list[int] = []
    assert parallel_map(abs, range(-20, 20), workers, finished.append) == [abs(job) for job in range(-20, 20)]
    assert sum(finished) == 40


def test_a_process_that_dies_is_told_in_words() -> None:
    with pytest.raises(UserError, match="One of 2 rendering processes ended early.*workers=1"):
        parallel_map(os._exit, [3] * 40, 2, ignore)


def test_a_script_without_a_guard_is_told_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    checkout = str(Path(fancnn.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": checkout},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "if __name__ == '__main__':" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]
