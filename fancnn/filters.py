"""Put the filters of a trained network in order of what they are worth: `python -m fancnn.filters run=RUN`."""

from fancnn.command import command
from fancnn.judging_limits import check_filtering
from fancnn.settings import FilterSettings


@command("filters", FilterSettings, validate=check_filtering)
def main(settings: FilterSettings) -> None:
    from fancnn.workflows.filter_ranking import rank_filters  # lazy: --help must not wait for torch

    rank_filters(settings)


if __name__ == "__main__":
    main()
