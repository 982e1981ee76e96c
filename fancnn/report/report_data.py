"""What a report is made of: the files of a run folder, or a prediction table alone, read and nothing more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fancnn.data.labeled_images import LabeledImage, read_split, validate_split
from fancnn.decisions.line_costs import Costs, Line
from fancnn.errors import UserError
from fancnn.files.plain_data import anything, list_of, map_of, shown, text, validate
from fancnn.files.run import Run
from fancnn.files.run_folders import validate_complete
from fancnn.files.tables import read_table
from fancnn.files.yaml_files import read_text, read_yaml
from fancnn.metrics.confusion import ConfusionCounts
from fancnn.metrics.parts import by_part, images_of_parts
from fancnn.metrics.predictions import Prediction, columns, with_truth
from fancnn.metrics.score_registry import SCORES
from fancnn.metrics.thresholds import Thresholds
from fancnn.runs.looks import Looks
from fancnn.runs.metrics_file import RunMetrics, read_metrics, read_run_predictions, split_metrics
from fancnn.settings.groups import ALL, SPLIT_NAMES


@dataclass(frozen=True)
class ReportData:
    """A model's decisions on images, and what is known about where the model comes from.

    Attributes:
        place: The run folder or the table.
        rows: Of the prediction table.
        thresholds: That the report is about.
        splits: Counts and scores of each split, as `metrics.json` has them.
        root: Folder that the paths are relative to.
        metrics: The run's `metrics.json`; None for a table.
        images: Of the folder's `split.csv`; empty where there is none, as after `evaluate`.
        history: Rows of `metrics.csv`, numbers alone; empty where there is none.
        skipped: Files that the run left out, with reasons.
        overrides: The command line of the training.
        configuration: Of the training, as text; `settings` is the same as a tree.
        line: Where the inspector stands; None where not known.
        costs: Of a part there; None where not known.
        line_ng_rate: Share of NG among its parts, which may be known where the rest of the line is not.
        hashes: SHA-256 of the images by path, as far as a `split.csv` says them.
        own_thresholds: Whether the thresholds are the model's, not given for this report.
        looks: At the test images, this model's among them; None where they are not known.
    """

    place: Path
    rows: tuple[Prediction, ...]
    thresholds: Thresholds
    splits: Mapping[str, Mapping[str, Any]]
    root: Path
    metrics: RunMetrics | None = None
    images: tuple[LabeledImage, ...] = ()
    history: tuple[Mapping[str, float], ...] = ()
    skipped: tuple[Mapping[str, str], ...] = ()
    overrides: tuple[str, ...] = ()
    configuration: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    line: Line | None = None
    costs: Costs | None = None
    line_ng_rate: float | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)
    own_thresholds: bool = True
    looks: Looks | None = None

    @property
    def known(self) -> RunMetrics:
        """Return what is known of the model; nothing for a table."""
        return self.metrics or RunMetrics()

    @property
    def split(self) -> str:
        """Return the split that the report is about: the one that was used for least."""
        return next((split for split in ("test", ALL, "val", "train") if split in self.splits), ALL)

    @cached_property
    def judged(self) -> list[Prediction]:
        """Return the rows of that split that have truth and probability; of several images of a part the worst's."""
        return with_truth(by_part(self._of_split))

    @property
    def judged_images(self) -> list[Prediction]:
        """Return the rows of all images of the parts that are judged."""
        return images_of_parts(self.judged, self._of_split)

    @property
    def of_parts(self) -> bool:
        """Return whether there are several images of a part, so that parts are what is judged."""
        return any(row.part for row in self.judged)

    @property
    def _of_split(self) -> list[Prediction]:
        return [row for row in self.rows if (row.split or ALL) == self.split]

    @cached_property
    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the labels and probabilities of the judged rows."""
        return columns(self.judged)

    @property
    def searched(self) -> bool:
        """Return whether the thresholds were chosen on the split that the report is about."""
        return self.own_thresholds and self.known.decision_split == self.split

    @property
    def counts(self) -> ConfusionCounts:
        return ConfusionCounts.of(*self.arrays, self.thresholds)

    @property
    def groups(self) -> list[str] | None:
        """Return the group of each judged row; None unless every one has one."""
        names = [row.group for row in self.judged]
        return names if names and all(names) else None


def of_run(run: Path, thresholds: Thresholds | None, root: Path | None) -> ReportData:
    """Read a run folder; `thresholds` and `root` are the run's own where None.

    Raises:
        UserError: If it is no folder, has no results or one of its files is damaged.
    """
    metrics = metrics_of(run)
    rows, own = tuple(read_run_predictions(Run(run).predictions)), Thresholds(*metrics.thresholds)
    used = thresholds or own
    saved = metrics.splits
    whole = {"interval_unit", "groups", "intervals", *SCORES}
    current = all(whole <= set(split) for split in saved.values())  # else of an older version, scored less well
    known = used == own and set(saved) == set(split_names(rows)) and current
    trained = run if Run(run).split.is_file() else Path(metrics.run or run)  # evaluate leaves no split.csv
    settings = _tree(Run(trained).configuration)
    table = Run(run).split
    images = read_split(table) if table.is_file() else []
    if images:
        validate_split(images, table, metrics.split_sha256)
    return ReportData(
        place=run,
        rows=rows,
        thresholds=used,
        splits=saved if known else scored_splits(rows, used, metrics.decision_split if used == own else None),
        root=root or Path(metrics.root or _setting(settings, "data.root") or "."),
        metrics=metrics,
        images=tuple(images),
        history=_history(Run(trained).epochs),
        skipped=_skipped(Run(run).skipped),
        overrides=tuple(_listed(Run(trained).overrides)),
        configuration=_text(Run(trained).configuration),
        settings=settings,
        hashes=_hashes(trained, metrics.root),
        own_thresholds=used == own,
        looks=Looks.from_dict(metrics.looks) if metrics.looks else None,
    )


def metrics_of(run: Path) -> RunMetrics:
    """Return the `metrics.json` of a run folder.

    Raises:
        UserError: If it is no folder or has none.
    """
    if not run.is_dir():
        raise UserError(f"{run} does not exist or is no folder. Expected a run folder such as outputs/train/<stamp>")
    validate_complete(run)
    if not Run(run).metrics.is_file():
        raise UserError(
            f"{run} has no metrics.json: no run, or one that has not ended. Go on with it: "
            f"python -m fancnn.train ckpt={run}, or report on a table: python -m fancnn.report table=predictions.csv"
        )
    return read_metrics(Run(run).metrics)


def of_table(table: Path, thresholds: Thresholds, root: Path | None) -> ReportData:
    """Read a prediction table of this or another program.

    Raises:
        UserError: If it is missing or no prediction table.
    """
    rows = tuple(read_run_predictions(table))
    return ReportData(table, rows, thresholds, scored_splits(rows, thresholds), root or Path(), own_thresholds=False)


def split_names(rows: Sequence[Prediction]) -> list[str]:
    """Return the splits that occur, in their order; `all` for rows that name none."""
    names = {row.split or ALL for row in rows}
    return [split for split in (*SPLIT_NAMES, ALL, *sorted(names - {*SPLIT_NAMES, ALL})) if split in names]


def scored_splits(
    rows: Sequence[Prediction], thresholds: Thresholds, chosen_on: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return counts, scores and intervals of each split of known truth; one may have chosen the thresholds."""
    splits = {name: [row for row in rows if (row.split or ALL) == name] for name in split_names(rows)}
    return {
        name: split_metrics(of_split, thresholds, searched=name == chosen_on)
        for name, of_split in splits.items()
        if with_truth(by_part(of_split))
    }


def with_line(material: ReportData, line: Line | None, costs: Costs | None, ng_rate: float | None = None) -> ReportData:
    return replace(material, line=line, costs=costs, line_ng_rate=ng_rate)


def setting(material: ReportData, key: str) -> Any:
    """Return a value of the training's configuration by dotted key, references resolved; None where there is none."""
    return _setting(material.settings, key)


def _setting(tree: Mapping[str, Any], key: str) -> Any:
    node: Any = tree
    for name in key.split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
    if isinstance(node, str) and node.startswith("${") and node.endswith("}") and ":" not in node:
        return _setting(tree, node[2:-1])
    return node


def _hashes(trained: Path, root: str | None) -> Mapping[str, str]:
    """Return what the training's `split.csv` says of the images; nothing where the rows are of another folder's."""
    table, metrics = Run(trained).split, Run(trained).metrics
    if not table.is_file() or not metrics.is_file() or read_metrics(metrics).root != root:
        return {}
    return {image.path: image.sha256 for image in read_split(table)}


def _skipped(path: Path) -> tuple[Mapping[str, str], ...]:
    return tuple(read_table(path, ("path", "reason"), 1)) if path.is_file() else ()


def _history(path: Path) -> tuple[Mapping[str, float], ...]:
    if not path.is_file():
        return ()
    rows = read_table(path, ("epoch",), 1)
    return tuple(_numbers(row, f"{path}, line {line}") for line, row in enumerate(rows, start=2))


def _numbers(row: Mapping[str, str], place: str) -> Mapping[str, float]:
    """Return the numbers of a row of `metrics.csv`; that of the epoch among them."""
    numbers: dict[str, float] = {}
    for name, value in row.items():
        if name == "version" or not (value or name == "epoch"):
            continue
        try:
            numbers[name] = float(value)
        except ValueError as error:
            raise UserError(f"{place}: {name}={shown(value)} should be a number") from error
    if not 0 < numbers["epoch"] < 2**31:  # others may be NaN, where a training diverged
        raise UserError(f"{place}: epoch={numbers['epoch']:g} should be a whole number from 1")
    return numbers


def _tree(path: Path) -> Mapping[str, Any]:
    """Return the configuration of the training; empty where there is none."""
    content = (read_yaml(path) if path.is_file() else None) or {}
    validate(content, map_of(anything), str(path))
    tree: Mapping[str, Any] = content
    return tree


def _listed(path: Path) -> list[Any]:
    """Return the command line of the training; empty where it is not known."""
    content = (read_yaml(path) if path.is_file() else None) or []
    validate(content, list_of(text), str(path))
    return list(content)


def _text(path: Path) -> str:
    return read_text(path) if path.is_file() else ""
