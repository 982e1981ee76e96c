"""Show what a network learned and where it looks: `python -m fancnn.explain run=outputs/train/<stamp>`."""

from fancnn.command import command
from fancnn.settings import ExplainSettings


@command("explain", ExplainSettings)
def main(settings: ExplainSettings) -> None:
    from fancnn.workflows.explaining import explain  # lazy: --help must not wait for torch

    explain(settings)


if __name__ == "__main__":
    main()
