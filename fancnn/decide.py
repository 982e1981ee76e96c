"""Choose a run's thresholds anew: `python -m fancnn.decide run=outputs/train/<stamp> decision.rule=f1`."""

from fancnn.command import command
from fancnn.judging_limits import check_deciding
from fancnn.settings import DecideSettings


@command("decide", DecideSettings, validate=check_deciding)
def main(settings: DecideSettings) -> None:
    from fancnn.workflows.deciding import decide  # lazy: --help must not wait for torch

    decide(settings)


if __name__ == "__main__":
    main()
