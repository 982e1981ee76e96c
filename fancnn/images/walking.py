"""The pictures in a folder and below it."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fancnn.images.reading import is_hidden, is_picture


def pictures_below(root: Path, others: Counter[str] | None = None) -> Iterator[Path]:
    """Paths relative to `root`, by folder and name; hidden ones are passed over, links followed unless in circles.

    Args:
        root: Where to look.
        others: Gets how many visible files of other kinds there are, by suffix.
    """
    for folder, folders, names in os.walk(root, followlinks=True):
        above = Path(folder).resolve()
        folders[:] = sorted(name for name in folders if not above.is_relative_to(Path(folder, name).resolve()))
        relative = Path(folder).relative_to(root)
        for name in sorted(names):
            if is_picture(relative / name):
                yield relative / name
            elif others is not None and not is_hidden(relative / name):
                others[Path(name).suffix.lower() or name] += 1
