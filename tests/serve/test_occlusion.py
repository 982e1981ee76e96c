"""Where heat lies."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fancnn.images.preprocess import Preprocess
from fancnn.inference.exported_model import ExportedModel
from fancnn.model import Model
from fancnn.serve.occlusion import heat_png, occlusion_heat, without_border


@dataclass
class BrightSpot:
    """A model whose evidence for NG is the brightness of one place, `[16:24, 32:40]` of 40x40."""

    facts: Any = field(default_factory=lambda: SimpleNamespace(preprocess={"resize": "squash", "reduce": None}))

    def seen(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return image

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        assert len(images) <= 8, "memory does not grow with the number of squares"
        return images[:, 16:24, 32:40].mean(axis=(1, 2, 3)) / 10


def test_heat_lies_where_the_evidence_does_and_nowhere_else() -> None:
    image = np.full((40, 40, 3), 60, np.uint8)
    image[16:24, 32:40] = 240
    heat = occlusion_heat(BrightSpot(), image)  # type: ignore[arg-type]
    assert heat.shape == (40, 40)
    hottest = np.unravel_index(heat.argmax(), heat.shape)
    assert 16 <= hottest[0] < 24
    assert 32 <= hottest[1] < 40
    window = 5
    far = heat.copy()
    far[16 - window : 24 + window, 32 - window : 40] = 0
    assert not far.any()
    assert heat_png(heat).startswith("data:image/png;base64,")


def test_nothing_is_hot_where_nothing_speaks_for_ng() -> None:
    assert not occlusion_heat(BrightSpot(), np.zeros((40, 40, 3), np.uint8)).any()  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(24, 20), (300, 200), (33, 100), (1, 500), (80, 80), (7, 7)])
@pytest.mark.parametrize("resize", ["squash", "pad"])
def test_the_border_is_taken_off_where_preprocess_put_it(size: tuple[int, int], resize: str) -> None:
    seen = np.arange(80 * 64 * 3).reshape(80, 64, 3).astype(np.uint8)
    top, left, height, width = Preprocess((80, 64), resize=resize).place(*size)  # type: ignore[arg-type]
    expected = seen[top : top + height, left : left + width]
    np.testing.assert_array_equal(without_border(seen, size, resize), expected)


def test_the_exported_file_sees_what_the_model_sees_and_says_its_logit(reader: ExportedModel, inspector: Model) -> None:
    image = np.random.default_rng(0).integers(0, 255, (50, 40, 3), dtype=np.uint8)
    fitted = inspector.preprocess.fit(torch.from_numpy(image).permute(2, 0, 1)[None])
    np.testing.assert_allclose(reader.seen(image), fitted[0].permute(1, 2, 0), atol=1)
    again = reader.logits(np.stack([reader.seen(image)] * 3))
    np.testing.assert_allclose(again, reader.logits(image[None])[0], atol=1e-4)
