"""Find a learning rate to start with: `python -m fancnn.lr_find model=wide`."""

import os

from fancnn.cli.command import command
from fancnn.lr_find.settings import LrFindSettings
from fancnn.train.settings import build


@command("lr_find", LrFindSettings, build=build)
def main(settings: LrFindSettings) -> float | None:
    os.environ.setdefault("TQDM_DISABLE", "1")  # Lightning's bar; ours is silent in a log file
    from fancnn.lr_find.lr_find import find_rate  # lazy: --help must not wait for torch

    return find_rate(settings)


if __name__ == "__main__":
    main()
