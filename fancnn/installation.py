"""What is installed: versions, and installations that cannot work, told in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version

import fancnn
from fancnn.errors import UserError


@contextmanager
def explained_imports() -> Iterator[None]:
    """Turn the import error of a torch and a torchvision that do not fit each other into a way out.

    Raises:
        UserError: Instead of torch's `operator torchvision::nms does not exist` and its like.
    """
    try:
        yield
    except (RuntimeError, ImportError, OSError) as error:
        if "torchvision::" not in str(error) and "torchvision" not in str(getattr(error, "name", "")):
            raise
        raise UserError(
            f"torch and torchvision are installed but do not fit each other ({error}). They must come from one "
            "source. Make a new environment and install both at once: `pip install torch torchvision`, or without "
            "CUDA `pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu`"
        ) from error


def versions() -> dict[str, str]:
    """Versions that decide numbers."""
    packages = ("torch", "torchvision", "pytorch-lightning")
    return {"fancnn": fancnn.__version__, **{name: installed_version(name) for name in packages}}
