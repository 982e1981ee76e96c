"""Where thresholds and calibration come from: at the end of training, and in `python -m fancnn.decide`."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fancnn import assembly, checkpoints
from fancnn.console import say
from fancnn.errors import UserError
from fancnn.group_settings import CostSettings, DecisionSettings, LineSettings
from fancnn.inspection.calibration import Calibration, fit
from fancnn.inspection.decisions import Thresholds
from fancnn.inspection.intervals import parts_needed
from fancnn.inspection.metrics_file import DECIDING, part_metrics, read_metrics, write_metrics
from fancnn.inspection.predictions import columns, read_predictions, write_predictions
from fancnn.inspection.prior_shift import mix_in_words
from fancnn.inspection.thresholds import Chosen, best_f1, few_escapes, least_cost
from fancnn.learning.checkpointing import BEST
from fancnn.limits import check_decision
from fancnn.model import Model
from fancnn.pictures import Picture
from fancnn.settings import DecideSettings
from fancnn.workflows.lines import costs_of, known_line, line_of
from fancnn.workflows.scoring import tell_scores

NO_LINE = LineSettings(None, None, None, CostSettings(None, None, None))


def decide(settings: DecideSettings) -> Thresholds:
    """Choose the thresholds of a finished run anew, from its own predictions, and keep them in it.

    The best checkpoint, `predictions.csv` and `metrics.json` change together with them.

    Raises:
        UserError: If the run has no predictions of the part, or they cannot carry the rule.
    """
    run = Path(settings.run).expanduser()
    line = known_line(settings.line, read_metrics(run / "metrics.json", deciding=True)["line"])
    check_decision(settings.decision, line)
    rows = read_predictions(run / "predictions.csv")
    part = [row for row in rows if row.split == settings.decision.part]
    if not part:
        present = ", ".join(sorted({row.split for row in rows}))
        raise UserError(f"decision.part={settings.decision.part}: the run has predictions of {present} alone")
    chosen = choose(settings.decision, line, *columns(part))
    tell_decision(chosen, chosen_part(settings.decision))
    checkpoint = keep(run, chosen, chosen_part(settings.decision), line, settings.decision)
    say(f"\nkept in {checkpoint}; predictions.csv and metrics.json of the run follow")
    return chosen.thresholds


def keep(
    run: Path,
    chosen: Chosen,
    part: str | None,
    line: LineSettings | None = None,
    rule: DecisionSettings | None = None,
) -> Path:
    """Put thresholds into a run: its best checkpoint, its predictions and its metrics; tell what they come to.

    Args:
        run: A run folder.
        chosen: The thresholds and why.
        part: They were chosen on.
        line: As it is known now; None leaves it as it was.
        rule: That chose them; None where no rule did that could choose again.

    Returns:
        The checkpoint.
    """
    checkpoint, about = checkpoints.find(run, (BEST,)), read_metrics(run / "metrics.json", deciding=True)
    model = checkpoints.load(checkpoint, deciding=True)
    model.thresholds = chosen.thresholds
    known = line or known_line(NO_LINE, about["line"])
    facts = decision_facts(chosen.reason, part, known, rule)
    (run / DECIDING).touch()  # three files change; whoever finds one changed and another not should not go on
    checkpoints.store_decision(checkpoint, model, facts)
    rows = [
        row if row.probability is None else replace(row, decision=chosen.thresholds.decide(row.probability))
        for row in read_predictions(run / "predictions.csv")
    ]
    write_predictions(rows, run / "predictions.csv")
    names = list(about.pop("parts"))
    parts = {
        name: part_metrics(
            [row for row in rows if row.split == name], model.thresholds, *line_of(known), searched=name == part
        )
        for name in names
    }
    write_metrics(run / "metrics.json", parts, {**about, **model_facts(model), **facts})
    (run / DECIDING).unlink()
    tell_scores("with these thresholds", parts)
    return checkpoint


def choose(decision: DecisionSettings, line: LineSettings, labels: ArrayLike, probabilities: ArrayLike) -> Chosen:
    """The thresholds by the rule of the configuration.

    Raises:
        UserError: If the pictures cannot carry the rule.
    """
    if decision.rule == "f1":
        return best_f1(labels, probabilities)
    if decision.rule == "cost":
        assert line.ng_rate is not None  # `limits` has checked
        costs = costs_of(line)
        assert costs is not None
        return least_cost(labels, probabilities, costs, line.ng_rate, decision.most_rechecked)
    if decision.rule == "escape":
        scores = np.asarray(probabilities)[np.asarray(labels) == 1]
        return few_escapes(scores, decision.escape_rate, decision.confidence)
    return Chosen(assembly.thresholds(decision), "fixed")


def fitted_calibration(
    method: str, logits: ArrayLike, labels: ArrayLike, line_rate: float | None = None
) -> Calibration:
    """Fit a calibration on validation; say what was chosen and why, and which mix of parts P(NG) is for.

    Args:
        method: A choice of `calibration` in the configuration.
        logits: `(images,)`, of NG.
        labels: `(images,)`, 0 GO and 1 NG.
        line_rate: Share of NG among the line's parts, where it is known.
    """
    fitted = fit(method, logits, labels)  # type: ignore[arg-type]  # limits have checked it
    if fitted.reason:
        say(f"calibration: {fitted.reason}")
    if fitted.warning:
        say(f"warning: calibration: {fitted.warning}")
    if (rate := fitted.calibration.ng_rate) is not None:
        say(mix_in_words(rate, line_rate))
    return fitted.calibration


def check_pictures(decision: DecisionSettings, pictures: Sequence[Picture]) -> None:
    """Refuse a rule that these pictures can never carry, before the training and not after it."""
    part = [picture for picture in pictures if picture.split == decision.part]
    if not part:
        raise UserError(f"decision.part={decision.part}: there is no such part. Set data.test_fraction, or take val")
    ng, needed = sum(picture.label for picture in part), parts_needed(decision.escape_rate, decision.confidence)
    if decision.rule == "escape" and ng < needed:
        raise UserError(
            f"decision.rule=escape: {ng} NG pictures in {decision.part} cannot prove an escape rate of "
            f"{decision.escape_rate} at {decision.confidence} confidence; {needed:,} are needed. Collect more, or ask "
            "for less: decision.escape_rate=... decision.confidence=..."
        )
    if decision.rule in ("f1", "cost") and ng in (0, len(part)):
        raise UserError(f"decision.rule={decision.rule} needs GO and NG pictures in {decision.part}")


def chosen_part(decision: DecisionSettings) -> str | None:
    """The part that the rule looks at; None where it looks at none."""
    return None if decision.rule == "fixed" else decision.part


def decision_facts(reason: str, part: str | None, line: LineSettings, rule: DecisionSettings | None) -> dict[str, Any]:
    """What a checkpoint and `metrics.json` say of how the thresholds were chosen."""
    kept = None if rule is None else asdict(rule)
    return {"decision": reason, "decision_part": part, "line": asdict(line), "decision_rule": kept}


def rule_of(model: Model, trained: DecisionSettings) -> tuple[DecisionSettings, str]:
    """How the thresholds of another model of the same pictures are chosen as those of this one were.

    Args:
        model: Of a run, with what its checkpoint says.
        trained: The rule of its training.

    Returns:
        The rule, and a sentence where it is known no more, so that the thresholds themselves stay.
    """
    if (kept := model.about.get("decision_rule")) is not None:
        return DecisionSettings(**kept), ""
    own = model.thresholds
    fixed = replace(trained, rule="fixed", threshold=own.upper, recheck=own.lower if own.has_recheck else None)
    if trained.rule == "fixed" and assembly.thresholds(trained) == own:
        return fixed, ""
    why = model.about.get("decision") or "fixed"
    return fixed, f"the rule of the run's thresholds ({why}) is not kept with it, so they stay: {own.in_words()}"


def model_facts(model: Model) -> dict[str, Any]:
    """What `metrics.json` says of the model."""
    return {
        "thresholds": [model.thresholds.lower, model.thresholds.upper],
        "calibration": model.calibration.as_plain(),
        "go_class": model.go_class,
        "classes": list(model.classes),
        "outputs": list(model.outputs),
    }


def tell_decision(chosen: Chosen, part: str | None) -> None:
    where = f"chosen on {part}: " if part else ""
    say(f"thresholds: {chosen.thresholds.in_words()} ({where}{chosen.reason})")
    if part == "test":
        say("warning: the test part has chosen the thresholds: what is stated on it is too good")
