"""Find a learning rate to start with: `python -m fancnn.lr_find model=wide`."""

import os

from fancnn.command import command
from fancnn.limits import check_range_test, check_training
from fancnn.settings import LrFindSettings


@command("lr_find", LrFindSettings)
def main(settings: LrFindSettings) -> float | None:
    check_training(settings)  # here: torch takes seconds to import, a mistake need not
    check_range_test(settings)
    os.environ.setdefault("TQDM_DISABLE", "1")  # Lightning's bar; ours is silent in a log file
    from fancnn.workflows.rate_finding import find_rate  # lazy: --help must not wait for torch

    return find_rate(settings)


if __name__ == "__main__":
    main()
