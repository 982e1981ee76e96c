"""Ctrl-C, SIGTERM and a full disk, wherever they come: the exit code, and nothing half-written."""

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from samples import SMALL, process_environment

from fancnn.errors import UserError
from fancnn.settings.training import TrainSettings
from fancnn.train.train import train
from fancnn.training.checkpointing import AtomicCheckpointIO

Settings = Callable[..., TrainSettings]
SENT = """
import os, signal, sys
WHERE, NUMBER = os.environ["STOP_WHERE"], int(os.environ["STOP_SIGNAL"])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores Ctrl-C

def stop():
    os.kill(os.getpid(), NUMBER)

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == WHERE:
            sys.meta_path.remove(self)
            stop()
        return None

if WHERE == "torch.save":
    import torch
    real = torch.save
    def save(content, file, *args, **kwargs):
        class Cut:
            def write(self, data):
                if not os.path.exists("sent"):
                    open("sent", "w").close()
                    stop()
                return file.write(data)
            def flush(self):
                file.flush()
        return real(content, Cut(), *args, **kwargs)
    torch.save = save
else:
    sys.meta_path.insert(0, Watch())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "number"),
    [
        ("omegaconf", signal.SIGINT),  # as the command is imported
        ("hydra._internal.config_loader_impl", signal.SIGTERM),  # as Hydra begins
        ("pytorch_lightning", signal.SIGINT),  # as the work begins
        ("torch.save", signal.SIGINT),
        ("torch.save", signal.SIGTERM),
    ],
)
def test_a_signal_gives_its_exit_code_without_a_traceback_or_a_half_written_file(
    where: str, number: signal.Signals, image_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SENT)
    command = [sys.executable, "-m", "fancnn.train", *SMALL, f"data.root={image_folder}", "trainer.max_epochs=1"]
    environment = process_environment(STOP_WHERE=where, STOP_SIGNAL=str(int(number)))
    environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
    answer = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert answer.returncode == 128 + number, answer.stderr
    assert "Traceback" not in answer.stderr
    assert not list(tmp_path.rglob("*partial*"))


def test_a_full_disk_is_said_with_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": torch.zeros(1)}, path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*best.ckpt: File too large. .* goes on with ckpt=RUN"):
            AtomicCheckpointIO().save_checkpoint({"epoch": torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["best.ckpt"]


@pytest.mark.parametrize(
    "nothing", ["+trainer.limit_train_batches=0", "+trainer.fast_dev_run=true", "+trainer.max_steps=0"]
)
def test_a_training_of_nothing_is_refused(nothing: str, train_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leaves no"):
        train(train_settings(nothing))
    assert not (tmp_path / "run").exists()
