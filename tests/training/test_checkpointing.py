"""Which files a training keeps, and what is in them."""

from pathlib import Path

import pytest
import torch

from fancnn.training.checkpointing import AtomicCheckpointIO

Content = dict[str, object]


def state(step: int, **more: object) -> Content:
    return {"epoch": 0, "global_step": step, "state_dict": {"weight": torch.full((2,), float(step))}, **more}


def step_of(path: Path) -> int:
    kept: int = AtomicCheckpointIO().load_checkpoint(path, weights_only=True)["global_step"]
    return kept


def test_what_is_saved_twice_at_one_step_is_one_file_with_two_names(tmp_path: Path) -> None:
    best, last, plugin = tmp_path / "best.ckpt", tmp_path / "last.ckpt", AtomicCheckpointIO()
    for path in (best, last):
        plugin.save_checkpoint(state(1), path)
    assert best.samefile(last)
    plugin.save_checkpoint(state(2), last)
    assert (step_of(best), step_of(last)) == (1, 2)


@pytest.mark.parametrize("other", [state(2), state(1, optimizer_states=[])], ids=["another step", "more in it"])
def test_another_checkpoint_is_another_file(other: Content, tmp_path: Path) -> None:
    plugin = AtomicCheckpointIO()
    plugin.save_checkpoint(state(1), tmp_path / "best.ckpt")
    plugin.save_checkpoint(other, tmp_path / "last.ckpt")
    assert not (tmp_path / "best.ckpt").samefile(tmp_path / "last.ckpt")
    assert set(AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt", weights_only=True)) == set(other)


def test_where_a_file_can_have_one_name_alone_it_is_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: Path) -> None:
        raise OSError("no second names here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    plugin = AtomicCheckpointIO()
    for name in ("best.ckpt", "last.ckpt"):
        plugin.save_checkpoint(state(1), tmp_path / name)
    assert [step_of(tmp_path / name) for name in ("best.ckpt", "last.ckpt")] == [1, 1]
