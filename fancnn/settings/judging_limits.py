"""What the commands that judge a model may be told: evaluate, decide, certify, report, compare, explain, filters.

See `fancnn.settings.training_limits`.
"""

from functools import partial

from fancnn.errors import UserError, collected
from fancnn.settings.commands import (
    CertifySettings,
    CompareSettings,
    DecideSettings,
    EvaluateSettings,
    ExplainSettings,
    FilterSettings,
    ReportSettings,
)
from fancnn.settings.groups import PARTS
from fancnn.settings.training_limits import (
    MOST_PLANNED,
    check_choice,
    check_count,
    check_device,
    check_earlier,
    check_file,
    check_folder,
    check_input,
    check_line,
    check_looks,
    check_rule,
    check_seed,
    check_share,
    check_thresholds,
    check_unit,
    check_writable,
    check_written,
    is_number,
    place_of,
)

TABLE = "a prediction table: columns path, label, probability"
BASELINES = ("mean", "black", "white")
METHODS = ("grad_cam", "occlusion", "integrated_gradients")
MOST_COMPARED = 26  # a letter each
MOST_PLANS = 8  # that a figure can tell apart
OF_IMAGES = ("run", "table", "part", "threshold", "sequential", "store", "largest_group", "exclude_seen")


def check_evaluation(settings: EvaluateSettings) -> None:
    """What can be refused before anything is read.

    Raises:
        UserError: Naming the key.
    """
    with collected() as check:
        check(lambda: _check_part("split", settings.split))
        check(lambda: check_line(settings.line))
        check(lambda: check_device(settings.device))
        check(lambda: _check_asked(settings.threshold, settings.recheck))
        check(lambda: check_folder("data.root", settings.data.root, "a folder of class folders"))
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_file("table", settings.table, TABLE))
        if (settings.run is None) == (settings.table is None):
            raise UserError("say either run=outputs/train/<stamp>, or table=predictions.csv of any model")


def check_deciding(settings: DecideSettings) -> None:
    with collected() as check:
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_line(settings.line))
        check(lambda: check_rule(settings.decision))


def check_reporting(settings: ReportSettings) -> None:
    with collected() as check:
        check(lambda: check_line(settings.line))
        check(lambda: _check_asked(settings.threshold, settings.recheck))
        check(lambda: check_folder("root", settings.root, "one that the paths are relative to"))
        check(lambda: check_written("output", settings.output))
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_file("table", settings.table, TABLE))
        if (settings.run is None) == (settings.table is None):
            said = "both are said" if settings.run else "neither is said"
            raise UserError(f"say either run=outputs/train/<stamp> or table=predictions.csv: {said}")


def check_comparing(settings: CompareSettings) -> None:
    with collected() as check:
        check(lambda: _check_compared(settings.runs))
        check(lambda: check_thresholds(settings.threshold))
        check(lambda: check_share("confidence", settings.confidence))
        for key in ("new_escape_rate", "new_overkill_rate"):
            if (margin := getattr(settings, key)) is not None:
                check(partial(check_share, key, margin))
        if settings.part is not None:
            check(lambda: check_choice("part", str(settings.part), (*PARTS, "all")))
        check(lambda: check_folder("root", settings.root, "one that the paths are relative to"))
        check(lambda: check_writable("output", settings.output, place_of("output", settings.output)))


def _check_compared(runs: list[str]) -> None:
    if not 2 <= len(runs) <= MOST_COMPARED:
        expected = f"two to {MOST_COMPARED} runs or tables, the one in use first"
        raise UserError(f"{len(runs)} given: expected {expected}, e.g. python -m fancnn.compare RUN NEW_RUN")


def check_certifying(settings: CertifySettings) -> None:
    """A claim on images that are there, or with plan=true a plan before there are any."""
    with collected() as check:
        check(lambda: check_share("escape", settings.escape))
        check(lambda: check_share("confidence", settings.confidence))
        check(lambda: check_looks(settings.looks))
        check(lambda: check_share("producer", settings.producer))
        if settings.plan:
            check(lambda: _check_accepted(settings.accept))
        check(lambda: check_written("output", settings.output))
        check(lambda: _check_plan(settings) if settings.plan else _check_claim(settings))


def _check_claim(settings: CertifySettings) -> None:
    with collected() as check:
        check(lambda: check_unit("", settings.unit, settings.largest_group))
        check(lambda: _check_part("part", settings.part))
        check(lambda: _check_claimed(settings.threshold))
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_file("table", settings.table, TABLE))
        check(lambda: _check_for_plans(settings))
        if settings.run is None and settings.table is None:
            raise UserError("say run=outputs/train/<stamp>, or table=predictions.csv of any model")
        if settings.store and settings.run is None:
            raise UserError("store=true keeps the threshold in a run's model: say run=... too")


def _check_for_plans(settings: CertifySettings) -> None:
    if settings.lot is not None or settings.good is not None:
        raise UserError("lot= and good= are for a plan before images are collected: say plan=true, or leave them out")


def _check_claimed(threshold: object) -> None:
    if not (threshold is None or threshold == "run" or (is_number(threshold) and 0 <= threshold <= 1)):
        raise UserError(f"threshold={threshold!r} should be a number in [0, 1], run, or null to search for it")


def _check_plan(settings: CertifySettings) -> None:
    with collected() as check:
        check(lambda: check_unit("", settings.unit, None))
        check(lambda: _check_good(settings.good, settings.escape))
        check(lambda: _check_lot(settings.lot))
        if named := [name for name in OF_IMAGES if getattr(settings, name) not in (None, False)]:
            raise UserError(
                f"plan=true is made before there are images, and {named[0]}={getattr(settings, named[0])} is for a "
                "claim on some: leave one of them out"
            )


def _check_accepted(accept: list[int]) -> None:
    most = MOST_PLANNED // 10
    if not 1 <= len(accept) <= MOST_PLANS or not all(0 <= number <= most for number in accept):
        raise UserError(
            f"accept={accept}: expected one to {MOST_PLANS} whole numbers from 0 to {most:,}, how many NG parts may "
            "pass, e.g. accept=[0,1,2]"
        )


def _check_good(good: float | None, escape: float) -> None:
    if good is not None and (not is_number(good) or not 0 <= good < escape):
        raise UserError(
            f"good={good}: expected the escape rate that the model is thought to have, from 0 to below "
            f"escape={escape:g}. A model that is not better than its claim is not to be granted it"
        )


def _check_lot(lot: int | None) -> None:
    if lot is not None and not 1 <= lot <= 10 * MOST_PLANNED:
        raise UserError(
            f"lot={lot}: expected how many NG parts the lot has, from 1 to {10 * MOST_PLANNED:,}; of more, leave it out"
        )


def check_explaining(settings: ExplainSettings) -> None:
    with collected() as check:
        check(lambda: check_earlier("run", settings.run))
        check(lambda: _check_part("split", settings.split))
        check(lambda: check_input(settings.input))
        for name, least in (("pictures", 1), ("channels", 1), ("filters", 0), ("check_pictures", 1)):
            check(partial(_check_shown, settings, name, least))
        check(lambda: check_choice("baseline", settings.baseline, BASELINES))
        check(lambda: _check_methods(settings.methods))
        check(lambda: check_seed(settings.seed))
        check(lambda: check_device(settings.device))


def _check_shown(settings: ExplainSettings, name: str, least: int) -> None:
    check_count(name, getattr(settings, name), least, 10_000)


def _check_methods(methods: list[str]) -> None:
    if unknown := [name for name in methods if name not in METHODS]:
        raise UserError(f"methods: {unknown[0]!r} is none of {', '.join(METHODS)}")
    if not methods or len(set(methods)) < len(methods):
        raise UserError(f"methods={methods}: expected one or more of {', '.join(METHODS)}, each once")


def check_filtering(settings: FilterSettings) -> None:
    with collected() as check:
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_device(settings.device))


def _check_part(key: str, part: str | None) -> None:
    if part is not None:
        check_choice(key, part, PARTS)


def _check_asked(threshold: float | None, recheck: float | None) -> None:
    """Thresholds of this command line; where one alone is said, the other is the run's own."""
    for key, value in (("threshold", threshold), ("recheck", recheck)):
        if value is not None and not 0 <= value <= 1:
            raise UserError(f"{key}={value} should be in [0, 1]: it is compared with P(NG)")
    if threshold is not None and recheck is not None and recheck > threshold:
        raise UserError(f"recheck={recheck} should be from 0 to threshold={threshold}")
