"""Score a run on its own splits or on another folder: `python -m fancnn.evaluate run=outputs/train/<stamp>`."""

import sys

from fancnn.cli.command import command
from fancnn.evaluate.settings import EvaluateSettings


@command("evaluate", EvaluateSettings, adds_to_run=False)
def main(settings: EvaluateSettings) -> None:
    from fancnn.evaluate.evaluate_table import (
        evaluate_table,  # lazy: --help must not wait for scipy, nor a table for torch
    )

    if settings.table is not None:
        evaluated = evaluate_table(settings)
    else:
        from fancnn.evaluate.evaluate import evaluate_run

        evaluated = evaluate_run(settings)
    if evaluated.unread:
        sys.exit(2)  # as predict does: what could be read is scored


if __name__ == "__main__":
    main()
