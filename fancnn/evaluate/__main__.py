"""Score a run on its own parts or on another folder: `python -m fancnn.evaluate run=outputs/train/<stamp>`."""

import sys

from fancnn.cli.command import command
from fancnn.settings.commands import EvaluateSettings
from fancnn.settings.judging_limits import check_evaluation


@command("evaluate", EvaluateSettings, validate=check_evaluation)
def main(settings: EvaluateSettings) -> None:
    from fancnn.runs.scoring import evaluate_table  # lazy: --help must not wait for scipy, nor a table for torch

    if settings.table is not None:
        evaluated = evaluate_table(settings)
    else:
        from fancnn.evaluate.evaluate import evaluate_run

        evaluated = evaluate_run(settings)
    if evaluated.unread:
        sys.exit(2)  # as predict does: what could be read is scored


if __name__ == "__main__":
    main()
