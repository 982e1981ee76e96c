"""Write a run as one file for the line: `python -m fancnn.export run=outputs/train/<stamp>`."""

import sys

from fancnn.cli.command import command
from fancnn.export.settings import ExportSettings


@command("export", ExportSettings)
def main(settings: ExportSettings) -> None:
    from fancnn.export.export import export  # lazy: --help must not wait for torch

    if not export(settings):
        sys.exit(1)


if __name__ == "__main__":
    main()
