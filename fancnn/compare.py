"""May a new model take the place of the old one: `python -m fancnn.compare RUN NEW_RUN`."""

import sys

from fancnn.command import command
from fancnn.settings import CompareSettings

NEW_ESCAPES = 3  # or not known that there are none; mistakes in use are 1


@command("compare", CompareSettings, listed="runs")
def main(settings: CompareSettings) -> None:
    from fancnn.workflows.comparing import compare  # lazy: --help must not wait for scipy

    if not compare(settings).no_new_escapes:
        sys.exit(NEW_ESCAPES)


if __name__ == "__main__":
    main()
