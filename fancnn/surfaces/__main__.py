"""Render a sample set of surfaces: `python -m fancnn.surfaces root=DIR count=400 seed=0`."""

from fancnn.cli.command import command
from fancnn.surfaces.settings import RenderSurfacesSettings


@command("surfaces", RenderSurfacesSettings)
def main(settings: RenderSurfacesSettings) -> None:
    from fancnn.surfaces.surfaces import render  # lazy: --help must not wait for numpy

    render(settings)


if __name__ == "__main__":
    main()
