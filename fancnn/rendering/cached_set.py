"""A rendered set in a folder of the user's, or once in the cache, with a progress bar."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fancnn.errors import UserError
from fancnn.system.cache_folder import cache_folder
from fancnn.system.console import progress_bar, say


def render_set(name: str, render: Callable[..., Path], settings: Any) -> Path:
    """Make a set at `settings.root` and print what it is for.

    Args:
        name: Of one part.
        render: Takes the folder and the other settings.
        settings: Of a command.
    """
    options = asdict(settings)
    root = Path(options.pop("root")).expanduser()
    with progress_bar(f"rendering {name}s", settings.count) as advance:
        render(root, **options, progress=advance)
    say(f"{settings.count} rendered {name}s and the truth of their defects ({name}s.csv) are in {root}")
    say(f"  train on them     python -m fancnn.train data.root={root}")
    return root


def cached_set(name: str, version: int, render: Callable[..., Path], settings: Any) -> Path:
    """Return the set that `settings` describe, from the user's cache folder; rendered there the first time."""
    options = asdict(settings)
    arguments = "-".join(f"{key}{_plain(value)}" for key, value in options.items())
    root = cache_folder() / f"{name}s" / f"v{version}-{arguments}"
    if root.is_dir():
        return root
    say(f"rendering {settings.count} sample {name}s into {root} (once)")
    try:
        with progress_bar(f"rendering {name}s", settings.count) as advance:
            return render(root, **options, progress=advance)
    except UserError:
        if root.is_dir():  # another run that started together was faster; the set is the same
            return root
        raise


def _plain(value: object) -> str:
    return "_".join(map(str, value)) if isinstance(value, list) else str(value)
