"""Where thresholds and calibration come from: at the end of training, and in `python -m fancnn.decide`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fancnn import assembly
from fancnn.data.labeled_images import LabeledImage, read_split
from fancnn.data.seen_images import SeenImages
from fancnn.decide.settings import DecideSettings
from fancnn.decisions.calibration import Calibration, fit
from fancnn.decisions.escape_claims import Unit, claim_unit, natural_unit, ng_evidence
from fancnn.decisions.threshold_choice import (
    ThresholdChoice,
    few_for_overkill_rate,
    max_f1_threshold,
    min_cost_threshold,
    threshold_for_escape_rate,
    threshold_for_overkill_rate,
)
from fancnn.errors import UserError
from fancnn.files.atomic_files import remove, write_atomically
from fancnn.files.run import BEST, Run
from fancnn.files.run_folders import DECIDING, at_work
from fancnn.metrics.parts import by_part, worst_of_parts
from fancnn.metrics.predictions import Prediction, columns, decided, with_truth, write_predictions
from fancnn.metrics.prior_shift import mix_in_words
from fancnn.metrics.thresholds import Thresholds
from fancnn.model import Model
from fancnn.runs import checkpoints
from fancnn.runs.known_line import costs_of, known_line, line_of
from fancnn.runs.metrics_file import read_metrics, read_run_predictions, split_metrics, write_metrics
from fancnn.runs.recorded_looks import choice, record_look
from fancnn.runs.scoring import print_scores
from fancnn.runs.stored_regions import with_regions
from fancnn.settings.choices import ClaimUnit, DecisionRule, to_dict
from fancnn.settings.groups import CostSettings, DecisionSettings, LineSettings, validate_costs, validate_promise
from fancnn.system.console import say

KEY = "decision."  # what the keys of a rule begin with, for texts
NO_LINE = LineSettings(None, None, None, CostSettings(None, None, None))


def decide(settings: DecideSettings) -> Thresholds:
    """Choose the thresholds of a finished run again, from its own predictions, and keep them in it.

    The best checkpoint, `predictions.csv` and `metrics.json` change together with them.

    Raises:
        UserError: If the run has no predictions of the split, or they cannot carry the rule.
    """
    settings.validate_paths()
    run = Path(settings.run).expanduser()
    metrics = read_metrics(Run(run).metrics, deciding=True)
    line = known_line(settings.line, metrics.line)
    validate_costs(settings.decision, line)
    rows = read_run_predictions(Run(run).predictions, deciding=True)
    split = [row for row in rows if row.split == settings.decision.split]
    if not split:
        present = ", ".join(sorted({row.split for row in rows}))
        raise UserError(f"decision.split={settings.decision.split}: the run has predictions of {present} alone")
    if not metrics.scored_by:  # else each image was judged by a model of its own, and nothing is promised
        validate_promise(settings.decision)
    chosen = choose_on(settings.decision, line, split)
    if metrics.scored_by and settings.decision.rule != "fixed":
        chosen = not_measured(chosen, "the ensemble")
    if chosen_split(settings.decision) == "test":
        looks = record_look("decide", split, metrics.weights_sha256 or None, choice(settings.decision))
        if looks is not None:
            say(f"test: {looks.in_words()}")
    print_decision(chosen, chosen_split(settings.decision))
    checkpoint = keep(run, chosen, chosen_split(settings.decision), line, settings.decision)
    say(f"\nkept in {checkpoint}; predictions.csv and metrics.json of the run follow")
    return chosen.thresholds


def keep(
    run: Path,
    chosen: ThresholdChoice,
    split: str | None,
    line: LineSettings | None = None,
    rule: DecisionSettings | None = None,
) -> Path:
    """Put thresholds into a run: its best checkpoint, its predictions and its metrics; print what they come to.

    Args:
        run: A run folder.
        chosen: The thresholds and why.
        split: They were chosen on.
        line: As it is known now; None leaves it as it was.
        rule: That chose them; None where no rule did that could choose again.

    Returns:
        The checkpoint.
    """
    with at_work(run):
        return _kept(run, chosen, split, line, rule)


def _kept(
    run: Path, chosen: ThresholdChoice, split: str | None, line: LineSettings | None, rule: DecisionSettings | None
) -> Path:
    checkpoint, metrics = checkpoints.find(run, (BEST,)), read_metrics(Run(run).metrics, deciding=True)
    model = checkpoints.load(checkpoint, deciding=True)
    model.thresholds = chosen.thresholds
    other_cells = rule is not None and rule.cell_threshold != model.cell_threshold
    model.cell_threshold = model.cell_threshold if rule is None else rule.cell_threshold
    known = line or known_line(NO_LINE, metrics.line)
    facts = decision_facts(chosen.reason, split, known, rule)
    rows = _with_hashes(read_run_predictions(Run(run).predictions, deciding=True), run)
    chosen_on = [row for row in rows if split is not None and row.split == split]
    model.seen_images = model.seen_images.without("thresholds").merged(SeenImages.of(thresholds=chosen_on))
    with _deciding(run):
        checkpoints.store_decision(checkpoint, model, facts)
    rows = [
        decided(replace(row, seen=seen, regions=None if other_cells else row.regions), chosen.thresholds)
        for row, seen in zip(rows, model.seen_images.column(rows), strict=True)
    ]
    if not metrics.scored_by:  # else each image was judged by a model of its own, and so was where its defect is
        rows = with_regions(model, rows, Path(metrics.root or ""))
    write_predictions(rows, Run(run).predictions)
    splits = {
        name: split_metrics(
            [row for row in rows if row.split == name], model.thresholds, *line_of(known), searched=name == split
        )
        for name in metrics.splits
    }
    again = "test" in splits  # whoever chose these may have known what test images showed
    metrics = replace(metrics, splits=splits, decided_again=again, **model_facts(model), **facts)
    write_metrics(Run(run).metrics, metrics)
    remove(run / DECIDING)
    print_scores("with these thresholds", splits)
    return checkpoint


@contextmanager
def _deciding(run: Path) -> Iterator[None]:
    """Say that three files are about to change; whoever finds one changed and another not should not go on.

    An error in changing the first of them, for want of room as a rule, leaves the run as it was.
    """
    was_cut_short = (run / DECIDING).exists()
    write_atomically(run / DECIDING, b"")
    try:
        yield
    except (OSError, UserError):
        if not was_cut_short:
            remove(run / DECIDING)
        raise


def _with_hashes(rows: Sequence[Prediction], run: Path) -> list[Prediction]:
    """Return rows of a table of before, which has no hashes, with those of the run's `split.csv`."""
    table = Run(run).split
    known = {image.path: image for image in read_split(table)} if table.is_file() else {}
    return [
        replace(row, sha256=known[row.path].sha256, pixel_sha256=known[row.path].pixel_sha256)
        if not row.sha256 and row.path in known
        else row
        for row in rows
    ]


def choose_on(decision: DecisionSettings, line: LineSettings, rows: Sequence[Prediction]) -> ThresholdChoice:
    """Choose the thresholds on the parts of a table that have truth and probability; otherwise as `choose`.

    Args:
        decision: The rule.
        line: What it needs to know of the line.
        rows: Of images; of several of one part the worst counts.
    """
    known = with_truth(by_part(rows))
    groups, contents = [row.group for row in known], [row.content for row in known]
    return choose(decision, line, *columns(known), groups, contents)


def choose(
    decision: DecisionSettings,
    line: LineSettings,
    labels: ArrayLike,
    probabilities: ArrayLike,
    groups: Sequence[str],
    contents: Sequence[str] | None = None,
) -> ThresholdChoice:
    """Choose the thresholds by the rule of the configuration.

    Args:
        decision: The rule.
        line: What it needs to know of the line.
        labels: 0 GO, 1 NG `(n,)`.
        probabilities: P(NG) `(n,)`.
        groups: Lot, panel or patient of each image; empty for none.
        contents: Hash of each image; what is promised of escapes counts copies once. None where not known.

    Raises:
        UserError: If the images cannot carry the rule.
    """
    if decision.rule == "f1":
        return max_f1_threshold(labels, probabilities)
    if decision.rule == "cost":
        assert line.ng_rate is not None  # `limits` has checked
        costs = costs_of(line)
        assert costs is not None
        return min_cost_threshold(labels, probabilities, costs, line.ng_rate, decision.most_rechecked)
    if decision.rule == "escape":
        truth, scores = np.asarray(labels) == 1, np.asarray(probabilities, np.float64)
        counted = _lowest_of_copies(scores, truth, contents or [""] * len(scores))
        unit = claim_unit(groups, decision.unit, decision.largest_group, KEY)  # type: ignore[arg-type]  # checked
        return threshold_for_escape_rate(
            scores[counted],
            decision.escape_rate,
            decision.confidence,
            groups=[groups[place] for place in counted],
            unit=unit,
            largest_group=decision.largest_group,
            go_probabilities=scores[~truth],
            key=KEY,
        )
    if decision.rule == "overkill":
        good, scores = np.asarray(labels) == 0, np.asarray(probabilities, np.float64)
        unit = _unit_of_overkills(decision, groups)
        highest = _highest_of_each(scores, good, groups if unit == "group" else contents or [""] * len(scores))
        return threshold_for_overkill_rate(
            highest,
            decision.overkill_rate,
            decision.confidence,
            unit=unit,
            independent=unit == natural_unit(groups) or unit == "group",
            key=KEY,
        )
    return ThresholdChoice(assembly.thresholds(decision), "fixed")


def _lowest_of_copies(scores: NDArray[np.float64], truth: NDArray[np.bool_], contents: Sequence[str]) -> list[int]:
    """Return the places of the NG images; of copies that with the lowest probability."""
    lowest: dict[str | int, int] = {}
    for place in np.flatnonzero(truth).tolist():
        name = contents[place] or place
        if name not in lowest or scores[place] < scores[lowest[name]]:
            lowest[name] = place
    return list(lowest.values())


def _unit_of_overkills(decision: DecisionSettings, groups: Sequence[str]) -> Unit:
    """Return what an overkill rate counts; of parts in groups it can be seen, though no bound can be stated."""
    if decision.unit is None:
        return natural_unit(groups)
    return claim_unit(groups, "group", None, KEY) if decision.unit == ClaimUnit.group else "part"


def _highest_of_each(
    scores: NDArray[np.float64], chosen: NDArray[np.bool_], names: Sequence[str]
) -> NDArray[np.float64]:
    """Return the highest of the chosen scores for each name; one without a name stands for itself."""
    highest: dict[str | int, float] = {}
    for place in np.flatnonzero(chosen).tolist():
        name = names[place] or place
        highest[name] = max(float(scores[place]), highest.get(name, 0.0))
    return np.array([*highest.values()])


def not_measured(chosen: ThresholdChoice, on: str) -> ThresholdChoice:
    """Take the promise out of a choice that was made on the predictions of several models, each its own."""
    reason = f"chosen on the predictions of the folds' models; not measured on {on}"
    return ThresholdChoice(chosen.thresholds, reason)


def fitted_calibration(
    method: str,
    logits: ArrayLike,
    labels: ArrayLike,
    line_rate: float | None = None,
    parts: Sequence[str] | None = None,
) -> Calibration:
    """Fit a calibration on validation; say what was chosen and why, and which mix of parts P(NG) is for.

    Args:
        method: A choice of `calibration` in the configuration.
        logits: `(images,)`, of NG.
        labels: `(images,)`, 0 GO and 1 NG.
        line_rate: Share of NG among the line's parts, where it is known.
        parts: Of each image, where several are of one: it is fitted on the worst of each; None where each is one.
    """
    if parts is not None:
        logits, labels = worst_of_parts(parts, logits, labels)
    fitted = fit(method, logits, labels)  # type: ignore[arg-type]  # limits have checked it
    if fitted.reason:
        say(f"calibration: {fitted.reason}")
    if fitted.warning:
        say(f"warning: calibration: {fitted.warning}")
    if (rate := fitted.calibration.ng_rate) is not None:
        say(mix_in_words(rate, line_rate))
    return fitted.calibration


def validate_images(decision: DecisionSettings, images: Sequence[LabeledImage]) -> None:
    """Refuse a rule that these images can never carry, before the training and not after it."""
    parts = {image.part or image.path: image for image in images}
    split = [_of_its_part(image) for image in parts.values() if image.split == decision.split]
    if not split:
        raise UserError(f"decision.split={decision.split}: there is no such split. Set data.test_fraction, or take val")
    ng = [image for image in split if image.label == 1]
    if decision.rule in ("f1", "cost") and len(ng) in (0, len(split)):
        raise UserError(f"decision.rule={decision.rule} needs GO and NG images in {decision.split}")
    if decision.rule == "overkill":
        counted = _unit_of_overkills(decision, [image.group for image in split])
        good = [image for image in split if image.label == 0]
        units = {image.group if counted == "group" else image.content or image.path for image in good}
        if few := few_for_overkill_rate(len(units), decision.overkill_rate, counted, KEY):
            raise UserError(f"decision.rule=overkill: in {decision.split} {few}, or data.val_fraction=0.3")
    if decision.rule != "escape":
        return
    unit = claim_unit([image.group for image in split], decision.unit, decision.largest_group, KEY)  # type: ignore[arg-type]  # checked
    once = {image.content or image.path: image for image in ng}.values()  # a copy proves nothing more
    evidence = ng_evidence(np.ones(len(once)), [image.group for image in once], unit, decision.largest_group, KEY)
    if not evidence.could_hold(decision.escape_rate, decision.confidence):
        raise UserError(
            f"decision.rule=escape: in {decision.split} "
            f"{evidence.too_few(decision.escape_rate, decision.confidence)}. Collect more, or ask for less: "
            "decision.escape_rate=... decision.confidence=..."
        )


def _of_its_part(image: LabeledImage) -> LabeledImage:
    """Return an image as the part that it is of: a copy of one image of a part is no copy of the part."""
    return replace(image, label=image.part_label or 0, sha256="", pixel_sha256="") if image.part else image


def chosen_split(decision: DecisionSettings) -> str | None:
    """Return the split that the rule looks at; None where it looks at none."""
    return None if decision.rule == "fixed" else decision.split.value


def decision_facts(reason: str, split: str | None, line: LineSettings, rule: DecisionSettings | None) -> dict[str, Any]:
    """Return what a checkpoint and `metrics.json` say of how the thresholds were chosen."""
    kept = None if rule is None else to_dict(rule)
    return {"decision": reason, "decision_split": split, "line": asdict(line), "decision_rule": kept}


def rule_of(model: Model, trained: DecisionSettings) -> tuple[DecisionSettings, str]:
    """Return how the thresholds of another model of the same images are chosen as those of this one were.

    Args:
        model: Of a run, with what its checkpoint says.
        trained: The rule of its training.

    Returns:
        The rule, and a sentence where it is known no more, so that the thresholds themselves stay.
    """
    if isinstance(kept := model.metadata.decision_rule, Mapping):
        return DecisionSettings(**kept), ""
    own = model.thresholds
    fixed = replace(
        trained,
        rule=DecisionRule.fixed,
        threshold=own.upper,
        recheck=own.lower if own.has_recheck else None,
        unit=None,
        largest_group=None,
    )
    if trained.rule == "fixed" and assembly.thresholds(trained) == own:
        return fixed, ""
    why = model.metadata.decision or "fixed"
    return fixed, f"the rule of the run's thresholds ({why}) is not kept with it, so they stay: {own.in_words()}"


def model_facts(model: Model) -> dict[str, Any]:
    """Return what `metrics.json` says of the model."""
    return {
        "weights_sha256": model.weights_sha256,
        "seen_complete": model.seen_images.complete,
        "thresholds": [model.thresholds.lower, model.thresholds.upper],
        "calibration": model.calibration.to_dict(),
        "go_class": model.go_class,
        "classes": list(model.classes),
        "outputs": list(model.outputs),
        "backbones": model.metadata.backbones,
    }


def print_decision(chosen: ThresholdChoice, split: str | None) -> None:
    where = f"chosen on {split}: " if split else ""
    say(f"thresholds: {chosen.thresholds.in_words()} ({where}{chosen.reason})")
    if split == "test":
        say("warning: the test split has chosen the thresholds: what is stated on it is too good")
