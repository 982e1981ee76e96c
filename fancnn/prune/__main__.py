"""Make a trained network smaller and faster: `python -m fancnn.prune run=RUN keep=0.5`."""

import os

from fancnn.cli.command import command
from fancnn.prune.settings import PruneSettings


@command("prune", PruneSettings, resume_key="ckpt", resume_in_place=True)
def main(settings: PruneSettings) -> None:
    os.environ.setdefault("TQDM_DISABLE", "1")  # Lightning's bar; ours is silent in a log file
    from fancnn.prune.prune import prune  # lazy: --help must not wait for torch

    prune(settings)


if __name__ == "__main__":
    main()
