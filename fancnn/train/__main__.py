"""Train an inspector: `python -m fancnn.train model=basic`."""

from fancnn.cli.command import command
from fancnn.settings.training import TrainSettings
from fancnn.settings.validation import validate_training
from fancnn.train.settings import build


@command("train", TrainSettings, validate=validate_training, build=build, resume_key="ckpt")
def main(settings: TrainSettings) -> float | None:
    from fancnn.train.train import train  # lazy: --help must not wait for torch

    return train(settings).objective


if __name__ == "__main__":
    main()
