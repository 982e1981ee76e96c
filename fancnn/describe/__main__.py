"""Describe a network, layer by layer: `python -m fancnn.describe model=residual`."""

from fancnn.cli.command import command
from fancnn.describe.settings import DescribeSettings
from fancnn.settings.validation import are_right


def build(settings: DescribeSettings) -> None:
    from fancnn.describe.describe import network_of  # lazy, as below

    if are_right(settings, settings.data, settings.model):
        network_of(settings)


@command("describe", DescribeSettings, build=build)
def main(settings: DescribeSettings) -> None:
    from fancnn.describe.describe import describe  # lazy: --help must not wait for torch

    describe(settings)


if __name__ == "__main__":
    main()
