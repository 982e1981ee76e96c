"""May a new model take the place of the old one: `python -m fancnn.compare RUN NEW_RUN`."""

import sys

from fancnn.cli.command import command
from fancnn.compare.settings import CompareSettings

NOT_PASSED = 3  # or not known that it does; mistakes in use are 1


@command("compare", CompareSettings, positional_key="runs")
def main(settings: CompareSettings) -> None:
    from fancnn.compare.compare import compare  # lazy: --help must not wait for scipy

    if not compare(settings).passes:
        sys.exit(NOT_PASSED)


if __name__ == "__main__":
    main()
