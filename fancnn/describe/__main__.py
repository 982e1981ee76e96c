"""Describe a network, layer by layer: `python -m fancnn.describe model=residual`."""

from fancnn.cli.command import command
from fancnn.describe.settings import DescribeSettings, validate_describing


def build(settings: DescribeSettings) -> None:
    from fancnn.describe.describe import network_of  # lazy, as below

    validate_describing(settings)  # what it refuses cannot be built
    network_of(settings)


@command("describe", DescribeSettings, validate=validate_describing, build=build)
def main(settings: DescribeSettings) -> None:
    from fancnn.describe.describe import describe  # lazy: --help must not wait for torch

    describe(settings)


if __name__ == "__main__":
    main()
