"""The story of `python -m fancnn.certify`: from predictions to a claim on all parts to come, or a refusal."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from fancnn.certify.sequential_looks import at_any_time, print_next_look, validate_fixed
from fancnn.certify.settings import CertifySettings
from fancnn.certify.spending import spending, unspent
from fancnn.data.labeled_images import read_split
from fancnn.decisions.certificates import Certificate, TypeEscapes, certified, write_certificate
from fancnn.decisions.threshold_choice import ThresholdChoice
from fancnn.errors import UserError
from fancnn.files.run import Run
from fancnn.files.tables import read_table
from fancnn.metrics.parts import by_part
from fancnn.metrics.predictions import Prediction
from fancnn.metrics.rounding import percent_at_most, percent_exactly
from fancnn.metrics.thresholds import Thresholds
from fancnn.runs.metrics_file import RunMetrics, file_hash, read_metrics, read_run_predictions, validate_rows
from fancnn.settings.groups import SPLIT_NAMES
from fancnn.system.console import print_table, say

CHOSEN_HERE = "optimistic: this threshold was chosen on these images; without threshold=run the search is in the claim"
ASKED_AGAIN = (
    "asked again with images added, it is the next look, which takes more than is said here: a claim for images that "
    "come in is sequential=true at a threshold fixed before, and plan=true says beforehand how many it takes"
)


@dataclass(frozen=True)
class _Source:
    """Where predictions come from.

    Attributes:
        rows: Of the split.
        table: That they were read from.
        split: Its name.
        own: Thresholds of the run, if one is named.
        chosen_on: The split that chose these.
        scored_by: In words, where no one model scored the images; else empty.
        unread_ng_files: Files of NG classes that the run could not read and that have no row.
        checkpoint: Of the run's model; None where there is none.
        notes: What else is known that makes the claim less than it seems.
        weights: SHA-256 of the model's; None where it is not known.
    """

    rows: list[Prediction]
    table: Path
    split: str
    own: Thresholds | None
    chosen_on: str | None
    scored_by: str
    unread_ng_files: int
    checkpoint: Path | None
    notes: tuple[str, ...]
    weights: str | None


def certify(settings: CertifySettings) -> Certificate:
    """State what can be proven, print it and write `certificate.json`.

    Raises:
        UserError: If the predictions cannot be found, or a value makes no sense.
    """
    settings.validate_paths()
    source = _read(settings)
    if settings.sequential:
        validate_fixed(settings, source.chosen_on, source.split)
    thresholds = _asked_for(settings, source.own)
    seen = any("weights" in (row.roles or ()) for row in source.rows) and not settings.exclude_seen
    refused = bool(source.scored_by) or seen  # before anything that these images show is looked at
    if refused:
        context = unspent(settings, "not counted as a look at these images")
    elif source.split == "val":
        context = unspent(
            settings, "of validation images, which the training has looked at throughout: no look counted"
        )
    else:
        context = spending(settings, source.rows, source.weights, thresholds)
    with context as spent:
        certificate = certified(
            source.rows,
            settings.escape,
            spent.confidence,
            thresholds,
            recheck_above=source.own.upper if source.own and source.own.has_recheck else None,
            unit=settings.unit,  # type: ignore[arg-type]  # checked
            caveats=(*_caveats(settings, source), *source.notes, *spent.caveats),
            largest_group=settings.largest_group,
            exclude_seen=settings.exclude_seen,
            unread_ng_files=source.unread_ng_files,
            scored_by=source.scored_by,
        )
        if settings.sequential:
            certificate = at_any_time(certificate, by_part(source.rows), settings)
    statement = f"{certificate.statement}; {spent.sentence}"
    if certificate.refusal == "evidence" and not settings.sequential and spent.looks and spent.planned is None:
        certificate = replace(certificate, caveats=(*certificate.caveats, ASKED_AGAIN))
    certificate = replace(certificate, statement=statement, confidence=settings.confidence)
    _print(certificate, source.split)
    if settings.store and certificate.granted and certificate.thresholds:
        _store(str(settings.run), certificate, source.split)
    # after the threshold is stored: the hashes are of the files as they stay
    provenance = {**_provenance(settings, source), "sequential": settings.sequential, **spent.to_dict()}
    write_certificate(Path(settings.output).expanduser(), certificate, provenance)
    say(f"\ncertificate: {settings.output}")
    if settings.sequential:
        print_next_look(settings)
    return certificate


def _read(settings: CertifySettings) -> _Source:
    run = Path(settings.run).expanduser() if settings.run is not None else None
    metrics = read_metrics(Run(run).metrics) if run else None
    if settings.table:
        table = Path(settings.table).expanduser()
        scored_by = _scored_by_of_table(table)
    else:
        assert run is not None  # `validate_certifying` has seen to it
        assert metrics is not None
        table, scored_by = Run(run).predictions, metrics.scored_by or ""
    rows = read_run_predictions(table)
    if run is not None and metrics is not None and settings.table:
        validate_rows(rows, table, Run(run).metrics, metrics.scored_by_one)
        rows = _asked_of_model(rows, _checkpoint(run, metrics))
    present = {row.split for row in rows}
    split = settings.split or next((name for name in ("test", "val") if name in present), "")
    if settings.split and settings.split not in present:
        raise UserError(f"split={settings.split}: {table} has {', '.join(sorted(present - {''})) or 'no splits'} alone")
    own_table = run is not None and not settings.table
    return _Source(
        rows=[row for row in rows if split in ("", row.split)],
        table=table,
        split=split or "all",
        own=Thresholds(*metrics.thresholds) if metrics else None,
        chosen_on=metrics.decision_split if own_table and metrics else None,
        scored_by=scored_by,
        unread_ng_files=_unread_ng_files(run, metrics, split) if run and metrics and own_table else 0,
        checkpoint=_checkpoint(run, metrics) if run and metrics else None,
        notes=tuple(_notes(run, metrics or _beside(table), split, present)),
        weights=(metrics.weights_sha256 or None) if metrics else None,
    )


def _asked_of_model(rows: list[Prediction], checkpoint: Path | None) -> list[Prediction]:
    """Return rows whose table does not say what the model has seen, with what its checkpoint says."""
    if checkpoint is None or not any(row.content and row.roles is None for row in rows):
        return rows
    from fancnn.runs import checkpoints  # loads torch, which no other certificate needs

    seen = checkpoints.seen_by(checkpoint, checkpoints.read(checkpoint).metadata).column(rows)
    return [
        replace(row, seen=roles) if row.content and row.roles is None else row
        for row, roles in zip(rows, seen, strict=True)
    ]


def _scored_by_of_table(table: Path) -> str:
    """Return what the folder of a run's table says of who scored it; empty where it says nothing."""
    beside = _beside(table)
    return (beside and beside.scored_by) or ""


def _beside(table: Path) -> RunMetrics | None:
    """Return the `metrics.json` beside a table; None for the table of another program, wherever it lies."""
    try:
        return read_metrics(Run(table.parent).metrics)
    except UserError:
        return None


def _notes(run: Path | None, metrics: RunMetrics | None, split: str, scored: set[str]) -> Iterator[str]:
    if metrics and metrics.seen_complete is False:
        yield "which images the weights have seen is not recorded in full; it is taken that these are not among them"
    split_file = Run(run).split if run else None
    waits = split == "val" and "test" not in scored and split_file is not None and split_file.is_file()
    if waits and split_file and any(image.split == "test" for image in read_split(split_file)):
        yield f"a test split waits to be scored: python -m fancnn.evaluate run={run}, then certify table=... of that"


def _checkpoint(run: Path, metrics: RunMetrics) -> Path | None:
    """Return the file of the model that scored: of the run itself, or of the run that an evaluation was of."""
    places = [Run(folder).best for folder in (run, Path(metrics.run or run))]
    return next((place for place in places if place.is_file()), None)


def _unread_ng_files(run: Path, metrics: RunMetrics, split: str) -> int:
    """Count files of NG classes without a row since they could not be read; of one split, where folders are splits."""
    skipped, classes = Run(run).skipped, set(metrics.classes) - {metrics.go_class}
    if not skipped.is_file():
        return 0
    count = 0
    for line in read_table(skipped, ("path", "reason"), 1):
        folders = PurePosixPath(line["path"]).parts
        of_split = folders[0] if folders[0] in SPLIT_NAMES and folders[0] not in classes else ""
        name = folders[1] if of_split and len(folders) > 1 else folders[0]
        count += name in classes and (not of_split or split in ("", of_split))
    return count


def _provenance(settings: CertifySettings, source: _Source) -> dict[str, str | None]:
    return {
        "run": settings.run,
        "table": str(source.table),
        "split": source.split,
        "checkpoint_sha256": file_hash(source.checkpoint) if source.checkpoint else None,
        "table_sha256": file_hash(source.table),
        "weights_sha256": source.weights,
    }


def _asked_for(settings: CertifySettings, own: Thresholds | None) -> Thresholds | None:
    if settings.threshold is None:
        return None
    if settings.threshold == "run":
        if own is None:
            raise UserError("threshold=run is the threshold of a run: say run=... too")
        return own
    threshold = float(settings.threshold)
    return Thresholds(threshold, max(threshold, own.upper if own and own.has_recheck else threshold))


def _caveats(settings: CertifySettings, source: _Source) -> list[str]:
    """Return what is known of the threshold, beside what the images say themselves."""
    known_by_rows = any("thresholds" in (row.roles or ()) for row in source.rows)
    if settings.threshold == "run" and source.chosen_on == source.split and not known_by_rows:
        return [CHOSEN_HERE]
    if settings.threshold not in (None, "run"):
        return ["it is taken that the threshold was fixed before these images were looked at"]
    return []


def _print(certificate: Certificate, split: str) -> None:
    say(f"{'granted' if certificate.granted else 'REFUSED'} on {split}: {certificate.statement}")
    if certificate.refusal in (None, "evidence"):
        say(f"scope: {certificate.scope}")
    if certificate.thresholds:
        origin = "found on these images, which the claim takes into account" if certificate.searched else "as given"
        say(f"thresholds: {certificate.thresholds.in_words()} ({origin})")
    for caveat in certificate.caveats:
        say(f"note: {caveat}")
    if certificate.by_type:
        _print_types(certificate.by_type, certificate.confidence)


def _print_types(by_type: tuple[TypeEscapes, ...], confidence: float) -> None:
    unit = by_type[0].unit
    title = f"by defect type; bounds are of {unit}s and hold together at {percent_exactly(confidence)} confidence"
    columns = ["", "NG parts", "escapes"] + (["groups", "that escape"] if unit == "group" else []) + ["at most"]
    rows = []
    for item in by_type:
        by_group = [str(item.ng), str(item.escapes)] if unit == "group" else []
        cells = [item.defect_type, str(item.ng_parts), str(item.escaped_parts)]
        rows.append([*cells, *by_group, percent_at_most(item.bound)])
    print_table(title, columns, rows)


def _store(run: str, certificate: Certificate, split: str) -> None:
    from fancnn.decide.decide import keep  # loads torch, which a certificate does not need

    assert certificate.thresholds is not None
    chosen = ThresholdChoice(certificate.thresholds, f"certified: {certificate.statement}")
    kept = keep(Path(run).expanduser(), chosen, split)
    say(f"kept in {kept}")
