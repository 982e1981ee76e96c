"""How often which images were looked at: a ledger that belongs to the images and not to a run.

A look is a scoring of test images by a model, by whatever command. Whoever looks at many models on the same images and
keeps the best has let the images choose; what these images then show of that model is too good. The ledger is
what a later claim has to know to be honest. It lies in the user's cache folder, in `looks/`, beside what can be made
again; it cannot be made again, and no command removes it.

| file | content |
| --- | --- |
| `looks.jsonl` | a header `{"format": "fancnn-looks", "version": 1}`, then a look a line, only ever added |
| `images/<hash>.bin` | each set of images once: the first eight bytes of each image's hash, ascending, big-endian |
| `lock` | held by the one process that writes |

A look, version 1:

| key | meaning |
| --- | --- |
| time | UTC, as `2026-11-20T14:03:07Z` |
| command | that looked, such as `train` |
| model | SHA-256 of its weights; of its probabilities where only these are known |
| scores | SHA-256 of images and probabilities: the same model by its results |
| claim | what was asked of the model, in words that are the same for the same claim; null where it was only scored |
| alpha | of a certificate: 1 - confidence, asked for over all looks; else null |
| planned | of a certificate: how many looks were planned; null where it is spent over any number |
| growing | whether the claim allows for images that are added while it is asked again |
| number | of the look, as it was counted at the time |
| images | SHA-256 of the set's file |
| count | how many images are in the set |

An image is known by its `content` (decoded pixels, else bytes), so that a copy under another name is the same image.

How looks are counted. Two looks concern the same images if their sets share any. The questions asked of these images
are numbered in the order in which they were first asked, and a question is a model, or a further claim on a model:

- A model that is scored, or asked something, for the first time takes the next number.
- Its first claim is asked under that number. Each further claim takes the next one.
- The same model scored again, or the same claim asked again on exactly the same images, keeps its number: nothing new
  can be learnt. On a set that has grown or shrunk the same claim is another question: whoever collects until it is
  granted, or leaves out what refused it, asks again each time. Claims that allow for that themselves (`growing`) keep
  their number.

A line that a kill cut short is passed over; anything else that is not as above is damage, and an error.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from fancnn.data.seen_images import Hashes
from fancnn.errors import UserError
from fancnn.files.atomic_files import make_folder, sync_file, sync_folder, write_atomically
from fancnn.files.json_files import parsed_json, version_of
from fancnn.files.plain_data import Kind, Mismatch, number_between, optional, record, text, truth, whole
from fancnn.files.regular_files import read_regular
from fancnn.plurals import plural
from fancnn.system.cache_folder import cache_folder

FORMAT, VERSION = "fancnn-looks", 1
FILE, IMAGES, LOCK = "looks.jsonl", "images", "lock"
MOST_BYTES = 2**30  # of the ledger, and of a set of images: 2 million looks, 100 million images
LISTED = 50  # earlier looks in `metrics.json`; the ledger has all
SHOWN = 12  # digits of a model's hash


@dataclass(frozen=True)
class Question:
    """What is asked of images: fields as the keys of a look."""

    command: str
    model: str
    scores: str
    claim: str | None = None
    alpha: float | None = None
    planned: int | None = None
    growing: bool = False


@dataclass(frozen=True)
class Look:
    """A line of the ledger: a question, and the other keys of the table above."""

    question: Question
    time: str
    number: int
    images: str
    count: int


@dataclass(frozen=True)
class Looks:
    """What is known of the looks at some images, for one of them.

    Attributes:
        number: Of this look, from 1.
        models: How many models were asked the questions before it.
        last: When the last of these was asked, a date; empty if there was none.
        later: How many other questions were asked since this one was first.
        images: How many images it is at.
        shared: How many of those others looked at, too.
        others: The looks of all other questions, the earliest first.
        certificate: The first certificate at these images, which fixed the plan; None if there was none.
        again: Whether the same was asked before, so that nothing new is learnt.
    """

    number: int
    models: int
    last: str
    later: int
    images: int
    shared: int
    others: tuple[Look, ...] = ()
    certificate: Look | None = None
    again: bool = False

    @property
    def before(self) -> int:
        """Return how many questions were asked before."""
        return self.number - 1

    @property
    def alone(self) -> bool:
        """Return whether no other question was ever asked of these images."""
        return self.before == 0 and self.later == 0

    def in_words(self) -> str:
        """Return the sentence for a person, without an end.

        Example:
            >>> Looks(7, 5, "2026-11-20", 0, 60, 60).in_words()
            'look 7 at these images (6 before: 5 models, the last on 2026-11-20)'
            >>> Looks(1, 0, "", 10, 60, 60).in_words()
            'look 1 of 11 at these images (10 others since)'
            >>> Looks(1, 0, "", 0, 60, 0).in_words()
            'look 1 at these images'
        """
        notes = []
        if self.before:
            notes.append(f"{self.before} before: {plural(self.models, 'model')}, the last on {self.last}")
        if self.later:
            notes.append(f"{plural(self.later, 'other')} since")
        if not self.alone and self.shared < self.images:
            notes.append(f"they share {self.shared:,} of the {self.images:,} images")
        of = f" of {self.number + self.later}" if self.later else ""
        return f"look {self.number}{of} at these images" + (f" ({'; '.join(notes)})" if notes else "")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for `metrics.json` (see `fancnn.runs.metrics_file`)."""
        names = ("number", "before", "models", "last", "later", "images", "shared")
        return {
            **{name: getattr(self, name) for name in names},
            "others": len(self.others),
            "earlier": [
                {
                    "time": look.time,
                    "command": look.question.command,
                    "model": look.question.model[:SHOWN],
                    "claim": look.question.claim,
                }
                for look in self.others[-LISTED:]
            ],
        }

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> "Looks":
        """Return what `to_dict` described, without the list of the others."""
        return Looks(*(plain[name] for name in ("number", "models", "last", "later", "images", "shared")))


NOT_KNOWN = "how often these images were looked at is not known"


def scores_hash(scores: Iterable[tuple[str, float]]) -> str:
    """Return the SHA-256 of images and the probabilities that a model gave them, in any order.

    Args:
        scores: What names an image, and P(NG).

    Example:
        >>> scores_hash([("a", 0.5), ("b", 0.25)]) == scores_hash([("b", 0.25), ("a", 0.5)])
        True
    """
    lines = sorted(f"{image}\t{float(probability)!r}" for image, probability in scores)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


class Ledger:
    """The ledger in a folder; made when the first look is written.

    Args:
        folder: None takes `looks` in the user's cache folder.

    Every method raises `UserError` if the ledger is damaged, of a newer version or, with a look to be added, cannot be
    written to the end; and `OSError` if it cannot be read, or its folder is none to write in.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder() / "looks"

    def record(self, question: Question, images: Hashes) -> Looks:
        """Add a look and return what number it is."""
        with self.asking(question, images) as looks:
            return looks

    @contextmanager
    def asking(self, question: Question, images: Hashes) -> Iterator[Looks]:
        """Give the number of a look before the answer is known, and add it once the answer is there.

        No other process can take the number in between. Where the block raises, nothing was learnt and none is added.

        Args:
            question: What is asked.
            images: Hashes of the images, `(n,)`, as `fancnn.data.seen_images.content_hashes` gives them.
        """
        make_folder(self.folder)
        with FileLock(self.folder / LOCK):
            looks = self.known(question, images)
            yield looks
            try:
                self._append(question, looks.number, images)
            except OSError as error:
                raise UserError(f"cannot write {self.folder / FILE}: {error.strerror or error}") from error

    def known(self, question: Question, images: Hashes) -> Looks:
        """Return what number a look has or would have, without adding it."""
        kept = _set_hash(images)
        at, seen = self._at(images)
        places = _numbered([*((look.question, look.images) for look in at), (question, kept)])
        own = places[-1].number
        earlier = [place for place in places if place.number < own]
        others = tuple(look for look, place in zip(at, places, strict=False) if place.number != own)
        elsewhere = [seen[name] for name in {look.images for look in others}]
        return Looks(
            number=own,
            models=len({place.model for place in earlier}),
            last=max((look.time for look, place in zip(at, places, strict=False) if place.number < own), default="")[
                :10
            ],
            later=max(place.number for place in places) - own,
            images=len(images),
            shared=int(np.isin(images, np.concatenate([images[:0], *elsewhere])).sum()),
            others=others,
            certificate=next((look for look in at if look.question.alpha is not None), None),
            again=any(place.number == own for place in places[:-1]),
        )

    def looks(self) -> list[Look]:
        """Return all looks, the earliest first."""
        try:
            content = read_regular(self.folder / FILE, MOST_BYTES)
        except FileNotFoundError:
            return []
        lines = content[: content.rfind(b"\n") + 1].splitlines()  # what comes after it was cut short
        if not lines:
            return []
        header = self._parsed(lines[0], 1)
        if header.get("format") != FORMAT:
            raise self._damaged(1)
        version_of(header, VERSION, str(self.folder / FILE))
        return [self._look(self._parsed(line, place), place) for place, line in enumerate(lines[1:], start=2)]

    def _at(self, images: Hashes) -> tuple[list[Look], dict[str, Hashes]]:
        """Return the looks at images of which any is among `images`, and the sets that these are at."""
        looks = self.looks()
        sets = {name: self._images(name) for name in {look.images for look in looks}}
        meeting = {name for name, members in sets.items() if np.isin(images, members, assume_unique=True).any()}
        return [look for look in looks if look.images in meeting], sets

    def _images(self, name: str) -> Hashes:
        path = self.folder / IMAGES / f"{name}.bin"
        try:
            content = read_regular(path, MOST_BYTES)
        except FileNotFoundError:
            content = b""
        if hashlib.sha256(content).hexdigest() != name or len(content) % 8:
            raise UserError(f"{path} is missing or damaged: {_WAY_OUT}")
        return np.frombuffer(content, ">u8").astype(np.uint64)

    def _append(self, question: Question, number: int, images: Hashes) -> None:
        """Bring a look to the disk, the set of images before the line that names it; the lock is held."""
        name, file = _set_hash(images), self.folder / FILE
        target = self.folder / IMAGES / f"{name}.bin"
        if not target.is_file():
            write_atomically(target, _encoded(images))
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        look = {"time": time, **asdict(question), "number": number, "images": name, "count": len(images)}
        whole = file.read_bytes().rfind(b"\n") + 1 if file.is_file() else 0
        header = "" if whole else json.dumps({"format": FORMAT, "version": VERSION}) + "\n"
        with file.open("ab") as lines:
            os.truncate(file, whole)  # a line that a kill cut short
            lines.write((header + json.dumps(look) + "\n").encode())
        sync_file(file)
        sync_folder(file.parent)  # it may be new

    def _parsed(self, line: bytes, place: int) -> dict[str, Any]:
        try:
            return parsed_json(line)
        except Mismatch as error:
            raise self._damaged(place) from error

    def _look(self, plain: Mapping[str, Any], place: int) -> Look:
        try:
            LOOK(plain, "")
        except Mismatch as error:
            raise self._damaged(place) from error
        question = Question(*(plain[item.name] for item in fields(Question)))
        return Look(question, plain["time"], plain["number"], plain["images"], plain["count"])

    def _damaged(self, place: int) -> UserError:
        return UserError(f"{self.folder / FILE} is damaged in line {place}: {_WAY_OUT}")


_KEYS: Mapping[str, Kind] = {
    **dict.fromkeys(("time", "command", "model", "scores", "images"), text),
    **{"claim": optional(text), "alpha": optional(number_between(0, 1)), "planned": optional(whole(1))},
    **{"growing": truth, "number": whole(1), "count": whole(0)},
}
LOOK = record(_KEYS, tuple(_KEYS))
_COUNTED: Mapping[str, Kind] = {
    **dict.fromkeys(("number", "models", "later", "images", "shared"), whole(0)),
    "last": text,
}
LOOKS = record(_COUNTED, tuple(_COUNTED))
"""What `Looks.to_dict` gives."""
_WAY_OUT = (
    "how often images were looked at is in there, and no command can make it again. Bring it back from a backup; or "
    "move the folder away, and know that counts start again"
)


@dataclass(frozen=True)
class _Place:
    """Where a question belongs: its number, from 1, and its model, counted from 0."""

    number: int
    model: int


def _numbered(asked: Iterable[tuple[Question, str]]) -> list[_Place]:
    """Number questions in their order, each with the hash of the set of images that it is asked of."""
    model_named: dict[str, int] = {}  # a table and a checkpoint may be the same model under two names
    numbers_of: list[list[int]] = []  # by model
    claims: dict[int, tuple[str, str]] = {}  # by number, once one was made
    last, places = 0, list[_Place]()
    for question, images in asked:
        names = (question.model, question.scores)
        model = next((model_named[name] for name in names if name in model_named), len(numbers_of))
        model_named.update(dict.fromkeys(names, model))
        if model == len(numbers_of):
            numbers_of.append([])
        claim = None if question.claim is None else (question.claim, "" if question.growing else images)
        own = numbers_of[model]
        same = [number for number in own if claim is None or claims.get(number) == claim]
        free = [number for number in own if number not in claims]  # scored, and nothing was claimed yet
        if not same and not free:
            last += 1
            own.append(last)
        number = [*same, *free, last][0]
        if claim is not None:
            claims[number] = claim
        places.append(_Place(number, model))
    return places


def _set_hash(images: Hashes) -> str:
    return hashlib.sha256(_encoded(images)).hexdigest()


def _encoded(images: Hashes) -> bytes:
    return np.unique(images).astype(">u8").tobytes()
