"""Train an inspector: `python -m fancnn.train model=basic`."""

from fancnn.command import command
from fancnn.limits import check_training
from fancnn.settings import TrainSettings


def build(settings: TrainSettings) -> None:
    from fancnn.assembly import check  # lazy, as below

    check(settings)


@command("train", TrainSettings, validate=check_training, build=build, goes_on_with="ckpt")
def main(settings: TrainSettings) -> float | None:
    from fancnn.workflows.training import train  # lazy: --help must not wait for torch

    return train(settings).objective


if __name__ == "__main__":
    main()
