"""Score a run on its own parts or on another folder: `python -m fancnn.evaluate run=outputs/train/<stamp>`."""

from fancnn.command import command
from fancnn.settings import EvaluateSettings


@command("evaluate", EvaluateSettings)
def main(settings: EvaluateSettings) -> None:
    from fancnn.workflows.evaluation import evaluate  # lazy: --help must not wait for torch

    evaluate(settings)


if __name__ == "__main__":
    main()
