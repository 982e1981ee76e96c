"""Compare an exported file with its run: `python -m fancnn.parity file=FILE run=RUN input=FOLDER`."""

import sys

from fancnn.cli.command import command
from fancnn.parity.settings import ParitySettings


@command("parity", ParitySettings)
def main(settings: ParitySettings) -> None:
    from fancnn.parity.parity import parity  # lazy: --help must not wait for torch

    if not parity(settings):
        sys.exit(1)


if __name__ == "__main__":
    main()
