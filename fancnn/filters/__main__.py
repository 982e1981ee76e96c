"""Put the filters of a trained network in order of what they are worth: `python -m fancnn.filters run=RUN`."""

from fancnn.cli.command import command
from fancnn.filters.settings import FilterSettings


@command("filters", FilterSettings)
def main(settings: FilterSettings) -> None:
    from fancnn.filters.filters import rank_filters  # lazy: --help must not wait for torch

    rank_filters(settings)


if __name__ == "__main__":
    main()
