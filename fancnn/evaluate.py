"""Score a run on its own parts or on another folder: `python -m fancnn.evaluate run=outputs/train/<stamp>`."""

import sys

from fancnn.command import command
from fancnn.settings import EvaluateSettings


@command("evaluate", EvaluateSettings)
def main(settings: EvaluateSettings) -> None:
    from fancnn.workflows.evaluation import evaluate  # lazy: --help must not wait for torch

    if evaluate(settings).unread:
        sys.exit(2)  # as predict does: what could be read is scored


if __name__ == "__main__":
    main()
