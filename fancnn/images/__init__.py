"""Pictures to tensors: reading files, the one resize, decoding many at once, keeping them decoded."""

from fancnn.images.decoding import Decoded, decode
from fancnn.images.preprocess import Preprocess

__all__ = ["Decoded", "Preprocess", "decode"]
