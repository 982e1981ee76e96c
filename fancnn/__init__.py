"""Train, judge and deploy inspectors of parts from a folder of images per class.

Example:
    >>> import fancnn
    >>> fancnn.load(run).go_class  # run = "outputs/train/<stamp>"
    'GO'
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fancnn.model import Model as Model
    from fancnn.model import Predictions as Predictions
    from fancnn.runs.checkpoints import load as load

__version__ = "0.1.0"
__all__ = ["Model", "Predictions", "__version__", "load"]

_HOMES = {"load": "fancnn.runs.checkpoints", "Model": "fancnn.model", "Predictions": "fancnn.model"}


def __getattr__(name: str) -> Any:  # torch is imported by the first use, not by `import fancnn`
    if name not in _HOMES:
        raise AttributeError(f"module 'fancnn' has no attribute {name!r}")
    from importlib import import_module

    from fancnn.system.installation import explained_imports

    with explained_imports():
        return getattr(import_module(_HOMES[name]), name)
