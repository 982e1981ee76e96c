"""Find a learning rate to start with: `python -m fancnn.lr_find model=wide`."""

import os

from fancnn.command import command
from fancnn.limits import check_range_test
from fancnn.settings import LrFindSettings
from fancnn.train import build


@command("lr_find", LrFindSettings, validate=check_range_test, build=build)
def main(settings: LrFindSettings) -> float | None:
    os.environ.setdefault("TQDM_DISABLE", "1")  # Lightning's bar; ours is silent in a log file
    from fancnn.workflows.rate_finding import find_rate  # lazy: --help must not wait for torch

    return find_rate(settings)


if __name__ == "__main__":
    main()
