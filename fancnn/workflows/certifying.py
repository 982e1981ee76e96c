"""The story of `python -m fancnn.certify`: from predictions to a claim on all parts to come, or a refusal."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from fancnn.console import print_table, say
from fancnn.errors import UserError
from fancnn.inspection.certificates import Certificate, Unit, certified, write_certificate
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.metrics_file import read_metrics
from fancnn.inspection.predictions import Prediction, read_predictions
from fancnn.inspection.thresholds import Chosen, percent
from fancnn.limits import check_share, check_thresholds
from fancnn.pictures import PARTS
from fancnn.settings import CertifySettings
from fancnn.workflows.sequential_certifying import at_any_time, check_fixed, tell_next_look

CHOSEN_HERE = (
    "optimistic: this threshold was chosen on these pictures; without threshold=run the search is in the claim"
)


@dataclass(frozen=True)
class _Source:
    """Where predictions come from.

    Attributes:
        rows: Of the part.
        part: Its name.
        own: Thresholds of the run, if one is named.
        chosen_on: The part that chose these.
        scored_by: In words, where no one model scored the pictures.
    """

    rows: list[Prediction]
    part: str
    own: Thresholds | None
    chosen_on: str | None
    scored_by: str | None


def certify(settings: CertifySettings) -> Certificate:
    """State what can be proven, tell it and write `certificate.json`.

    Raises:
        UserError: If the predictions cannot be found, or a value makes no sense.
    """
    _check(settings)
    source = _read(settings)
    if settings.sequential:
        check_fixed(settings, source.chosen_on, source.part)
    thresholds = _asked_for(settings, source.own)
    recheck_above = source.own.upper if source.own and source.own.has_recheck else None
    certificate = certified(
        source.rows,
        settings.escape,
        settings.confidence,
        thresholds,
        recheck_above,
        settings.unit,  # type: ignore[arg-type]  # checked
        _caveats(settings, source),
    )
    if settings.sequential:
        certificate = at_any_time(certificate, source.rows, settings)
    about = {"run": settings.run, "table": settings.table, "part": source.part, "sequential": settings.sequential}
    write_certificate(Path(settings.output).expanduser(), certificate, about)
    _tell(certificate, source.part)
    say(f"\ncertificate: {settings.output}")
    if settings.sequential:
        tell_next_look(settings)
    if settings.store and source.scored_by:
        raise UserError(f"the threshold is not kept: {source.scored_by}, so the claim is not of one model")
    if settings.store and certificate.granted and certificate.thresholds:
        _store(str(settings.run), certificate, source.part)
    return certificate


def _check(settings: CertifySettings) -> None:
    check_share("escape", settings.escape)
    check_share("confidence", settings.confidence)
    if settings.lot is not None or settings.good is not None:
        raise UserError("lot= and good= are for a plan before images are collected: say plan=true, or leave them out")
    if settings.run is None and settings.table is None:
        raise UserError("say run=outputs/train/<stamp>, or table=predictions.csv of any model")
    if settings.unit not in (None, *get_args(Unit)):
        raise UserError(f"unit={settings.unit!r} is none of {', '.join(get_args(Unit))}")
    if settings.part not in (None, *PARTS):
        raise UserError(f"part={settings.part!r} is none of {', '.join(PARTS)}")
    if settings.store and settings.run is None:
        raise UserError("store=true keeps the threshold in a run's model: say run=... too")


def _read(settings: CertifySettings) -> _Source:
    own, chosen_on, scored_by = None, None, None
    table = Path(settings.table).expanduser() if settings.table else None
    if settings.run is not None:
        run = Path(settings.run).expanduser()
        metrics = read_metrics(run / "metrics.json")
        own = Thresholds(*metrics["thresholds"])
        chosen_on = None if table else metrics["decision_part"]
        scored_by = None if table else metrics.get("scored_by")
        table = table or run / "predictions.csv"
    assert table is not None  # `_check` has seen to it
    rows = read_predictions(table)
    present = {row.split for row in rows}
    part = settings.part or next((name for name in ("test", "val") if name in present), "")
    if settings.part and settings.part not in present:
        raise UserError(f"part={settings.part}: {table} has {', '.join(sorted(present - {''})) or 'no parts'} alone")
    return _Source([row for row in rows if part in ("", row.split)], part or "all", own, chosen_on, scored_by)


def _asked_for(settings: CertifySettings, own: Thresholds | None) -> Thresholds | None:
    if settings.threshold is None:
        return None
    if settings.threshold == "run":
        if own is None:
            raise UserError("threshold=run is the threshold of a run: say run=... too")
        return own
    try:
        threshold = float(settings.threshold)
    except (TypeError, ValueError):
        raise UserError(f"threshold={settings.threshold!r} should be a number, run, or null to search for it") from None
    check_thresholds(threshold)
    return Thresholds(threshold, max(threshold, own.upper if own and own.has_recheck else threshold))


def _caveats(settings: CertifySettings, source: _Source) -> list[str]:
    """What is known of the threshold and of the scores, beside what the pictures say themselves."""
    found = []
    if settings.threshold == "run" and source.chosen_on == source.part:
        found.append(CHOSEN_HERE)
    elif settings.threshold not in (None, "run"):
        found.append("it is taken that the threshold was fixed before these pictures were looked at")
    if source.scored_by:
        found.append(f"not a claim on one model: {source.scored_by}")
    return found


def _tell(certificate: Certificate, part: str) -> None:
    say(f"{'granted' if certificate.granted else 'REFUSED'} on {part}: {certificate.statement}")
    if certificate.thresholds:
        found = "found on these pictures, which the claim takes into account" if certificate.searched else "as given"
        say(f"thresholds: {certificate.thresholds.in_words()} ({found})")
    for caveat in certificate.caveats:
        say(f"note: {caveat}")
    if certificate.by_type:
        rows = [
            [item.defect_type, str(item.ng), str(item.escapes), f"{item.bound:.2%}"] for item in certificate.by_type
        ]
        title = f"by defect type; bounds hold together at {percent(certificate.confidence)} confidence"
        print_table(title, ["", "NG", "escapes", "escape rate at most"], rows)


def _store(run: str, certificate: Certificate, part: str) -> None:
    from fancnn.workflows.deciding import keep  # loads torch, which a certificate does not need

    assert certificate.thresholds is not None
    chosen = Chosen(certificate.thresholds, f"certified: {certificate.statement}")
    kept = keep(Path(run).expanduser(), chosen, part)
    say(f"kept in {kept}")
