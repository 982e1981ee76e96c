"""Decisions are computed in all bits of float32, and training keeps what it was allowed."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import backends

from fancnn.networks.full_float32 import full_float32
from fancnn.runs import checkpoints


def read(ask: Callable[[], object]) -> object:
    try:
        return ask()
    except RuntimeError:  # older and newer settings are out of step
        return "refused"


def settings() -> dict[str, object]:
    return {
        "cuda.matmul": backends.cuda.matmul.fp32_precision,  # type: ignore[attr-defined]
        "cudnn.conv": backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
        "cudnn.rnn": backends.cudnn.rnn.fp32_precision,  # type: ignore[attr-defined]
        "mkldnn.matmul": backends.mkldnn.matmul.fp32_precision,  # type: ignore[attr-defined]
        "mkldnn.conv": backends.mkldnn.conv.fp32_precision,  # type: ignore[attr-defined]
        "older matmul": read(torch.get_float32_matmul_precision),
        "older cudnn": read(lambda: backends.cudnn.allow_tf32),
        "older cuda": read(lambda: backends.cuda.matmul.allow_tf32),
    }


CUDA = {
    **dict.fromkeys(("cuda.matmul", "cudnn.conv", "cudnn.rnn"), "ieee"),
    **{"older matmul": "highest", "older cudnn": False, "older cuda": False},
}


def as_it_comes() -> None:
    pass


def high() -> None:
    torch.set_float32_matmul_precision("high")


def medium() -> None:
    torch.set_float32_matmul_precision("medium")


def allowed() -> None:
    backends.cuda.matmul.allow_tf32 = True
    backends.cudnn.allow_tf32 = True


def newer() -> None:
    backends.cuda.matmul.fp32_precision = "tf32"  # type: ignore[attr-defined]
    backends.cudnn.conv.fp32_precision = "tf32"  # type: ignore[attr-defined]


def newest() -> None:
    backends.fp32_precision = "tf32"  # type: ignore[attr-defined]


USERS = (as_it_comes, high, medium, allowed, newer, newest)


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    before = settings()
    yield
    backends.fp32_precision = "none"  # type: ignore[attr-defined]
    torch.set_float32_matmul_precision("highest")
    backends.cudnn.allow_tf32 = True
    backends.cuda.matmul.fp32_precision = "none"  # type: ignore[attr-defined]
    backends.mkldnn.matmul.fp32_precision = "none"  # type: ignore[attr-defined]
    assert settings()["older matmul"] == before["older matmul"]


@pytest.mark.parametrize("user", USERS)
def test_cuda_is_full_inside_and_as_the_user_had_it_afterwards(user: Callable[[], None]) -> None:
    user()
    before = settings()
    with full_float32("cuda"):
        inside = settings()
        with full_float32("cuda"):
            assert settings() == inside
        assert settings() == inside
    unread = {name for name in CUDA if before[name] == "refused"}  # a user of newer settings alone sees these
    assert {name: inside[name] for name in CUDA if name not in unread} == {
        name: value for name, value in CUDA.items() if name not in unread
    }
    assert settings() == before


@pytest.mark.parametrize("user", USERS)
def test_a_processor_takes_no_bfloat16_inside(user: Callable[[], None]) -> None:
    user()
    before = settings()
    with full_float32("cpu"):
        inside = settings()
        assert {inside["mkldnn.matmul"], inside["mkldnn.conv"]} <= {"ieee", "none"}
    assert settings() == before


def test_other_devices_have_no_such_settings() -> None:
    high()
    before = settings()
    with full_float32("mps"):
        assert settings() == before


def test_an_error_inside_puts_it_back() -> None:
    high()
    before = settings()
    with pytest.raises(ZeroDivisionError), full_float32("cuda"):
        raise ZeroDivisionError
    assert settings() == before


def test_the_last_of_several_threads_puts_it_back() -> None:
    high()
    before = settings()
    entered, leave = threading.Semaphore(0), threading.Event()

    def decide() -> None:
        with full_float32("cuda"):
            entered.release()
            leave.wait(60)

    first = threading.Thread(target=decide)
    first.start()
    entered.acquire()
    with full_float32("cuda"):
        pass
    assert settings()["cudnn.conv"] == "ieee"  # the first is not done
    leave.set()
    first.join()
    assert settings() == before


@pytest.mark.parametrize("ask", ["logits", "probabilities", "predict", "score_files"])
def test_a_model_decides_in_it(ask: str, trained_run: Path, image_folder: Path) -> None:
    model, found = checkpoints.load(trained_run), list[dict[str, object]]()
    model.network.register_forward_hook(lambda *_: found.append(settings()))
    medium()  # bfloat16 in matrix products of the processor
    before, images = settings(), np.zeros((2, 16, 16, 3), np.uint8)
    assert before["mkldnn.matmul"] == "bf16"
    {
        "logits": lambda: model.logits(torch.from_numpy(images).permute(0, 3, 1, 2)),
        "probabilities": lambda: model.probabilities(torch.from_numpy(images).permute(0, 3, 1, 2)),
        "predict": lambda: model.predict(images),
        "score_files": lambda: list(model.score_files(sorted(image_folder.rglob("*.png"))[:40])),
    }[ask]()
    assert found
    assert all(inside["mkldnn.matmul"] == "ieee" for inside in found)
    assert settings() == before


@pytest.mark.gpu
@pytest.mark.parametrize("user", USERS)
def test_inside_a_graphics_processor_computes_in_full(user: Callable[[], None]) -> None:
    random = torch.Generator().manual_seed(0)
    images, kernel = torch.randn(8, 64, 32, 32, generator=random), torch.randn(64, 64, 3, 3, generator=random)
    exact = torch.nn.functional.conv2d(images.double(), kernel.double())
    product = images.flatten(2).double() @ images.flatten(2).double().mT
    user()
    with full_float32("cuda"):
        ours = torch.nn.functional.conv2d(images.cuda(), kernel.cuda()).double().cpu()
        multiplied = (images.flatten(2).cuda() @ images.flatten(2).cuda().mT).double().cpu()
    assert float((ours - exact).abs().max() / exact.abs().max()) < 2e-6  # TF32: 5e-4
    assert float((multiplied - product).abs().max() / product.abs().max()) < 2e-6


@pytest.mark.gpu
def test_a_graphics_processor_gives_the_logits_of_the_cpu(trained_run: Path) -> None:
    images = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = checkpoints.load(trained_run, "cpu").logits(images)
    high()
    np.testing.assert_allclose(checkpoints.load(trained_run, "cuda").logits(images), expected, atol=1e-4)
