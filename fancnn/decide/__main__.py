"""Choose a run's thresholds again: `python -m fancnn.decide run=outputs/train/<stamp> decision.rule=f1`."""

from fancnn.cli.command import command
from fancnn.decide.settings import DecideSettings


@command("decide", DecideSettings)
def main(settings: DecideSettings) -> None:
    from fancnn.decide.decide import decide  # lazy: --help must not wait for torch

    decide(settings)


if __name__ == "__main__":
    main()
