"""Show what a network learned and where it looks: `python -m fancnn.explain run=outputs/train/<stamp>`."""

from fancnn.cli.command import command
from fancnn.explain.settings import ExplainSettings


@command("explain", ExplainSettings)
def main(settings: ExplainSettings) -> None:
    from fancnn.explain.explain import explain  # lazy: --help must not wait for torch

    explain(settings)


if __name__ == "__main__":
    main()
