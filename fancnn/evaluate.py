"""Score a run on its own parts or on another folder: `python -m fancnn.evaluate run=outputs/train/<stamp>`."""

import sys

from fancnn.command import command
from fancnn.judging_limits import check_evaluation
from fancnn.settings import EvaluateSettings


@command("evaluate", EvaluateSettings, validate=check_evaluation)
def main(settings: EvaluateSettings) -> None:
    from fancnn.workflows.scoring import evaluate_table  # lazy: --help must not wait for scipy, nor a table for torch

    if settings.table is not None:
        evaluated = evaluate_table(settings)
    else:
        from fancnn.workflows.evaluation import evaluate_run

        evaluated = evaluate_run(settings)
    if evaluated.unread:
        sys.exit(2)  # as predict does: what could be read is scored


if __name__ == "__main__":
    main()
