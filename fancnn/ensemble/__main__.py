"""Several runs as one model: `python -m fancnn.ensemble RUN RUN`."""

from fancnn.cli.command import command
from fancnn.ensemble.settings import EnsembleSettings


@command("ensemble", EnsembleSettings, positional_key="runs")
def main(settings: EnsembleSettings) -> None:
    from fancnn.ensemble.ensemble import ensemble  # lazy: --help must not wait for torch

    ensemble(settings)


if __name__ == "__main__":
    main()
