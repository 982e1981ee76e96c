"""The story of `python -m fancnn.predict`: decisions on new images, in a table."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Protocol, TextIO

from fancnn.data.path_names import names_in_paths
from fancnn.data.seen_images import SeenImages
from fancnn.errors import NOT_FINITE, UserError
from fancnn.files.run import Run
from fancnn.images.image_files import MOST_FILES, iter_image_files, matching_image_files
from fancnn.images.image_gate import ImageGate
from fancnn.metrics.parts import parts_in_words, uneven_parts
from fancnn.metrics.predictions import FileScore, Prediction, TypeGuess, prediction_writer, with_part_decisions
from fancnn.metrics.prior_shift import at_prior, mix_in_words
from fancnn.metrics.thresholds import DECISIONS, Decision, Thresholds
from fancnn.plurals import agreeing, plural
from fancnn.predict.drawn_images import DrawnImages
from fancnn.predict.settings import PredictSettings
from fancnn.system.console import say, track
from fancnn.system.memory import keep_freed_memory

LONGEST_PATH = 8192  # characters of a line on standard input; Linux itself takes 4,096 bytes


class Inspector(Protocol):
    """What decides on files: a run's model, or an exported file."""

    gate: ImageGate
    thresholds: Thresholds
    seen_images: SeenImages

    @property
    def weights_sha256(self) -> str: ...

    @property
    def has_types(self) -> bool: ...

    @property
    def has_cells(self) -> bool: ...

    @property
    def mm_per_pixel(self) -> float | None: ...

    @property
    def part(self) -> str | None: ...

    @property
    def part_images(self) -> int | None: ...

    @property
    def calibration_ng_rate(self) -> float | None: ...

    @property
    def line_ng_rate(self) -> float | None: ...

    def score_files(self, paths: Iterable[Path]) -> Iterator[FileScore]: ...


@dataclass
class Counts:
    """How the decisions fell."""

    decided: Counter[Decision] = field(default_factory=Counter)
    unread: int = 0
    not_finite: int = 0  # read, and the network's output was NaN or infinite: there is no decision
    types: Counter[str] = field(default_factory=Counter)  # of NG; empty where the model has none
    parts: Counter[str] = field(default_factory=Counter)  # by decision, empty for none; where there are parts


def predict(settings: PredictSettings) -> Counts:
    """Score every image that `settings.input` means; the table appears when all are done.

    Raises:
        UserError: If the run, the exported file or the input cannot be found, the input holds no images, the table
            would take the place of one that a run keeps, or boxes are asked of a model without cells.
    """
    settings.validate_paths()
    if settings.file is None:  # a runtime has its own memory; what large images leave goes back to the system
        keep_freed_memory()
    counts, output = Counts(), Path(settings.output).expanduser()
    if output.is_file() and Run(output.parent).checkpoints.is_dir():
        raise UserError(f"output={settings.output} is a table that the run there keeps: name another file")
    model = _inspector(settings)
    rates = _rates(model, settings.line.ng_rate)
    _validate_cells(settings, model)
    scale = settings.mm_per_pixel or model.mm_per_pixel if model.has_cells else None
    paths, weights = input_files(settings.input), model.weights_sha256
    paths, parts = _by_part(paths, settings, model)
    expected = model.part_images if settings.part is None else None
    drawn = DrawnImages(settings.drawn, paths, model.gate) if settings.drawn else None
    columns = {"types": model.has_types, "regions": model.has_cells, "mm": scale is not None}
    with prediction_writer(output, **columns, line=rates is not None, parts=bool(parts)) as add:
        scores = track(model.score_files(iter(paths)), "deciding", len(paths))
        rows = (
            replace(_counted(model, score, counts, rates), weights_sha256=weights, mm_per_pixel=scale, part=part)
            for score, part in zip(scores, parts or [""] * len(paths), strict=True)
        )
        for part, images in groupby(rows, key=lambda row: row.part):
            for row in with_part_decisions(images, expected) if part else images:  # in memory are the rows of one part
                add(row)
                if drawn is not None and row.regions:
                    drawn.add(Path(row.path), row.regions, scale)
            if part:
                counts.parts[row.part_decision] += 1
    possible = [name for name in DECISIONS if name != "RECHECK" or model.thresholds.has_recheck]
    decided = ", ".join(f"{counts.decided[name]} {name}" for name in possible)
    undecided = f", {counts.not_finite} have no decision" if counts.not_finite else ""
    say(f"{plural(len(paths), 'file')}: {decided}, {counts.unread} could not be read{undecided}")
    if counts.not_finite:
        say(
            f"warning: {NOT_FINITE} for {plural(counts.not_finite, 'file')}, though they could be read; their "
            "rows say so. The "
            "model's weights or its file are damaged: train it or export it again"
        )
    if parts:
        named = ", ".join(f"{counts.parts[name]} {name}" for name in possible)
        none = f", {counts.parts['']} have no decision" if counts.parts[""] else ""
        say(f"{parts_in_words(parts)}: {named}{none} (part_decision)")
        if expected is not None and (fewer := [part for part, size in Counter(parts).items() if size < expected]):
            say(
                f"warning: {plural(len(fewer), 'part')} {agreeing(len(fewer), 'has')} fewer images than the {expected} "
                f"of each part in training, e.g. {fewer[0]}: NG, or no decision, since the defect may be on another"
            )
        elif uneven := uneven_parts(parts):
            say(f"warning: {uneven}")
    if counts.types:
        say("NG by likeliest type: " + ", ".join(f"{count} {name}" for name, count in counts.types.most_common()))
    if rates is not None:
        say(f"{mix_in_words(*rates)} (line_probability)")
    if drawn is not None:
        say(f"drawn: {plural(drawn.count, 'image')} with boxes in {drawn.folder}")
    say(f"predictions: {output}")
    return counts


def _by_part(paths: Sequence[Path], settings: PredictSettings, model: Inspector) -> tuple[list[Path], list[str]]:
    """Return the files, those of a part one after the other, and the part of each; no names where there are no parts.

    Names are looked for in paths below the input, or below the folder that holds all its files.

    Raises:
        UserError: If the expression names no part for one of them.
    """
    pattern = model.part if settings.part is None else settings.part
    if pattern is None:
        return list(paths), []
    if model.part is None:
        say(
            "note: the model's thresholds and its P(NG) are of single images. Of several images of a part the worst "
            "decides, which rejects more parts than was stated; train with data.part for thresholds of parts"
        )
    folder = Path(settings.input).expanduser().absolute()
    if not folder.is_dir():
        folder = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    relative = [path.absolute().relative_to(folder).as_posix() for path in paths]
    names = names_in_paths(relative, pattern, "part")
    first = {name: place for place, name in reversed(list(enumerate(names)))}
    order = sorted(range(len(paths)), key=lambda place: first[names[place]])
    return [paths[place] for place in order], [names[place] for place in order]


def _validate_cells(settings: PredictSettings, model: Inspector) -> None:
    """Refuse to say where a defect is, or how large, for a model that does not know."""
    for key, value in (("drawn", settings.drawn), ("mm_per_pixel", settings.mm_per_pixel)):
        if value is not None and not model.has_cells:
            raise UserError(
                f"{key}={value}: the model does not say where a defect is. Leave it out, or train one whose network "
                "judges by cells: experiment=patches"
            )


def _rates(model: Inspector, line_rate: float | None) -> tuple[float, float] | None:
    """Return the share of NG in the mix that P(NG) is for, and on the line; None where one is not known.

    Raises:
        UserError: If the line's is given and the other is not known.
    """
    line, own = line_rate or model.line_ng_rate, model.calibration_ng_rate
    if line_rate is not None and own is None:
        raise UserError(
            f"line.ng_rate={line_rate}: the model does not know for which share of NG its P(NG) is, so that it says "
            "nothing of the line. Models that this version of fancnn has calibrated know it: train again, with another "
            "calibration than none, or leave line.ng_rate out"
        )
    return None if line is None or own is None else (own, line)


def _inspector(settings: PredictSettings) -> Inspector:
    """Return the run's model or the exported file; for the latter torch is not imported, and need not be there."""
    if settings.file is not None:
        from fancnn.inference.exported_model import ExportedModel

        if settings.device not in ("auto", "cpu"):
            raise UserError(
                f"device={settings.device}: an exported file runs on the CPU. Leave device out, or say run="
            )
        return ExportedModel(settings.file, image_limits=settings.image_limits)
    from fancnn.runs import checkpoints
    from fancnn.system.devices import chosen_device

    assert settings.run is not None
    return checkpoints.load(settings.run, chosen_device(settings.device), image_limits=settings.image_limits)


def input_files(wanted: str) -> list[Path]:
    """Return the files that `input` means, in a stable order.

    A file is itself, whatever its suffix; a folder gives the images in it and below, hidden ones left out; a
    pattern gives what it matches; `-` reads one path a line from standard input, in that order. A folder that cannot be
    looked into is one of them: to read it gives the reason.

    Raises:
        UserError: If nothing is there, or more than anybody has.
    """
    if wanted == "-":
        return _listed_paths(sys.stdin)
    path = Path(wanted).expanduser()
    if os.path.lexists(path) and not path.is_dir():  # whatever it is: who reads it says what is wrong with it
        return [path]
    if path.is_dir():
        images = sorted(path / image for image in iter_image_files(path))
        if not images:
            raise UserError(f"input={wanted} holds no images. Expected files such as .jpg, .png, .bmp, .tif or .webp")
        return images
    files = matching_image_files(path)
    if not files:
        raise UserError(f"input={wanted} is no file, no folder, and matches no images as a pattern")
    return files


def _listed_paths(lines: TextIO) -> list[Path]:
    """Return one path a line, as far as that is a list of files.

    Raises:
        UserError: If it is none, or has no end.
    """
    listed: list[Path] = []
    while line := lines.readline(LONGEST_PATH + 1):
        if len(line) > LONGEST_PATH or len(listed) >= MOST_FILES:
            raise UserError(
                f"input=- expects one path a line on standard input, at most {MOST_FILES:,} of at most "
                f"{LONGEST_PATH:,} characters; got more"
            )
        if line.strip():
            listed.append(Path(line.rstrip("\r\n")))
    if not listed:
        raise UserError("input=- expects one path a line on standard input; none came")
    return listed


def _counted(model: Inspector, score: FileScore, counts: Counts, rates: tuple[float, float] | None) -> Prediction:
    if score.probability is None:
        if score.not_finite:
            counts.not_finite += 1
        else:
            counts.unread += 1
        return Prediction(str(score.path), None, error=score.error, sha256=score.sha256)
    decision = model.thresholds.decide(score.probability)
    counts.decided[decision] += 1
    guess = TypeGuess() if decision == "GO" else score.guess
    counts.types.update([guess.name] if decision == "NG" and guess.name else [])
    return Prediction(
        path=str(score.path),
        probability=score.probability,
        decision=decision,
        found_type=guess.name,
        type_share=guess.share,
        sha256=score.sha256,
        pixel_sha256=score.pixel_sha256,
        seen=model.seen_images.column([score])[0],
        line_probability=None if rates is None else float(at_prior(score.probability, *rates)),
        regions=score.regions,
    )
