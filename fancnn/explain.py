"""Show what a network learned and where it looks: `python -m fancnn.explain run=outputs/train/<stamp>`."""

from fancnn.command import command
from fancnn.judging_limits import check_explaining
from fancnn.settings import ExplainSettings


@command("explain", ExplainSettings, validate=check_explaining)
def main(settings: ExplainSettings) -> None:
    from fancnn.workflows.explaining import explain  # lazy: --help must not wait for torch

    explain(settings)


if __name__ == "__main__":
    main()
