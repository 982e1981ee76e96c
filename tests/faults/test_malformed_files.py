"""Whatever a file from outside holds: it is read, or refused in words; no other exception, ever."""

import copy
import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import rows_of, write_run
from samples import compose_train

import fancnn
from fancnn import assembly
from fancnn.cli.command import kept_settings, with_earlier_overrides
from fancnn.compare.candidates import read_candidate
from fancnn.data.cache_index import INDEX, IndexEntry, make_index, open_index
from fancnn.data.decoded_cache import read_about
from fancnn.data.labeled_images import copies_across_splits, read_split, split_hash
from fancnn.data.seen_images import SeenImages, content_hashes
from fancnn.decide.decide import rule_of
from fancnn.decisions.calibration import UNCALIBRATED
from fancnn.decisions.growing_table import Look, Looks, read_looks, write_looks
from fancnn.errors import UserError
from fancnn.inference.export_metadata import ExportMetadata
from fancnn.metrics.predictions import read_predictions, validate_each_once, with_truth
from fancnn.metrics.thresholds import Thresholds
from fancnn.report import provenance as origins
from fancnn.report import report_warnings
from fancnn.report.report import NOTHING_SAID, write_report
from fancnn.report.report_data import of_run
from fancnn.runs import checkpoints
from fancnn.runs.known_line import known_line
from fancnn.runs.looks import Ledger, Question
from fancnn.runs.metrics_file import split_metrics
from fancnn.settings.training import TrainSettings
from fancnn.training.checkpointing import AtomicCheckpointIO

EXAMPLES = int(os.environ.get("FANCNN_EXAMPLES", "25"))  # thousands, when a reader has changed
DEEP: Any = "x"
for _ in range(200):
    DEEP = [DEEP]
VALUES = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 2, 99, 2.5, -0.5, 0.5, 1e-300, 1e308, float("nan"), float("inf"), 10**9, 10**30),
        *(
            "",
            "x",
            "1",
            "0.5",
            "nan",
            "\0",
            "\ud800",
            "GO",
            "../../x",
            "=1",
            "x" * 5000,
            "2026-01-01",
            "${oc.env:HOME}",
        ),
        *([], [1], ["x"], [0.9, 0.1], [None, None], {}, {"x": 1}, {"": None}, [[], {}], DEEP, list(range(3000))),
    ]
).map(copy.deepcopy)  # a change to one of them is not for the next example
BYTES = st.sampled_from(
    [
        *(b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xff", b'"', b",", b"\n", b"\r", b"[" * 5000, b"{", b"}", b"NaN"),
        *(
            b"1e400",
            b"-",
            b"9" * 5000,
            b"&a [*a]",
            b"!!python/object:os.system x",
            b"=",
            b"x" * 140_000,
            b"\xe2\x80",
            b":",
        ),
    ]
)


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container inside a tree with each of its keys."""
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from places(tree[key])


@st.composite
def changed_tree(draw: st.DrawFn, tree: Any) -> Any:
    """A copy of a tree with a key deleted or added, or a value in the place of another, once to three times."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(list(places(tree)) or [([None], 0)]))
        if (how := draw(st.integers(0, 4))) == 0:
            del container[key]
        elif how == 1 and isinstance(container, dict):
            container[draw(st.sampled_from(["x", "version", "format", "costs", "", "\0", "k" * 300]))] = draw(VALUES)
        else:
            container[key] = draw(VALUES)
    return tree


@st.composite
def changed_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Content cut, spliced, or with bytes put in or in the place of others."""
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, min(len(content), start + draw(st.sampled_from([0, 1, 30, len(content)])))))
    return content[:start] + draw(BYTES) + content[end:]


@st.composite
def changed_json(draw: st.DrawFn, tree: Any) -> bytes:
    if draw(st.booleans()):
        return draw(changed_bytes(json.dumps(tree).encode()))
    return json.dumps(draw(changed_tree(tree))).encode()


@st.composite
def changed_table(draw: st.DrawFn, content: bytes) -> bytes:
    """A table with another cell, column or row, or other bytes."""
    if draw(st.booleans()):
        return draw(changed_bytes(content))
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    for _ in range(draw(st.integers(1, 3))):
        row = rows[draw(st.integers(0, min(len(rows) - 1, 6)))]
        cell = draw(
            st.sampled_from(
                *[
                    (
                        "",
                        "nan",
                        "inf",
                        "1e400",
                        "-0.1",
                        "0x1",
                        "1_0",
                        "2",
                        "x",
                        "\0",
                        "'=1",
                        "-1",
                        "9" * 5000,
                        "test",
                        "GO",
                    )
                ]
            )
        )
        if row and draw(st.booleans()):
            row[draw(st.integers(0, len(row) - 1))] = cell
        elif draw(st.booleans()):
            row.insert(draw(st.integers(0, len(row))), cell)
        elif row:
            del row[draw(st.integers(0, len(row) - 1))]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows if draw(st.booleans()) else rows[: draw(st.integers(0, 3))])
    return text.getvalue().encode("utf-8", "surrogateescape")


def read_or_refused(use: Callable[[], Any]) -> None:
    """Whatever else is raised fails the test."""
    with suppress(UserError):
        use()


def many(examples: int = EXAMPLES) -> Any:
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, suppress_health_check=quiet)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all tables and texts, of two splits."""
    costs = {"escape": 250.0, "overkill": 2.0, "look": None}
    others = [replace(row, path=f"val/{row.path}") for row in rows_of(12, seed=1, split="val")]
    rows = [*rows_of(12), *others]
    folder = write_run(
        tmp_path_factory.mktemp("malformed") / "run",
        rows,
        line={"ng_rate": 0.02, "parts_per_shift": 4000, "shifts_per_month": None, "costs": costs},
        decision_rule={
            **{"rule": "escape", "split": "val", "threshold": 0.5, "recheck": None, "most_rechecked": 1.0},
            **{"escape_rate": 0.3, "confidence": 0.9, "unit": None, "largest_group": None},
        },
        looks={"number": 2, "models": 1, "last": "2026-11-20", "later": 0, "images": 12, "shared": 12, "earlier": []},
        warnings=["one"],
        seen_complete=True,
    )
    (folder / "skipped.csv").write_text("path,reason,version\nNG/1.png,empty,1\n")
    return folder


def shown(run: Path) -> None:
    """Everything about a run that a report says, but for its figures."""
    material = of_run(run, None, None)
    known_line(NOTHING_SAID, material.known.line)
    list(report_warnings.warnings(material, ()))
    origins.facts(material)
    origins.command(material)
    read_candidate(run, "A", 0.5)


@given(st.data())
@many()
def test_metrics_of_a_run(run: Path, data: st.DataObject) -> None:
    content = (run / "metrics.json").read_bytes()
    try:
        (run / "metrics.json").write_bytes(data.draw(changed_json(json.loads(content))))
        read_or_refused(lambda: shown(run))
    finally:
        (run / "metrics.json").write_bytes(content)


@pytest.mark.parametrize("name", ["predictions.csv", "split.csv", "metrics.csv", "skipped.csv"])
@given(data=st.data())
@many()
def test_tables_of_a_run(run: Path, name: str, data: st.DataObject) -> None:
    content = (run / name).read_bytes()
    try:
        (run / name).write_bytes(data.draw(changed_table(content)))
        read_or_refused(lambda: shown(run))
        if name == "predictions.csv":
            read_or_refused(lambda: scored(run / name))
        if name == "split.csv":
            read_or_refused(lambda: copies_across_splits(read_split(run / name)))
            read_or_refused(lambda: split_hash(read_split(run / name)))
    finally:
        (run / name).write_bytes(content)


def scored(table: Path) -> None:
    rows = read_predictions(table)
    validate_each_once(rows)
    if with_truth(rows):
        split_metrics(rows, Thresholds(0.2, 0.6))
    content_hashes(row.content for row in rows)


@pytest.mark.parametrize("name", ["config.yaml", "overrides.yaml"])
@given(data=st.data())
@many()
def test_configuration_of_a_run(run: Path, name: str, data: st.DataObject) -> None:
    path = run / ".hydra" / name
    content = path.read_bytes()
    try:
        tree = data.draw(changed_tree(yaml.safe_load(content)))
        text = json.dumps(tree).encode() if data.draw(st.booleans()) else data.draw(changed_bytes(content))
        path.write_bytes(text)
        read_or_refused(lambda: shown(run))
        read_or_refused(lambda: with_earlier_overrides([f"ckpt={run}"], "ckpt", "train", TrainSettings))
    finally:
        path.write_bytes(content)


@pytest.mark.slow
@given(data=st.data())
@many(max(EXAMPLES // 40, 3))
def test_a_report_with_its_figures(run: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["metrics.json", "metrics.csv", "predictions.csv"]))
    content = (run / name).read_bytes()
    change = changed_json(json.loads(content)) if name.endswith("json") else changed_table(content)
    try:
        (run / name).write_bytes(data.draw(change))
        read_or_refused(lambda: write_report(run))
    finally:
        (run / name).write_bytes(content)


@given(st.data())
@many()
def test_the_ledger_of_looks(tmp_path: Path, data: st.DataObject) -> None:
    ledger, images = Ledger(tmp_path / "looks"), content_hashes(["00000000000000ff" * 4, "00000000000000fe" * 4])
    shutil.rmtree(ledger.folder, ignore_errors=True)
    ledger.record(Question("train", "a" * 64, "b" * 64), images)
    ledger.record(Question("certify", "a" * 64, "b" * 64, "escape=0.1", 0.05, None), images)
    path = ledger.folder / "looks.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    place = data.draw(st.integers(0, len(lines) - 1))
    lines[place] = data.draw(changed_json(json.loads(lines[place]))) + b"\n"
    path.write_bytes(b"".join(lines))
    read_or_refused(lambda: ledger.known(Question("train", "c" * 64, "d" * 64), images))
    read_or_refused(lambda: ledger.record(Question("certify", "c" * 64, "d" * 64, "escape=0.1", 0.05), images))


@given(st.data())
@many()
def test_looks_at_a_certificate(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.looks.json"
    look = Look("2026-01-02", 30, 0, 5, 0, 0.01, 0.2, False)
    write_looks(path, Looks("a", (0.5, 0.5), 0.95, "part", (look,), ("chip",), ("0" * 24,), ()))
    path.write_bytes(data.draw(changed_json(json.loads(path.read_bytes()))))
    read_or_refused(lambda: read_looks(path))


def facts() -> Mapping[str, Any]:
    line = {"ng_rate": 0.1, "parts_per_shift": None, "shifts_per_month": None}
    whole = ExportMetadata(
        classes=["GO", "NG"],
        go_class="GO",
        outputs=["GO", "chip", "dent"],
        thresholds=(0.2, 0.7),
        preprocess={"image_size": [8, 8], "resize": "pad", "background": "white", "mean": [0.0] * 3, "std": [1.0] * 3},
        calibration=UNCALIBRATED.to_dict(),
        weights_sha256="a",
        checkpoint_sha256="b",
        split_sha256=None,
        versions={"fancnn": "9.9"},
        seen=SeenImages().to_dict(),
        line={**line, "costs": {"escape": 1.0, "overkill": 2.0, "look": None}},
        sealed=True,
    )
    found: Mapping[str, Any] = json.loads(whole.as_text())
    return found


@given(st.data())
@many()
def test_what_an_exported_file_says_of_itself(data: st.DataObject) -> None:
    text = data.draw(changed_json(facts())).decode("utf-8", "surrogateescape")

    def use() -> None:
        found = ExportMetadata.from_text(text, "x.onnx", sealed=True)
        assert found.types is not None
        assert found.seen_images is not None
        assert Thresholds(*found.thresholds).in_words()
        assert not [rate for rate in (found.line_ng_rate, found.calibration_ng_rate) if rate and not 0 < rate < 1]

    read_or_refused(use)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a checkpoint holds, of a network that has not been trained."""
    folder = tmp_path_factory.mktemp("checkpoint")
    settings = compose_train(folder, "model=tiny", "data.image_size=[16,16]", f"data.root={folder}")
    model = assembly.model(settings, ("GO", "NG"))
    line = {"ng_rate": 0.1, "parts_per_shift": 10, "shifts_per_month": None}
    about = checkpoints.describe(settings, model, folder, "cafe").to_dict() | {
        **{"epoch": 1, "decision": "fixed", "decision_split": None},
        "line": {**line, "costs": {"escape": 1.0, "overkill": 2.0, "look": None}},
        "decision_rule": settings.decision.__dict__,
    }
    weights = {f"model.{name}": value for name, value in model.state_dict().items()}
    AtomicCheckpointIO().save_checkpoint({"state_dict": weights, "fancnn": about}, folder / "a.ckpt")
    found: dict[str, Any] = torch.load(folder / "a.ckpt", weights_only=True)
    found["fancnn"] = json.loads(json.dumps(found["fancnn"]))  # lists for tuples
    return found


@given(st.data())
@many()
def test_what_a_checkpoint_says_of_itself(checkpoint: dict[str, Any], tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.ckpt"
    weights = dict(checkpoint["state_dict"])
    if data.draw(st.integers(0, 9)) == 0:
        name = data.draw(st.sampled_from(sorted(weights)))
        other = (torch.zeros(1).expand(10**9), torch.zeros(3).to_sparse(), "x", None, torch.zeros(2, 2).half())
        weights[name] = data.draw(st.sampled_from(other))
    torch.save({"state_dict": weights, "fancnn": data.draw(changed_tree(checkpoint["fancnn"]))}, path)

    def use() -> None:
        model = fancnn.load(path)
        known_line(NOTHING_SAID, model.metadata.known_line)
        kept = kept_settings(model.metadata.settings, TrainSettings, str(path))
        rule_of(model, kept.decision)

    read_or_refused(use)


@given(st.data())
@many()
def test_bytes_of_a_checkpoint(checkpoint: dict[str, Any], tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    path.write_bytes(data.draw(changed_bytes(path.read_bytes())))
    read_or_refused(lambda: fancnn.load(path))


@given(st.data())
@many()
def test_a_folder_of_decoded_images(tmp_path: Path, data: st.DataObject) -> None:
    make_index(tmp_path)
    with open_index(tmp_path) as index:
        hashes = (bytes(range(32)), b"p" * 32)
        index.write(
            [IndexEntry("GO/1.png", "10 20 30 40", *hashes, 0, ""), IndexEntry("2.png", "", b"", b"", -1, "empty")]
        )
    about = {"format": "fancnn-decoded", "version": 3, "root": "/x", "image_size": [8, 8], "resize": "pad"}
    (tmp_path / INDEX).write_bytes(data.draw(changed_bytes((tmp_path / INDEX).read_bytes())))
    (tmp_path / "about.json").write_bytes(data.draw(changed_json({**about, "background": "white"})))

    def use() -> None:
        with open_index(tmp_path) as index:
            entries = list(index)
            assert [index.find(entry.path) for entry in entries] == entries
            assert [len(entry.sha256) for entry in entries if entry.row >= 0] == [32] * len(index.rows())

    read_or_refused(use)
    read_or_refused(lambda: read_about(tmp_path))
