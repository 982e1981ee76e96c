"""How a model came to be: its command, what matters of its configuration, versions and hashes."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from fancnn.decisions.backbone import Backbone
from fancnn.decisions.calibration import Calibration
from fancnn.decisions.model_metadata import ABSENT
from fancnn.pages.formatting import percent
from fancnn.report.report_data import ReportData, setting

KEYS = (
    ("Images", "data.root"),
    ("Good class", "data.go_class"),
    ("Split", "data.split_method"),
    ("Validation share", "data.val_fraction"),
    ("Test share", "data.test_fraction"),
    ("Image size", "data.image_size"),
    ("Resize", "data.resize"),
    ("Network", "model.network._target_"),
    ("Filters", "model.network.filters"),
    ("Loss", "model.loss._target_"),
    ("Optimiser", "model.optimizer._target_"),
    ("Learning rate", "model.optimizer.lr"),
    ("Its decay by layer", "model.optimizer.layer_decay"),
    ("Batch size", "data.batch_size"),
    ("Epochs at most", "trainer.max_epochs"),
    ("Precision", "trainer.precision"),
    ("Seed", "seed"),
)


def command(material: ReportData) -> str:
    """Return the command line of the training; empty where it is not known."""
    return shlex.join(["python", "-m", "fancnn.train", *material.overrides]) if material.settings else ""


def facts(material: ReportData) -> list[tuple[str, str]]:
    """Return the names and values, the chosen epoch first, hashes last."""
    return [(name, value) for name, value in _facts(material) if value not in ("", "None")]


def _facts(material: ReportData) -> Iterator[tuple[str, str]]:
    known = material.known
    if known.epoch:
        trained = known.epochs or len(material.history)
        of = f" of {trained}" if trained else ""
        yield "Epoch", f"{known.epoch}{of}, chosen by {known.monitor}"
    why = known.decision if material.own_thresholds else "given for this report" if material.metrics else ""
    yield "Decision", material.thresholds.in_words() + (f": {why}" if why else "")
    yield "Calibration", _calibration(known.calibration)
    for name, key in KEYS:
        yield name, _shown(setting(material, key))
    for plain in known.backbones or ():
        yield "Weights began as", Backbone(**plain).in_words()
    yield "Threshold rule", _rule(material)
    yield "Versions", ", ".join(f"{name} {version}" for name, version in known.versions.items())
    yield "Looks", material.looks.in_words() if material.looks else ""
    yield "Split (SHA-256)", known.split_sha256 or ""
    yield "Folder" if material.metrics else "Table", str(material.place)


def _rule(material: ReportData) -> str:
    """Return which rule chose the thresholds that the report is about; empty where none did."""
    if not material.own_thresholds:
        return ""
    if (rule := material.known.decision_rule) is not ABSENT:
        return str(rule["rule"]) if isinstance(rule, Mapping) else ""
    return _shown(setting(material, "decision.rule"))


def _calibration(plain: Mapping[str, Any] | None) -> str:
    if not plain:
        return ""
    known = Calibration.from_dict(plain)
    mix = "" if known.ng_rate is None else f", for parts of which {percent(known.ng_rate)} are NG"
    return f"{known.in_words()}{mix}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " x ".join(map(str, value))
    return str(value).removeprefix("fancnn.networks.").removeprefix("torch.optim.").removeprefix("torch.nn.")
