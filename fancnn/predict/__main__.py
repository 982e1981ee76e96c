"""Decide on new images: `python -m fancnn.predict run=outputs/train/<stamp> input=/new/images`."""

import sys

from fancnn.cli.command import command
from fancnn.predict.settings import PredictSettings


@command("predict", PredictSettings)
def main(settings: PredictSettings) -> None:
    from fancnn.predict.predict import predict  # lazy: --help must not wait for torch

    counts = predict(settings)
    if counts.unread or counts.not_finite:
        sys.exit(2)  # all that could be decided is in the table; 1 is a mistake that left no table


if __name__ == "__main__":
    main()
