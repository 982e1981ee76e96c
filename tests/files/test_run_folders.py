"""One run in a folder, and one process at work in it."""

import subprocess
import sys
from pathlib import Path

import pytest
from samples import SMALL, process_environment, run_command

from fancnn.errors import UserError
from fancnn.files import run_folders

HOLD = """
import sys
from pathlib import Path
from fancnn.files.run_folders import claim
claim(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_folder_with_settings_alone_is_free_and_one_with_a_run_is_not(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / ".hydra").mkdir(parents=True)
    run_folders.claim(run)
    for left in ("metrics.json", "split.csv", "certificate.json"):
        (run / left).touch()
        with pytest.raises(UserError, match=r"run holds a run already, .* ckpt=.*/run; or remove it first"):
            run_folders.claim(run)
        run_folders.claim(run, goes_on=True)
        (run / left).unlink()


def test_a_training_without_a_checkpoint_is_to_be_removed_and_one_with_it_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_folders.begin(run, "train")
    with pytest.raises(UserError, match="before there was anything to go on with: remove it, or name another"):
        run_folders.claim(run)
    assert "anything to go on with. Remove it, and run the command again" in run_folders.why_incomplete(run)
    (run / "checkpoints").mkdir()
    (run / "checkpoints/last.ckpt").touch()
    with pytest.raises(UserError, match=r"run holds a run already, .* ckpt=.*/run; or remove it first"):
        run_folders.claim(run)


def test_another_process_is_refused_until_the_first_one_ends_however_it_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, env=process_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="another process is at work in"):
            run_folders.claim(tmp_path)
        with pytest.raises(UserError, match="another process is at work in"), run_folders.at_work(tmp_path):
            pass
        run_folders.begin(tmp_path, "train")
        assert "train is at work there. Wait for its end" in run_folders.why_incomplete(tmp_path)
        other.kill()
    with run_folders.at_work(tmp_path):
        assert "was stopped there before its end" in run_folders.why_incomplete(tmp_path)


def test_what_an_unfinished_run_says_of_its_command_is_not_taken_on_trust(tmp_path: Path) -> None:
    run_folders.begin(tmp_path, "train; rm -r /")
    (tmp_path / "last.ckpt").touch()
    assert "python -m fancnn.train ckpt=" in run_folders.why_incomplete(tmp_path)
    (tmp_path / run_folders.UNFINISHED).write_bytes(b"\xff\xfe")
    assert "python -m fancnn.train ckpt=" in run_folders.why_incomplete(tmp_path)


@pytest.mark.slow
def test_a_second_training_in_a_folder_is_refused_before_anything_in_it_is_touched(
    image_folder: Path, tmp_path: Path
) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted((tmp_path / "run").rglob("*")) if path.is_file()}

    given = [*SMALL, f"data.root={image_folder}", "trainer.max_epochs=1", "report=false"]
    first = run_command("fancnn.train", *given, "hydra.run.dir=run", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    before = content()
    for command, place in (
        ("fancnn.train", "hydra.run.dir=run"),
        ("fancnn.train", "output_dir=run"),
        ("fancnn.evaluate", "output_dir=run"),
    ):
        own = given if command == "fancnn.train" else [f"run={tmp_path / 'run'}"]
        again = run_command(command, *own, place, cwd=tmp_path)
        assert again.returncode == 1, again.stdout
        assert "run holds a run already, and two in one folder would be mixed" in again.stderr
        assert content() == before
    swept = run_command("fancnn.train", "-m", "ckpt=run", cwd=tmp_path)
    assert swept.returncode == 1
    assert "ckpt=run goes on with one run, and --multirun starts a sweep" in swept.stderr
    longer = run_command("fancnn.train", "ckpt=run", "trainer.max_epochs=2", "hydra.run.dir=run", cwd=tmp_path)
    assert longer.returncode == 0, longer.stderr
    assert not run_folders.why_incomplete(tmp_path / "run")
