"""Describe a network, layer by layer: `python -m fancnn.describe model=residual`."""

from fancnn.command import command
from fancnn.limits import check_image_size, check_seed
from fancnn.settings import DescribeSettings


@command("describe", DescribeSettings)
def main(settings: DescribeSettings) -> None:
    check_image_size(settings.data.image_size)
    check_seed(settings.seed)
    from fancnn.workflows.describing import describe  # lazy: --help must not wait for torch

    describe(settings)


if __name__ == "__main__":
    main()
