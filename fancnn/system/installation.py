"""What is installed: versions, and installations that cannot work, described in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version

import fancnn
from fancnn.errors import UserError

REQUIRED = {  # what is imported of the requirements in pyproject.toml, and how it is installed where that differs
    **{name: name for name in ("torch", "torchvision", "torchmetrics", "tensorboard", "numpy", "simplejpeg", "scipy")},
    **{name: name for name in ("filelock", "rich", "matplotlib", "jinja2", "markupsafe")},
    **{"pytorch_lightning": "pytorch-lightning", "PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"},
}


@contextmanager
def explained_imports() -> Iterator[None]:
    """Turn into a way out that a requirement is not installed, or that torch and torchvision do not fit each other.

    Raises:
        UserError: Instead of `No module named 'torch'`, and of torch's `operator torchvision::nms does not exist` and
            its like.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in REQUIRED:  # ours, an extra's or a part of one: what is wrong then is not known here
            raise
        raise UserError(
            f"this command needs {REQUIRED[error.name]}, which is not installed: pip install fancnn; a line's computer "
            "without it predicts and serves with file=FILE.onnx"
        ) from error
    except (RuntimeError, ImportError, OSError) as error:
        if "torchvision::" not in str(error) and "torchvision" not in str(getattr(error, "name", "")):
            raise
        raise UserError(
            f"torch and torchvision are installed but do not fit each other ({error}). They must come from one "
            "source. Make a new environment and install both at once: `pip install torch torchvision`, or without "
            "CUDA `pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu`"
        ) from error


def versions() -> dict[str, str]:
    """Return the versions that decide numbers."""
    packages = ("torch", "torchvision", "pytorch-lightning")
    return {"fancnn": fancnn.__version__, **{name: installed_version(name) for name in packages}}
