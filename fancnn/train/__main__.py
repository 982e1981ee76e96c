"""Train an inspector: `python -m fancnn.train model=basic`."""

from fancnn.cli.command import command
from fancnn.settings.commands import TrainSettings
from fancnn.settings.training_limits import check_training


def build(settings: TrainSettings) -> None:
    from fancnn.assembly import check  # lazy, as below

    check(settings)


@command("train", TrainSettings, validate=check_training, build=build, goes_on_with="ckpt")
def main(settings: TrainSettings) -> float | None:
    from fancnn.train.train import train  # lazy: --help must not wait for torch

    return train(settings).objective


if __name__ == "__main__":
    main()
