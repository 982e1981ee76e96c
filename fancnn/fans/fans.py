"""Render fans into a folder of the user's, or once into the cache."""

from dataclasses import asdict
from pathlib import Path

from fancnn.errors import UserError
from fancnn.fans.fan_dataset import VERSION, render_fans
from fancnn.fans.settings import RenderSettings
from fancnn.settings.groups import FansSettings
from fancnn.system.cache_folder import cache_folder
from fancnn.system.console import progress_bar, say


def render(settings: RenderSettings) -> Path:
    """Return `python -m fancnn.fans`: make a set at `settings.root`."""
    options = asdict(settings)
    root = Path(options.pop("root")).expanduser()
    with progress_bar("rendering fans", settings.count) as advance:
        render_fans(root, **options, progress=advance)
    say(f"{settings.count} rendered fans and the truth of their defects (fans.csv) are in {root}")
    say(f"  train on them     python -m fancnn.train data.root={root}")
    return root


def cached_fans(settings: FansSettings) -> Path:
    """Return the set that `settings` describe, from the user's cache folder; rendered there the first time."""
    options = asdict(settings)
    name = "-".join(f"{key}{value}" for key, value in options.items())
    root = cache_folder() / "fans" / f"v{VERSION}-{name}"
    if root.is_dir():
        return root
    say(f"rendering {settings.count} sample fans into {root} (once)")
    try:
        with progress_bar("rendering fans", settings.count) as advance:
            return render_fans(root, **options, progress=advance)
    except UserError:
        if root.is_dir():  # another run that started together was faster; the set is the same
            return root
        raise
