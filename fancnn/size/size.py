"""The story of `python -m fancnn.size`: how small may images be?

The run folder holds `reduced-2/`, `reduced-4/`, ..., each a run as any whose test split is not scored; `comparison/`,
what `python -m fancnn.compare` leaves of the best with each of the others, on their validation images; and `sizes.csv`.

`sizes.csv`, version 1, a row for each size, the smallest images first:

| column | meaning |
| --- | --- |
| reduction | how many times smaller than stored the images are |
| height, width | of what the network gets, pixels |
| run | the folder of its run, beside the table |
| seconds | of all its epochs, as its own `metrics.csv` has them |
| milliseconds | from a file to its decision, one after the other: the median of up to 20 validation images |
| megabytes | the most memory that the process had until its training was over: smaller sizes came before |
| auroc | on the validation images |
| difference, low, high | auroc less that of the best, and where that may lie; empty for the best |
| mcnemar | p of McNemar's test on the mistakes of both, adjusted for all sizes (Holm); empty for the best |
| verdict | `best`, `worse`, `not distinguishable`, or `advised`: the smallest that is not worse |
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median

from fancnn import assembly
from fancnn.compare.compare import compare_silently
from fancnn.compare.settings import ComparedSplit, CompareSettings
from fancnn.data.labeled_images import read_split
from fancnn.errors import UserError
from fancnn.files import run_folders
from fancnn.files.run import Run
from fancnn.files.tables import read_table, table_writer
from fancnn.metrics.paired_differences import Difference
from fancnn.plurals import plural
from fancnn.runs import checkpoints
from fancnn.runs.metrics_file import metrics_of_split, read_metrics, read_run_predictions
from fancnn.runs.resume import checkpoint_to_resume, is_finished
from fancnn.settings.training import TrainSettings, in_folder
from fancnn.size.settings import SizeSettings
from fancnn.system.console import print_table, say
from fancnn.system.memory import peak_megabytes
from fancnn.system.timing import seconds, shown
from fancnn.train.train import train

VERSION = 1
COLUMNS = (
    *("reduction", "height", "width", "run", "seconds", "milliseconds", "megabytes"),
    *("auroc", "difference", "low", "high", "mcnemar", "verdict"),
)
COSTS = COLUMNS[4:7]
REDUCTIONS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
NATIVE_REDUCTIONS = (1, 2, 4, 8)  # of data.reduce
TRIED = 5  # of these, where nobody says which
SMALLEST, LARGEST = 32, 512  # pixels of the shorter and the longer side
SMALLEST_NATIVE = 64  # pixels of the shorter side
TIMED, WARM_UP = 20, 3  # images


@dataclass(frozen=True)
class Size:
    """A size of images that is tried.

    Attributes:
        reduction: How many times smaller than stored they are.
        image_size: Height and width of what the network gets, pixels.
        training: The settings of its training.
    """

    reduction: float
    image_size: tuple[int, int]
    training: TrainSettings

    @property
    def folder(self) -> Path:
        return Path(self.training.output_dir)

    @property
    def key(self) -> str:
        """Return what a training is told to take images of this size."""
        if self.training.data.reduce is not None:
            return f"data.reduce={self.training.data.reduce}"
        return f"data.image_size=[{self.image_size[0]},{self.image_size[1]}]"


@dataclass(frozen=True)
class Judged:
    """What a size came to, beside the best.

    Attributes:
        size: Which one.
        costs: By `COSTS`; what is not known is missing.
        auroc: On the validation images.
        difference: Less that of the best; None for the best itself.
        mcnemar: Adjusted p; None for the best itself.
        worse: Whether it can be told from the best, and is not better.
    """

    size: Size
    costs: Mapping[str, float] = field(default_factory=dict)
    auroc: float | None = None
    difference: Difference | None = None
    mcnemar: float | None = None
    worse: bool = False


def size(settings: SizeSettings) -> None:
    """Train at each size, the smallest first, and advise one; sizes that are finished are not trained again.

    Raises:
        UserError: As training, before the first of them; or if there are no two sizes to compare.
    """
    run = Path(settings.output_dir)
    if Run(run).checkpoints.is_dir():
        raise UserError(f"{run} holds a run of one training, and the sizes would be mixed with it: name another folder")
    sizes = _sizes(settings)
    run_folders.begin(run, "size")
    costs = _known_costs(run)
    for number, item in enumerate(sizes, start=1):
        height, width = item.image_size
        finished = is_finished(item.folder)
        say(f"\nsize {number} of {len(sizes)}: {height} x {width} pixels" + (": finished before" if finished else ""))
        if not finished:
            train(item.training, part_of=("size", settings.output_dir))
        if item.folder.name not in costs:
            costs[item.folder.name] = _costs(item)
            _write(run, [Judged(item, costs.get(item.folder.name, {})) for item in sizes[:number]])
    judged = _judged(settings, sizes, costs)
    _write(run, judged, advised=_advised(judged))
    run_folders.finish(run)
    _print(settings, judged)


def default_reductions(size: Sequence[int], smallest: float, largest: float, among: Sequence[float]) -> list[float]:
    """Return up to five reductions of images of a size, evenly from those that leave no more and no fewer pixels.

    Args:
        size: Height and width, pixels.
        smallest: Of the shorter side.
        largest: Of the longer side.
        among: The reductions to choose from, ascending.

    Example:
        >>> default_reductions((1024, 1024), 32, 512, REDUCTIONS)
        [2, 4, 8, 16, 32]
    """
    fitting = [item for item in among if min(size) / item >= smallest and max(size) / item <= largest]
    if len(fitting) <= TRIED:
        return fitting
    return [fitting[round(place * (len(fitting) - 1) / (TRIED - 1))] for place in range(TRIED)]


def _sizes(settings: SizeSettings) -> list[Size]:
    """Return the sizes to try, the smallest first, each with a training that was checked.

    Raises:
        UserError: If one cannot be trained so, or there are no two.
    """
    typical, data = assembly.typical_image_size(settings), settings.data
    reductions = settings.reductions
    if reductions is None and data.reduce is not None:
        smallest = SMALLEST_NATIVE if settings.windows is None else settings.windows.side
        reductions = default_reductions(typical, smallest, max(typical), NATIVE_REDUCTIONS)
    elif reductions is None:
        reductions = default_reductions(typical, SMALLEST, LARGEST, REDUCTIONS)
    if len(reductions) < 2:
        raise UserError(
            f"the images are {typical[0]} x {typical[1]} pixels: there are no two usual reductions of them to compare. "
            "Name some, e.g. reductions=[1,2]"
        )
    sizes = [_size(settings, reduction, typical) for reduction in sorted(reductions, reverse=True)]
    for item in sizes:
        try:
            assembly.check(item.training)
            batch, network = item.training.data.batch_size, item.training.model.network
            assembly.validate_memory({**network, "image_size": [*item.image_size]}, batch=batch)
        except UserError as error:
            height, width = item.image_size
            raise UserError(
                f"images reduced {item.reduction:g} times, to {height} x {width} pixels: {error}\nLeave it out: "
                "reductions=[...]"
            ) from error
    return sizes


def _size(settings: SizeSettings, reduction: float, typical: tuple[int, int]) -> Size:
    folder = Path(settings.output_dir) / f"reduced-{reduction:g}"
    training = replace(
        in_folder(settings, folder),
        score_test=settings.score_test is True,  # the test split is kept for the size that is chosen
        ckpt=checkpoint_to_resume(folder),
    )
    if settings.data.reduce is not None:
        training = replace(training, data=replace(training.data, reduce=int(reduction)))
        height, width = assembly.with_native_size(training).data.image_size
    else:
        height, width = (max(round(side / reduction), 1) for side in typical)
        training = assembly.with_image_size(training, [height, width])
    return Size(reduction, (height, width), training)


def _costs(item: Size) -> dict[str, float]:
    """Return what a finished training has cost, and a decision costs, by `COSTS`; what cannot be known is missing."""
    run, costs = Run(item.folder), dict[str, float]()
    if run.epochs.is_file():
        costs["seconds"] = round(sum(float(row["seconds"]) for row in read_table(run.epochs, ("seconds",), 1)), 3)
    if run.best.is_file():
        model = checkpoints.load(run.best, image_limits=item.training.image_limits)
        root = Path(read_metrics(run.metrics).root or "")
        paths = [root / row.path for row in read_run_predictions(run.predictions) if row.split == "val"]
        files = paths[:: max(len(paths) // TIMED, 1)][:TIMED]
        for file in files[:WARM_UP]:
            model.predict(file)
        costs["milliseconds"] = round(1000 * median(seconds(partial(model.predict, file)) for file in files), 3)
    if (peak := peak_megabytes()) is not None:
        costs["megabytes"] = round(peak, 1)
    return costs


def _known_costs(run: Path) -> dict[str, dict[str, float]]:
    """Return the costs of sizes that were measured before this command was interrupted, by the name of the folder."""
    table = run / "sizes.csv"
    if not table.is_file():
        return {}
    rows = read_table(table, COLUMNS, VERSION)
    return {row["run"]: {name: float(row[name]) for name in COSTS if row[name]} for row in rows}


def _judged(settings: SizeSettings, sizes: Sequence[Size], costs: Mapping[str, Mapping[str, float]]) -> list[Judged]:
    """Compare the best size with each of the others on the validation images; leave the comparison's page."""
    aurocs = {item.reduction: metrics_of_split(Run(item.folder).metrics, "val").get("auroc") for item in sizes}
    best = max(sizes, key=lambda item: -1.0 if (auroc := aurocs[item.reduction]) is None else auroc)
    others = [item for item in sizes if item is not best]
    compared = compare_silently(
        CompareSettings(
            runs=[str(item.folder) for item in (best, *others)],
            split=ComparedSplit.val,
            threshold=0.5,
            new_escape_rate=None,
            new_overkill_rate=None,
            confidence=settings.confidence,
            root=None,
            output=str(Path(settings.output_dir) / "comparison"),
            output_dir=settings.output_dir,
        )
    )
    judged = {best.reduction: Judged(best, costs[best.folder.name], aurocs[best.reduction])}
    for item, comparison in zip(others, compared.comparisons, strict=True):
        judged[item.reduction] = Judged(
            size=item,
            costs=costs[item.folder.name],
            auroc=aurocs[item.reduction],
            difference=comparison.differences["auroc"],
            mcnemar=comparison.mcnemar_adjusted,
            worse=comparison.second_is_worse,
        )
    return [judged[item.reduction] for item in sizes]


def _advised(judged: Sequence[Judged]) -> Judged:
    """Return the smallest that is not worse than the best."""
    return next(item for item in judged if not item.worse)


def _write(run: Path, judged: Sequence[Judged], advised: Judged | None = None) -> None:
    with table_writer(run / "sizes.csv", COLUMNS, VERSION) as add:
        for item in judged:
            height, width = item.size.image_size
            row = {"reduction": item.size.reduction, "height": height, "width": width, "run": item.size.folder.name}
            row |= item.costs
            if advised is not None:
                row |= {"auroc": item.auroc, "mcnemar": item.mcnemar, "verdict": _verdict(item, advised)}
            if (difference := item.difference) is not None:
                row["difference"] = difference.value
                if difference.interval is not None:
                    row |= {"low": difference.interval.low, "high": difference.interval.high}
            add(row)


def _verdict(item: Judged, advised: Judged) -> str:
    if item is advised:
        return "advised"
    if item.difference is None:
        return "best"
    return "worse" if item.worse else "not distinguishable"


def _print(settings: SizeSettings, judged: Sequence[Judged]) -> None:
    advised, best = _advised(judged), next(item for item in judged if item.difference is None)
    run, chosen = Path(settings.output_dir), advised.size.folder
    rows = [
        [
            f"{item.size.image_size[0]}x{item.size.image_size[1]}",
            "undefined" if item.auroc is None else f"{item.auroc:.4f}",
            _difference_words(item),
            *(shown(item.costs[name]) if name in item.costs else "" for name in COSTS),
            "" if (verdict := _verdict(item, advised)) == "not distinguishable" else verdict,
        ]
        for item in judged
    ]
    images = read_split(Run(chosen).split)
    validated = plural(sum(image.split == "val" for image in images), "validation image")
    title = f"{validated}; what lies between holds for all together with {100 * settings.confidence:g} %"
    print_table(title, ["pixels", "AUROC", "less the best", "train s", "image ms", "MB", ""], rows)
    for sentence in _advice(judged, advised, best):
        say(sentence)
    say(f"\nall sizes: {run / 'sizes.csv'}\nimage by image: {run / 'comparison' / 'compare.html'}")
    say(f"run of the advised size: {chosen}")
    if any(image.split == "test" for image in images):
        say(f"its test split has not been looked at: python -m fancnn.evaluate run={chosen} split=test")


def _difference_words(item: Judged) -> str:
    if item.difference is None:
        return "the best"
    if item.difference.value is None or item.difference.interval is None:
        return "undefined"
    low, high = item.difference.interval.low, item.difference.interval.high
    return f"{item.difference.value:+.4f} ({low:+.3f} to {high:+.3f})"


def _advice(judged: Sequence[Judged], advised: Judged, best: Judged) -> Iterator[str]:
    """Return what follows, and how far it can be trusted."""
    if advised is best:
        smaller = "; every smaller one is worse" if advised is not judged[0] else ""
        yield f"advised: {advised.size.key}, the best{smaller}"
    else:
        yield f"advised: {advised.size.key}, the smallest that cannot be told from the best, {best.size.key}"
    interval = advised.difference.interval if advised.difference is not None else None
    if interval is not None and interval.low < 0:
        yield (
            f"That is no proof that it is as good: its AUROC may be up to {-interval.low:.3f} lower. More validation "
            "images tell smaller differences apart"
        )
    if advised is judged[-1] and advised.size.reduction > 1:
        yield "It is the largest that was tried: larger images may be better still, with smaller reductions=[...]"
    if len(judged) > 1 and advised is judged[0]:
        yield "It is the smallest that was tried: still smaller ones may do, with larger reductions=[...]"
