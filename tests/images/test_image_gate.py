import pytest

from fancnn.images import image_gate
from fancnn.images.image_gate import LARGE, ImageGate
from fancnn.settings.groups import ImageLimits


def test_memory_goes_back_to_the_system_after_a_large_image_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that had decided images of 81 megapixels kept 0.9 GB of freed memory without that."""
    calls: list[bool] = []
    monkeypatch.setattr(image_gate, "give_back_freed_memory", lambda: calls.append(True))
    gate = ImageGate(ImageLimits())
    with gate.decoding(LARGE):
        pass
    assert not calls
    with gate.decoding(LARGE + 1):
        assert not calls
    assert calls == [True]
