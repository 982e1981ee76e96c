"""Judge by cross-validation: `python -m fancnn.crossval data.root=/photos folds=5`."""

from fancnn.cli.command import command
from fancnn.crossval.settings import CrossvalSettings
from fancnn.train.settings import build


@command("crossval", CrossvalSettings, build=build, resume_key="ckpt", resume_in_place=True)
def main(settings: CrossvalSettings) -> float | None:
    from fancnn.crossval.crossval import crossval  # lazy: --help must not wait for torch

    return crossval(settings)


if __name__ == "__main__":
    main()
