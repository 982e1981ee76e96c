"""What the other commands may be told: predict, export, parity, ensemble, fans, cache, describe, crossval, benchmark.

See `fancnn.settings.training_limits`.
"""

from functools import partial

from fancnn.errors import UserError, collected
from fancnn.settings.commands import (
    BenchmarkSettings,
    CacheSettings,
    CrossvalSettings,
    DescribeSettings,
    EnsembleSettings,
    PredictSettings,
    RenderSettings,
)
from fancnn.settings.line_settings import ExportSettings, ParitySettings
from fancnn.settings.training_limits import (
    at_most,
    check_calibration,
    check_choice,
    check_count,
    check_device,
    check_earlier,
    check_exported,
    check_fans,
    check_folder,
    check_image_size,
    check_input,
    check_line,
    check_promise,
    check_rule,
    check_seed,
    check_share,
    check_training,
    check_written,
)

FORMATS = ("onnx", "openvino", "torch")
DO = ("list", "verify", "clear")
MOST_FOLDS = 1000
MEASURED = ("machine", "start", "training", "reading", "runs", "large", "scale", "serving")


def check_predicting(settings: PredictSettings) -> None:
    with collected() as check:
        if settings.line.ng_rate is not None:
            check(lambda: check_share("line.ng_rate", settings.line.ng_rate))
        check(lambda: check_device(settings.device))
        check(lambda: check_input(settings.input))
        check(lambda: check_written("output", settings.output))
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_exported("model", settings.model_file))
        if (settings.run is None) == (settings.model_file is None):
            which = "neither is said" if settings.run is None else "both are said"
            raise UserError(
                "say either run=outputs/train/<stamp>, or model=FILE.onnx as `python -m fancnn.export` writes it: "
                f"{which}"
            )


def check_exporting(settings: ExportSettings) -> None:
    with collected() as check:
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_choice("format", settings.format, FORMATS))
        check(lambda: check_input(settings.input))
        check(lambda: check_written("output", settings.output))


def check_parity(settings: ParitySettings) -> None:
    with collected() as check:
        check(lambda: check_exported("model", settings.model_file))
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_input(settings.input))


def check_joining(settings: EnsembleSettings) -> None:
    with collected() as check:
        for run in settings.runs:
            check(partial(check_earlier, "run", run))
        check(lambda: check_rule(settings.decision))
        check(lambda: check_promise(settings.decision))
        check(lambda: check_line(settings.line))
        check(lambda: check_calibration(settings.calibration))


def check_rendering(settings: RenderSettings) -> None:
    with collected() as check:
        check(lambda: check_fans("", settings))
        if not settings.root:
            raise UserError("root='' is no name of a folder. Expected a new or empty one, e.g. root=fans")


def check_caching(settings: CacheSettings) -> None:
    with collected() as check:
        check(lambda: check_folder("folder", settings.folder, "one that the program keeps things in"))
        if settings.do not in DO:
            raise UserError(f"do={settings.do} is none of {', '.join(DO)}")


def check_describing(settings: DescribeSettings) -> None:
    with collected() as check:
        check(lambda: check_image_size(settings.data.image_size))
        check(lambda: check_seed(settings.seed))
        check(lambda: _check_outputs(settings.model.outputs))


def _check_outputs(outputs: str) -> None:
    if outputs not in ("one", "two") and not (outputs.isdecimal() and 1 <= int(outputs) <= 10_000):
        more = ": 1 more than there are defect types" if outputs == "types" else ""
        raise UserError(f"model.outputs={outputs} should be one, two, or a number here{more}")


def check_crossing(settings: CrossvalSettings) -> None:
    with collected() as check:
        check(lambda: check_training(settings))
        check(lambda: check_folds(settings.folds))


def check_folds(folds: int) -> None:
    if not 3 <= folds <= MOST_FOLDS:
        more = at_most(folds, MOST_FOLDS)
        raise UserError(f"folds={folds} should be 3 or more{more}: one tests, one validates, the others train")


def check_benchmark(settings: BenchmarkSettings) -> None:
    with collected() as check:
        check(lambda: check_training(settings))
        check(lambda: _check_measured(settings.parts))
        for name, most in (
            ("repeats", 1000),
            ("count", 10**6),
            ("large", 10**6),
            ("epochs", 10**6),
            ("requests", 10**7),
        ):
            check(partial(_check_number, settings, name, most))
        check(lambda: _check_sizes(settings.size))
        check(lambda: _check_scale(settings.scale))
        check(lambda: check_exported("exported", settings.exported))
        check(lambda: check_written("output", settings.output))
        if "serving" in settings.parts and settings.exported is None:
            raise UserError("parts=[serving] needs exported=FILE.onnx: a file that `python -m fancnn.export` wrote")


def _check_measured(parts: list[str]) -> None:
    if not parts:
        raise UserError(f"parts=[] measures nothing. There are {', '.join(MEASURED)}")
    if unknown := [part for part in parts if part not in MEASURED]:
        raise UserError(f"parts: {', '.join(unknown)} is none of {', '.join(MEASURED)}")


def _check_number(settings: BenchmarkSettings, name: str, most: int) -> None:
    check_count(name, getattr(settings, name), most=most)


def _check_sizes(size: list[int]) -> None:
    if len(size) != 2 or not all(1 <= side <= 10_000 for side in size):
        raise UserError(f"size={size} should be two whole numbers from 1 to 10000, height and width, e.g. [300,300]")


def _check_scale(scale: list[int]) -> None:
    if not scale or not all(1 <= count <= 10**7 for count in scale):
        raise UserError(f"scale={scale} should be numbers of pictures from 1 to 10,000,000, e.g. [1000,10000]")
