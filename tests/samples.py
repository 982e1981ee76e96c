"""Small folders of images, and settings as a command composes them."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from fork_server import LONGEST, run_forked
from hydra import compose, initialize_config_dir
from PIL import Image

from fancnn.cli.command import checked, conf_dir
from fancnn.files.seals import BLANK, seal
from fancnn.inference.export_metadata import SEAL_KEY
from fancnn.settings.training import TrainSettings

S = TypeVar("S")
REPOSITORY = Path(__file__).parents[1]


def write_images(root: Path, counts: Mapping[str, int], size: tuple[int, int] = (24, 20), seed: int = 0) -> Path:
    """Class folders of noisy PNGs; those outside `GO` have a bright square, so that there is something to learn."""
    random = np.random.default_rng(seed)
    for name, count in counts.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = random.integers(0, 120, (*size, 3), dtype=np.uint8)
            if "GO" not in Path(name).parts:
                top, left = random.integers(0, size[0] - 8), random.integers(0, size[1] - 8)
                pixels[top : top + 8, left : left + 8] = 250
            Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return root


def write_part_images(root: Path, counts: Mapping[str, int], cameras: int = 3, seed: int = 0) -> Path:
    """Class folders of noisy PNGs `part-007_cam2.png`; one camera shows the defect of one outside `GO`, if at all."""
    random = np.random.default_rng(seed)
    numbers = iter(range(sum(counts.values())))
    for name, count in counts.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            number, shows = next(numbers), int(random.integers(cameras)) if "GO" not in Path(name).parts else -1
            for camera in range(cameras):
                pixels = random.integers(0, 120, (24, 20, 3), dtype=np.uint8)
                if camera == shows:
                    pixels[6:16, 4:14] = random.integers(60, 160)  # as dark as all, or brighter
                Image.fromarray(pixels).save(folder / f"part-{number:03}_cam{camera}.png")
    return root


def compose_train(output: Path, *overrides: str) -> TrainSettings:
    """Settings of `python -m fancnn.train` with `overrides`, as the command makes them."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        given = [*overrides, f"output_dir={output}", f"overrides=[{','.join(map(_quoted, overrides))}]"]
        return checked(compose("train", overrides=given), TrainSettings)


def compose_command(name: str, schema: type[S], *overrides: str) -> S:
    """Settings of another command, as it makes them."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return checked(compose(name, overrides=list(overrides)), schema)


def run_command(
    *arguments: str | Path, cwd: Path, fresh: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`python -m ...` in a process of its own, as a user types it.

    Args:
        arguments: What follows `python -m`.
        cwd: Where it runs.
        fresh: Whether it imports even the libraries itself: where the start or the end of a process is what is tested.
            What is no command of ours does so anyway, and so does one whose environment libraries may read.
        environment: Variables beside those that are set.
    """
    command, variables = [*map(str, arguments)], process_environment(**environment)
    if command[0].startswith("fancnn.") and not fresh and {*environment} <= {"COLUMNS"}:
        return run_forked(command, cwd, variables)
    start = [sys.executable, "-m", *command]
    return subprocess.run(start, cwd=cwd, env=variables, capture_output=True, text=True, check=False, timeout=LONGEST)


def process_environment(first: str | Path = REPOSITORY, **more: str) -> dict[str, str]:
    """The environment of a process that finds the package in `first`, before wherever this one found it."""
    path = os.pathsep.join([str(first), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "120", **more}


def save_sealed(proto: Any, path: Path) -> None:
    """Save a graph of ONNX that a test has changed as its exporter would have: with a seal that holds."""
    for item in proto.metadata_props:
        if item.key == SEAL_KEY:
            item.value = BLANK.decode()
    path.write_bytes(proto.SerializeToString())
    seal(path)


def _quoted(override: str) -> str:
    return "'" + override.replace("'", "\\'") + "'"


SMALL = ("model=tiny", "data.image_size=[16,16]", "trainer.max_epochs=2", "trainer.accelerator=cpu")
