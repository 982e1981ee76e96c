"""Full float32 wherever decisions are computed, whatever arithmetic training was allowed."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

import torch
from torch import backends

FULL = ("ieee", "none")


@contextmanager
def full_float32(device_type: str) -> Iterator[None]:
    """Compute matrix products and convolutions in all 24 bits of float32 inside, and as before afterwards.

    TF32 keeps 11 bits, and on CUDA it is what convolutions do by default: logits then differ from the CPU's in the
    third digit, and a part near the threshold is decided by the machine that it meets.
    `torch.set_float32_matmul_precision("high")`, which a user may have called for the training, allows it for matrix
    products, and `"medium"` allows bfloat16 on processors.

    The settings are those of the whole process. So the first thread that enters changes them, and the last one that
    leaves puts back what was there; a thread that trains meanwhile computes in full float32, too.

    Args:
        device_type: `cuda`, `cpu`, or another, which has no such settings: nothing is changed then.
    """
    if (settings := _SETTINGS.get(device_type)) is None:
        yield
        return
    settings.enter()
    try:
        yield
    finally:
        settings.leave()


class _Settings:
    """Of one type of device: changed by the first who needs them, put back by the last.

    Args:
        newer: Objects of torch with `fp32_precision`.
        older: Whether torch keeps older settings of them besides, which it compares with the newer ones.
    """

    def __init__(self, newer: Sequence[Any], *, older: bool) -> None:
        self.newer, self.older = newer, older
        self._lock, self._inside = Lock(), 0
        self._put_back: Callable[[], None] | None = None

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1 and any(one.fp32_precision not in FULL for one in self.newer):
                self._put_back = self._kept()
                self._set_full()

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._put_back is not None:
                self._put_back()
                self._put_back = None

    def _set_full(self) -> None:
        if self.older:
            _set_older("highest" if _matmul_precision() else None, None if _cudnn_allows() is None else False)
        for one in self.newer:
            one.fp32_precision = "ieee"

    def _kept(self) -> Callable[[], None]:
        """Return what puts the settings back, first the older ones, which change newer ones along with them."""
        matmul, allows = (_matmul_precision(), _cudnn_allows()) if self.older else (None, None)
        others = [one for settings in _SETTINGS.values() for one in settings.newer] if self.older else self.newer
        values = [(one, one.fp32_precision) for one in others]

        def put_back() -> None:
            _set_older(matmul, allows)
            for one, value in values:
                one.fp32_precision = value

        return put_back


def _matmul_precision() -> str | None:
    """Return torch's older setting of matrix products; None if it may not be read, since only newer ones were used."""
    with suppress(RuntimeError), _quiet():
        return torch.get_float32_matmul_precision()
    return None


def _cudnn_allows() -> bool | None:
    """Return the older setting of cuDNN; None as above."""
    with suppress(RuntimeError), _quiet():
        return bool(backends.cudnn.allow_tf32)
    return None


def _set_older(matmul: str | None, cudnn: bool | None) -> None:
    with _quiet():
        if matmul is not None:
            torch.set_float32_matmul_precision(matmul)
        if cudnn is not None:
            backends.cudnn.allow_tf32 = cudnn


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself that the older settings are deprecated: left out of step with newer ones, torch raises errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_SETTINGS = {
    "cuda": _Settings(
        (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn),  # type: ignore[attr-defined]
        older=True,
    ),
    "cpu": _Settings((backends.mkldnn.matmul, backends.mkldnn.conv), older=False),  # type: ignore[attr-defined]
}
