"""Render surfaces into a folder of the user's, or once into the cache."""

from pathlib import Path

from fancnn.rendering.cached_set import cached_set, render_set
from fancnn.settings.groups import SurfacesSettings
from fancnn.surfaces.settings import RenderSurfacesSettings
from fancnn.surfaces.surface_dataset import VERSION, render_surfaces


def render(settings: RenderSurfacesSettings) -> Path:
    """Make a set at `settings.root`, as `python -m fancnn.surfaces` does, and return the folder."""
    return render_set("surface", render_surfaces, settings)


def cached_surfaces(settings: SurfacesSettings) -> Path:
    """Return the set that `settings` describe, from the user's cache folder; rendered there the first time."""
    return cached_set("surface", VERSION, render_surfaces, settings)
