"""Render fans into a folder of the user's, or once into the cache."""

from pathlib import Path

from fancnn.fans.fan_dataset import VERSION, render_fans
from fancnn.fans.settings import RenderSettings
from fancnn.rendering.cached_set import cached_set, render_set
from fancnn.settings.groups import FansSettings


def render(settings: RenderSettings) -> Path:
    """Make a set at `settings.root`, as `python -m fancnn.fans` does, and return the folder."""
    return render_set("fan", render_fans, settings)


def cached_fans(settings: FansSettings) -> Path:
    """Return the set that `settings` describe, from the user's cache folder; rendered there the first time."""
    return cached_set("fan", VERSION, render_fans, settings)
