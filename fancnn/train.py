"""Train an inspector: `python -m fancnn.train model=basic`."""

from fancnn.command import command
from fancnn.limits import check_training
from fancnn.settings import TrainSettings


@command("train", TrainSettings, goes_on_with="ckpt")
def main(settings: TrainSettings) -> float | None:
    check_training(settings)  # here: torch takes seconds to import, a mistake need not
    from fancnn.workflows.training import train  # lazy: --help must not wait for torch

    return train(settings).objective


if __name__ == "__main__":
    main()
