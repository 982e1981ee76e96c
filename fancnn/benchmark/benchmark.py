"""The story of `python -m fancnn.benchmark`: make images, measure part by part, print a table, write JSON.

`benchmark.json`, version 1: `format` (`fancnn-benchmark`), `version`, `machine`, and `results`, each with name, unit,
values, median, limit, against and ratio, as `fancnn.system.timing.Result` describes them.
"""

import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fancnn import assembly
from fancnn.benchmark.keras_original import original_results
from fancnn.benchmark.reading_speed import latency_results, reading_results
from fancnn.benchmark.sample_images import write_jpegs
from fancnn.benchmark.scaling import scale_results
from fancnn.benchmark.serving_load import serving_results
from fancnn.benchmark.settings import BenchmarkSettings
from fancnn.benchmark.start_up import own_megabytes, run_results, start_results
from fancnn.benchmark.training_speed import epoch_results, product_rate, step_results, streamed_results
from fancnn.data.datamodule import ImageDataModule
from fancnn.errors import UserError
from fancnn.files.json_files import write_json
from fancnn.plurals import plural
from fancnn.system.console import print_table, say
from fancnn.system.installation import versions
from fancnn.system.memory import keep_freed_memory
from fancnn.system.timing import Result
from fancnn.training.precision import hardware_precision
from fancnn.training.quiet_lightning import quiet_lightning


@dataclass
class _Bench:
    """What the parts share; images and cache are made by the first part that needs them."""

    settings: BenchmarkSettings
    scratch: Path

    def root(self) -> Path:
        own = self.settings.data.root
        folder = Path(own) if own else self.scratch / "images"
        if not folder.exists():
            height, width = self.settings.size
            say(f"making {plural(self.settings.count, 'image')} of {height}x{width}")
            write_jpegs(folder, self.settings.count, (height, width))
        return folder

    def data(self) -> ImageDataModule:
        data = assembly.datamodule(
            self.settings.data, self.root(), self.settings.seed, image_limits=self.settings.image_limits
        )
        data.setup()
        return data


def benchmark(settings: BenchmarkSettings) -> list[Result]:
    """Measure the parts asked for.

    Raises:
        UserError: If a part is unknown, or a process that is measured fails.
    """
    settings.validate_paths()
    if settings.keras and shutil.which(settings.keras) is None:
        raise UserError(f"keras={settings.keras} cannot be started. Name the python of an environment that has keras")
    keep_freed_memory()
    quiet_lightning()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="fancnn-benchmark-") as scratch:
        bench = _Bench(settings, Path(scratch))
        for part in settings.parts:
            say(f"measuring: {part}")
            part_results = BENCHMARKS[part](bench)
            print_table(part, ["", "median", "from", "ratio"], [result.cells() for result in part_results])
            results += part_results
            _write(Path(settings.output), results)
    say(f"all figures: {settings.output}")
    return results


def _machine(bench: _Bench) -> list[Result]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    in_hardware = hardware_precision("auto")[0] == "bf16-mixed"  # else a large product takes minutes
    products = (("float32", torch.float32, 2048), ("bfloat16", torch.bfloat16, 2048 if in_hardware else 256))
    return [
        Result(f"matrix product, {name}", "TFLOP/s", [product_rate(device, dtype, size)])
        for name, dtype, size in products
    ]


def _start(bench: _Bench) -> list[Result]:
    return start_results(bench.scratch, bench.settings.repeats)


def _training(bench: _Bench) -> list[Result]:
    data = bench.data()
    steps = step_results(bench.settings, data, bench.settings.repeats)
    epochs = epoch_results(bench.settings, data, bench.settings.repeats)
    streamed = streamed_results(bench.settings, data, bench.settings.repeats)
    return [*steps, *epochs, *streamed, Result("own memory after training", "MB", [own_megabytes()])]


def _reading(bench: _Bench) -> list[Result]:
    root = bench.root()
    model = assembly.model(bench.settings, ("GO", "NG")).eval()
    results = reading_results(root, bench.scratch, model, bench.settings.repeats)
    return [*results, *latency_results(model, next(root.rglob("*.jpg")))]


def _runs(bench: _Bench) -> list[Result]:
    settings, root = bench.settings, bench.root()
    results = run_results(root, bench.scratch, _options(settings), settings.epochs, settings.repeats, "small images")
    if settings.keras:
        epochs = epoch_results(settings, bench.data(), settings.repeats)
        results += original_results(Path(settings.keras), root, settings.count, settings.epochs, results[0], epochs)
    return results


def _large(bench: _Bench) -> list[Result]:
    settings, root = bench.settings, bench.scratch / "large"
    say(f"making {settings.large:,} images of 1600x1200")
    write_jpegs(root, settings.large, (1200, 1600))
    results = run_results(root, bench.scratch, _options(settings), settings.epochs, 1, "1600x1200")
    if settings.keras:
        results += original_results(Path(settings.keras), root, settings.large, settings.epochs, results[0], [])
    return results


def _scale(bench: _Bench) -> list[Result]:
    return scale_results(bench.scratch, bench.settings.scale)


def _serving(bench: _Bench) -> list[Result]:
    assert bench.settings.exported is not None  # `validate_benchmark` has seen to it
    images = [path.read_bytes() for path in sorted(bench.root().rglob("*.jpg"))[:500]]
    return serving_results(Path(bench.settings.exported), images, bench.scratch, bench.settings.requests)


BENCHMARKS: dict[str, Callable[[_Bench], list[Result]]] = {
    "machine": _machine,
    "start": _start,
    "training": _training,
    "reading": _reading,
    "runs": _runs,
    "large": _large,
    "scale": _scale,
    "serving": _serving,
}


def _options(settings: BenchmarkSettings) -> list[str]:
    """Return overrides for whole runs in processes of their own, so that they train what is measured here."""
    go = settings.data.go_class
    return [f"data.go_class={go}", f"data.batch_size={settings.data.batch_size}", f"seed={settings.seed}"]


def _write(path: Path, results: list[Result]) -> None:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    machine: dict[str, Any] = {
        "processor": torch.cpu.get_capabilities().get("cpu_name") if hasattr(torch.cpu, "get_capabilities") else None,
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "versions": versions(),
    }
    content = {"format": "fancnn-benchmark", "version": 1, "machine": machine}
    write_json(path, {**content, "results": [result.as_json() for result in results]})
