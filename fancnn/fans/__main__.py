"""Render a sample set of fans: `python -m fancnn.fans root=DIR count=600 seed=0`."""

from fancnn.cli.command import command
from fancnn.fans.settings import RenderSettings


@command("fans", RenderSettings)
def main(settings: RenderSettings) -> None:
    from fancnn.fans.fans import render  # lazy: --help must not wait for numpy

    render(settings)


if __name__ == "__main__":
    main()
