"""The story of `python -m fancnn.parity`: the run and its exported file, on every runtime, image by image."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fancnn.data.labeled_images import read_split
from fancnn.decisions.calibration import Calibration
from fancnn.errors import UserError
from fancnn.files.run import Run
from fancnn.images.reading import UnreadableImage, read_image
from fancnn.inference.export_metadata import ExportMetadata
from fancnn.metrics.rounding import printed_threshold
from fancnn.metrics.thresholds import Thresholds
from fancnn.model import Model
from fancnn.networks.weights import weights_hash
from fancnn.parity.agreement import TOLERANCE, Agreement, agreements
from fancnn.parity.first_divergence import layers_of, parting
from fancnn.parity.runtimes import Runtime, facts_of, format_of, runtimes_of
from fancnn.parity.settings import ParitySettings
from fancnn.plurals import agreeing, plural
from fancnn.predict.predict import input_files
from fancnn.runs import checkpoints
from fancnn.system.console import print_table, say, track

Named = tuple[str, NDArray[np.uint8]]
MOST = 300  # images of the run's own that an export is compared on
MADE_UP = ((80, 80), (300, 300), (240, 320), (97, 61), (31, 200))  # sizes, where the run's images are gone


def parity(settings: ParitySettings) -> bool:
    """Compare an exported file with the run that it came from.

    Returns:
        Whether no decision differs on any runtime.

    Raises:
        UserError: If the file, the run or the images cannot be found, none of them can be read, the file comes from
            no run like this one, or the run or a runtime gives NaN or infinity.
    """
    model = checkpoints.load(settings.run, image_limits=settings.image_limits)
    path = Path(settings.file).expanduser()
    facts = facts_of(path)
    _validate_alike(model, facts, path)
    _print_changes(model, facts, path)
    return compared(model, path, images_in(settings.input, model)[1])


def compared(model: Model, path: Path, images: Iterable[Named]) -> bool:
    """Say how an exported file compares with its run on images, and whether no decision differs.

    Raises:
        NotFiniteError: If the run gives NaN or infinity for an image, naming it.
        UserError: If a runtime does that, or no image could be read.
    """
    facts = facts_of(path)
    runtimes, thresholds = runtimes_of(path), Thresholds(*facts.thresholds)
    if model.has_cells and not facts.has_cells:
        say(f"note: {path.name} does not say where the defect is, as the run does: export it again")
    results = agreements(model, runtimes, thresholds, images)
    if not results[0].images:
        raise UserError("no image could be read: there is nothing to compare on")
    rows = [_row(agreement) for agreement in results]
    columns = max(rows, key=len)
    cells = [[row.get(name, "-") for name in columns] for row in rows]
    print_table(f"{path.name} against the run, {results[0].images} images: largest gaps", list(columns), cells)
    flips = _flips(results)
    for agreement, runtime in zip(results, runtimes, strict=True):
        if agreement.worst is None or agreement.within or not (agreement.counts or set(agreement.flips) - set(flips)):
            continue
        if agreement.probability_gap <= TOLERANCE and thresholds != model.thresholds:
            apart = f"{_plain(thresholds)} in the file, {_plain(model.thresholds)} in the run"
            say(f"{agreement.name}: diverges from the run at the thresholds: {apart} ({agreement.flips[0]})")
        else:
            say(f"{agreement.name}: {_parting(model, path, runtime, agreement.worst)} ({agreement.worst_name})")
    _print_runtimes(path, results)
    if broken := [agreement for agreement in results if agreement.counts and agreement.not_finite]:
        missing = "; ".join(f"{item.name} for {_listed(item.not_finite)} of {item.images}" for item in broken)
        raise UserError(
            f"{path.name} has no decision on some images, since the network's output is not a "
            f"finite number: {missing}. Nothing may be decided with it: export the run again"
        )
    named = [f"{name} ({'; '.join(where)})" for name, where in flips.items()]
    shown = ", ".join(named[:3]) + (", ..." if len(named) > 3 else "")
    differ = f"{plural(len(flips), 'decision')} {agreeing(len(flips), 'differs')}"
    say(f"{differ}: {shown or 'the file decides as the run does'}")
    return not flips


def _flips(results: Iterable[Agreement]) -> dict[str, list[str]]:
    """Return the images that runtimes which count decide otherwise than the run, each once, and which these are."""
    flips: dict[str, list[str]] = {}
    for agreement in results:
        for name in agreement.flips if agreement.counts else ():
            flips.setdefault(name, []).append(agreement.name)
    return flips


def _plain(thresholds: Thresholds) -> str:
    return " and ".join(printed_threshold(value) for value in dict.fromkeys((thresholds.lower, thresholds.upper)))


def _listed(names: Sequence[str]) -> str:
    """Return how many, and the first of them."""
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _row(agreement: Agreement) -> dict[str, str]:
    """Return what is printed of a runtime, by column; a map is only where the network has cells."""
    gaps = {
        "P(NG)": agreement.probability_gap,
        "map": agreement.map_gap,
        "logit": agreement.logit_gap,
        "levels": agreement.level_gap,
    }
    known = {name: gap for name, gap in gaps.items() if gap is not None}
    # a gap of the other images alone would be read as one of all
    shown = {name: "not finite" if agreement.not_finite else f"{gap:.2g}" for name, gap in known.items()}
    last = "-" if agreement.not_finite else f"{100 * agreement.values_apart / agreement.values:.2g}%"
    return {"runtime": agreement.name, "flips": str(len(agreement.flips)), **shown, "of them": last}


def _parting(model: Model, path: Path, runtime: Runtime, image: NDArray[np.uint8]) -> str:
    layers = layers_of(path, runtime.name, image) if format_of(path) == "onnx" else {}
    return f"diverges from the run at {parting(model, runtime.score(image[None]), layers, image)}"


def _print_runtimes(path: Path, results: Sequence[Agreement]) -> None:
    """Print what a person should know before the file runs elsewhere."""
    flips = _flips(results)
    for agreement in (item for item in results if not item.counts):
        precision = agreement.name.rpartition(" ")[2]
        others = plural(len(set(agreement.flips) - set(flips)), "decision")
        besides = f"{others} would differ{' beyond those below' if flips else ''}"
        if agreement.not_finite:
            besides += f", and for {_listed(agreement.not_finite)} there is no finite number"
        say(
            f"on this processor OpenVINO computes in {precision} unless it is told "
            f"INFERENCE_PRECISION_HINT=f32: {besides}. Tell it on the line, too"
        )
    if format_of(path) == "onnx" and not any("OpenVINO" in agreement.name for agreement in results):
        say('OpenVINO is not installed, and was not compared: pip install "fancnn[openvino]"')
    for agreement in results:
        if agreement.counts and not agreement.flips and not agreement.not_finite and not agreement.within:
            which = "P(NG) does" if agreement.probability_gap > TOLERANCE else "the map of cells does"
            say(f"{agreement.name}: no decision differs here, but {which} by more than {TOLERANCE}: others may")


def _validate_alike(model: Model, facts: ExportMetadata, path: Path) -> None:
    """Refuse a file whose numbers cannot be compared with the run's at all."""
    taken, own = facts.preprocess["image_size"], model.preprocess.image_size
    types = [", ".join(names) or "no types" for names in (facts.types, model.outputs[1:] if model.has_types else ())]
    if list(taken) != list(own):
        apart = f"takes {taken[0]}x{taken[1]}, the run {own[0]}x{own[1]}"
    elif types[0] != types[1]:
        apart = f"tells {types[0]}, the run {types[1]}"
    else:
        return
    raise UserError(f"{path} {apart}: it is no export of this run. Name the run that it was exported from")


def _print_changes(model: Model, facts: ExportMetadata, path: Path) -> None:
    """Say where the file was made from another state of the run: what differs then is no fault of a runtime."""
    if facts.weights_sha256 != weights_hash(model.network.state_dict()):
        say(f"warning: {path.name} was exported from other weights than the run has now")
    elif Thresholds(*facts.thresholds) != model.thresholds or _calibration(facts, path) != model.calibration:
        say(
            f"warning: the run was decided again since {path.name} was exported: {model.thresholds.in_words()} now, "
            f"{Thresholds(*facts.thresholds).in_words()} in the file. Export it again"
        )


def _calibration(facts: ExportMetadata, path: Path) -> Calibration:
    try:
        return Calibration.from_dict(facts.calibration)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def _read(files: Iterable[Path], model: Model) -> Iterator[Named]:
    """Yield the images among files, under their paths; what cannot be read is left out with a warning."""
    for path in files:
        try:
            yield str(path), read_image(path, model.preprocess.background, model.gate)
        except UnreadableImage as error:
            say(f"{path} is left out: {error}")


def images_in(wanted: str, model: Model) -> tuple[str, Iterator[Named]]:
    """Return the images that `input` means, and what they are."""
    files = input_files(wanted)
    return plural(len(files), "file"), track(_read(files, model), "comparing", len(files))


def own_images(model: Model, run: Path) -> tuple[str, Iterator[Named]]:
    """Return a name for images that a run can be compared on, and the images: of val, or noise where those are gone."""
    root, table = Path(model.metadata.root or "."), Run(run).split
    known = [root / image.path for image in read_split(table) if image.split == "val"] if table.is_file() else []
    files = [path for path in known[:: max(len(known) // MOST, 1)] if path.is_file()]
    if files:
        return f"{plural(len(files), 'image')} of the validation split", _read(files, model)
    random = np.random.default_rng(0)
    made = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in MADE_UP for _ in range(4)]
    return "noise, since the run's images are not there; input=FOLDER names others", (
        (f"noise {index}", image) for index, image in enumerate(made)
    )
