import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import compose_train, write_images

from fancnn import assembly
from fancnn.data import datamodule
from fancnn.data.datamodule import MOST_NAMED, ImageDataModule
from fancnn.data.datasets import FileDataset, PixelDataset
from fancnn.data.labeled_images import copies_across_splits, read_split, split_hash, write_split
from fancnn.data.samplers import SeededBatchSampler
from fancnn.data.split_plan import SplitPlan
from fancnn.errors import UserError
from fancnn.images.image_gate import DEFAULT_GATE
from fancnn.images.preprocess import Preprocess


def module(root: Path, plan: SplitPlan | None = None, **options: object) -> ImageDataModule:
    data = ImageDataModule(root, "GO", Preprocess((8, 8)), plan or SplitPlan(), **options)  # type: ignore[arg-type]
    data.setup()
    return data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images", {"GO": 20, "NG": 10})


def test_a_fifth_of_each_class_validates_by_default(root: Path) -> None:
    data = module(root)
    assert [(len(data.images_of(part)), sum(p.label for p in data.images_of(part))) for part in ("train", "val")] == [
        (24, 8),
        (6, 2),
    ]


def test_batches_hold_the_pixels_and_labels_of_their_images(root: Path) -> None:
    data = module(root, batch_size=7)
    images, labels = zip(*data.train_dataloader(), strict=True)
    assert [len(batch) for batch in images] == [7, 7, 7, 3]
    expected = data.dataset("train")[torch.arange(24)]
    order = torch.cat(list(SeededBatchSampler(24, 7, seed=0)))
    assert torch.equal(torch.cat(images), expected[0][order])
    assert torch.equal(torch.cat(labels), expected[1][order])
    assert expected[1].tolist() == [image.label for image in data.images_of("train")]


def test_unreadable_files_are_all_named_with_reasons(root: Path) -> None:
    (root / "GO/001.png").write_bytes(b"")
    (root / "NG/002.png").write_text("not an image")
    with pytest.raises(UserError) as refused:
        module(root)
    text = str(refused.value)
    assert text.startswith(f"2 of 30 files under {root} cannot be read:\n  GO/001.png: empty")
    assert "\n  NG/002.png: not an image" in text
    assert "data.on_bad_file=skip" in text


def test_many_files_that_cannot_be_read_do_not_flood_the_console(tmp_path: Path) -> None:
    root = write_images(tmp_path / "photos", {"GO": 3, "NG": 3})
    for number in range(MOST_NAMED + 7):
        (root / f"NG/bad{number:03}.png").touch()
    with pytest.raises(UserError) as caught:
        module(root).setup()
    lines = str(caught.value).splitlines()
    assert len(lines) == MOST_NAMED + 3
    assert lines[-2] == "  and 7 more; after data.on_bad_file=skip, skipped.csv lists all"


def test_skipped_files_are_kept_with_reasons_and_the_rest_is_split(root: Path) -> None:
    (root / "GO/001.png").write_bytes(b"")
    data = module(root, on_bad_file="skip")
    assert [item.path for item in data.skipped] == ["GO/001.png"]
    assert len(data.images) == 29


def test_a_class_whose_files_are_all_skipped_is_said(root: Path) -> None:
    for path in (root / "NG").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="no images in the class folder NG"):
        module(root, on_bad_file="skip")


def test_a_class_too_small_to_split_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 2 images.*NG has 1"):
        module(write_images(tmp_path, {"GO": 5, "NG": 1}))


def test_copies_of_an_image_stay_in_one_part(root: Path) -> None:
    for index in range(8):
        shutil.copy(root / "GO/000.png", root / f"GO/copy{index}.png")
    assert copies_across_splits(module(root).images) == 0
    assert copies_across_splits(module(root, SplitPlan("ordered", val_fraction=0.2)).images) == 9


def test_parts_given_by_folders_stay_and_val_is_taken_from_train(tmp_path: Path) -> None:
    root = write_images(tmp_path, {"train/GO": 10, "train/NG": 10, "test/GO": 4, "test/NG": 3})
    data = module(root)
    assert [len(data.images_of(part)) for part in ("train", "val", "test")] == [16, 4, 7]
    assert all(image.path.startswith("test/") for image in data.images_of("test"))


def test_a_group_is_in_one_part_and_in_the_table(tmp_path: Path) -> None:
    root = tmp_path / "images"
    for lot in range(10):
        write_images(root, {f"GO/lot{lot}": 3, f"NG/lot{lot}": 2}, seed=lot)
    data = module(root, SplitPlan("grouped", group=r"lot\d"))
    parts = {group: {p.split for p in data.images if p.group == group} for group in {p.group for p in data.images}}
    assert len(parts) == 10
    assert all(len(of) == 1 for of in parts.values())


def test_a_split_file_gives_the_same_parts_and_leaves_new_images_out(root: Path, tmp_path: Path) -> None:
    first = module(root, SplitPlan(seed=5))
    write_split(first.images, tmp_path / "split.csv")
    assert read_split(tmp_path / "split.csv") == first.images
    shutil.copy(root / "GO/000.png", root / "GO/new.png")
    again = module(root, SplitPlan(split_file=tmp_path / "split.csv"))
    assert again.images == first.images
    assert again.left_out == 1
    assert split_hash(again.images) == split_hash(first.images)
    assert torch.equal(again.dataset("val")[torch.tensor([0])][0], first.dataset("val")[torch.tensor([0])][0])


def test_a_split_file_that_names_missing_or_changed_files_is_refused_with_both(root: Path, tmp_path: Path) -> None:
    write_split(module(root).images, tmp_path / "split.csv")
    (root / "GO/003.png").unlink()
    shutil.copy(root / "NG/001.png", root / "NG/002.png")
    with pytest.raises(UserError, match=r"1 missing \(GO/003.png\); 1 changed \(NG/002.png\)"):
        module(root, SplitPlan(split_file=tmp_path / "split.csv"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\n", "lacks the column label, split, sha256. Found: path, class"),
        ("path,class,label,split,sha256,version\na,b,0,train,c,2\n", "format version 2; this fancnn reads up to 1"),
        ("path,class,label,split,sha256\na,b,0,training,c\n", "line 2: split='training' and label='0' should be"),
    ],
)
def test_a_split_file_of_another_form_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_split(tmp_path / "split.csv")


@given(
    size=st.integers(1, 200),
    batch_size=st.integers(1, 50),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 99),
    world=st.integers(1, 4),
)
def test_processes_share_an_epoch_without_overlap_and_another_epoch_has_another_order(
    size: int, batch_size: int, seed: int, epoch: int, world: int
) -> None:
    shares = []
    for rank in range(world):
        sampler = SeededBatchSampler(size, batch_size, seed, rank, world)
        sampler.set_epoch(epoch)
        batches = [batch.tolist() for batch in sampler if len(batch)]
        assert len(batches) == len(sampler)
        assert all(len(batch) == batch_size for batch in batches[:-1])
        shares.append([index for batch in batches for index in batch])
        assert len(shares[-1]) == size // world
    together = [index for share in shares for index in share]
    assert len(set(together)) == len(together)
    if world == 1:
        assert sorted(together) == list(range(size))
    later = SeededBatchSampler(size, batch_size, seed, 0, world)
    later.set_epoch(epoch + 1)
    if size // world > 20:
        assert torch.cat(list(later)).tolist() != shares[0]


def test_a_dataset_moved_to_a_device_gives_the_same_batches(root: Path) -> None:
    dataset = module(root).dataset("train")
    assert isinstance(dataset, PixelDataset)
    moved, indices = dataset.on(torch.device("cpu")), torch.tensor([3, 0, 17])
    assert moved.size_in_bytes() == dataset.size_in_bytes() == 24 * 3 * 8 * 8
    for ours, expected in zip(moved[indices], dataset[indices], strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.gpu
def test_training_on_a_gpu_has_the_images_there(root: Path, tmp_path: Path) -> None:
    settings = compose_train(tmp_path, "model=tiny", "data.image_size=[16,16]", f"data.root={root}")
    data = assembly.datamodule(settings.data, root, 0)
    trainer = assembly.trainer(replace(settings, callbacks={}, logger={}))
    data.setup()
    trainer.fit(assembly.classifier(settings, assembly.model(settings, data.classes), {}), data)
    images, _ = next(iter(data.train_dataloader()))
    assert images.device.type == "cuda"


def test_images_that_fit_nowhere_are_decoded_when_asked_for_and_are_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = list(module(root).in_order("train"))
    monkeypatch.setattr(datamodule, "MEMORY_SHARE", 0)
    data = module(root)
    assert "too many images for the memory" in capsys.readouterr().out
    assert isinstance(data.dataset("train"), FileDataset)
    for (images, labels), (expected, truth) in zip(data.in_order("train"), kept, strict=True):
        assert torch.equal(images, expected)
        assert torch.equal(labels, truth)
    (root / "GO/000.png").write_bytes(b"")
    files = FileDataset([root / "GO/000.png"], torch.zeros(1), Preprocess((8, 8)), DEFAULT_GATE)
    with pytest.raises(UserError, match="000.png was readable before and is so no more: empty"):
        files[torch.tensor([0])]
