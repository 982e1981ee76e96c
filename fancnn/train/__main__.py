"""Train an inspector: `python -m fancnn.train model=basic`."""

from fancnn.cli.command import command
from fancnn.settings.training import TrainSettings
from fancnn.train.settings import build


@command("train", TrainSettings, build=build, resume_key="ckpt")
def main(settings: TrainSettings) -> float | None:
    from fancnn.train.train import train  # lazy: --help must not wait for torch

    return train(settings).objective


if __name__ == "__main__":
    main()
