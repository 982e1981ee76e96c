"""Cost against the number of images: is it a straight line, and does memory stay where it is?"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from fancnn.benchmark.sample_images import write_jpegs
from fancnn.benchmark.start_up import probed_run
from fancnn.system.console import say
from fancnn.system.timing import Result

# small images and few steps: what grows here is the number of files alone
QUICK = ("trainer.max_epochs=1", "+trainer.limit_train_batches=50", "+trainer.limit_val_batches=2", "score_test=false")


def scale_results(scratch: Path, sizes: Sequence[int]) -> list[Result]:
    """Measure the seconds and megabytes of a run with each number of images.

    Seconds for every thousand images are the slope of the line.
    """
    results: list[Result] = []
    first: float | None = None
    for size in sizes:
        say(f"  {size:,} images")
        root = write_jpegs(scratch / f"scale-{size}", size, (96, 96))
        cold = probed_run(scratch, scratch / f"scale-cache-{size}", [f"data.root={root}", *QUICK])
        warm = probed_run(scratch, scratch / f"scale-cache-{size}", [f"data.root={root}", *QUICK])
        first = warm["megabytes"] if first is None else first
        results += [
            Result(f"{size:,} images, cold cache", "s", [cold["seconds"]]),
            Result(f"{size:,} images, warm cache", "s", [warm["seconds"]]),
            Result(f"{size:,} images, own memory", "MB", [warm["megabytes"]], [first], f"that of {sizes[0]:,}"),
        ]
        shutil.rmtree(root)
        shutil.rmtree(scratch / f"scale-cache-{size}")
    return results
