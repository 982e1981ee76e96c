"""Judge by cross-validation: `python -m fancnn.crossval data.root=/photos folds=5`."""

from fancnn.command import command
from fancnn.limits import check_training
from fancnn.settings import CrossvalSettings


@command("crossval", CrossvalSettings, goes_on_in="ckpt")
def main(settings: CrossvalSettings) -> float | None:
    check_training(settings)  # here: torch takes seconds to import, a mistake need not
    from fancnn.workflows.crossing import crossval  # lazy: --help must not wait for torch

    return crossval(settings)


if __name__ == "__main__":
    main()
