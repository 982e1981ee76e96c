"""What a certificate may spend of its confidence for one more look at the same images."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fancnn.certify.settings import CertifySettings
from fancnn.decisions.look_spending import held_to
from fancnn.errors import UserError
from fancnn.metrics.predictions import Prediction, with_truth
from fancnn.metrics.rounding import percent_exactly
from fancnn.metrics.thresholds import Thresholds
from fancnn.runs.looks import NOT_KNOWN, Ledger, Looks
from fancnn.runs.recorded_looks import question_on, unnamed_note
from fancnn.settings.validation import validate_looks
from fancnn.system.console import say

# keys of certify that are no part of what is claimed; whatever else there is makes another claim
NO_CLAIM = (
    *("run", "table", "split", "store", "looks", "output", "output_dir"),
    *("plan", "accept", "lot", "good", "producer"),
)
PICKED = (
    "it holds whichever of the models looked at so far was picked, and why; not for a model or a claim that was made "
    "up for what these images had shown"
)


@dataclass(frozen=True)
class Spent:
    """What a certificate has of the confidence asked for.

    Attributes:
        looks: That it is one of; None where that is not known.
        planned: How many looks were planned; None for any number.
        confidence: That it is held to.
        sentence: The same for a person.
        caveats: What there is to say of it.
    """

    looks: Looks | None
    planned: int | None
    confidence: float
    sentence: str
    caveats: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what `certificate.json` says of it."""
        number = None if self.looks is None else self.looks.number
        return {"look": number, "looks_planned": self.planned, "confidence_spent": self.confidence}


@contextmanager
def spending(
    settings: CertifySettings, rows: Sequence[Prediction], weights: str | None, thresholds: Thresholds | None
) -> Iterator[Spent]:
    """Give what a certificate may spend; the look is written down if the block ends without an error.

    Args:
        settings: Of the certificate.
        rows: Whose images it is of, all counted as test images, since a claim is made on them.
        weights: SHA-256 of the model's, where known.
        thresholds: Asked for; None searches for them.

    Raises:
        UserError: If no look is left of those planned, another plan was made before, or the ledger is damaged.
    """
    alpha = 1 - settings.confidence
    validate_looks(settings.looks)
    known = with_truth(rows)
    if settings.sequential and weights is None:  # a table that grows has other scores at each look, and is one model
        weights = hashlib.sha256(f"growing {Path(settings.output).expanduser().resolve()}".encode()).hexdigest()
    question, images = question_on("certify", known, weights, _claim(settings, thresholds))
    question = replace(question, growing=settings.sequential)
    unnamed = unnamed_note(known)
    if not images.size:
        yield _unknown(settings, unnamed)
        return
    with ExitStack() as stack:
        try:
            ledger = Ledger()
            first = ledger.known(question, images).certificate
            planned = settings.looks or (first.question.planned if first else None)
            looks = stack.enter_context(ledger.asking(replace(question, alpha=alpha, planned=planned), images))
        except OSError as error:
            say(f"warning: {NOT_KNOWN}, and this look is not written down: {error}")
            yield _unknown(settings, NOT_KNOWN)
            return
        _validate_plan(looks, planned, settings)
        own = held_to(settings.confidence, looks.number, planned)
        sentence = f"{looks.in_words()}: {_held_to(settings.confidence, own, planned)}"
        caveats = ("" if looks.alone else PICKED, unnamed)
        yield Spent(looks, planned, own, sentence, tuple(filter(None, caveats)))


@contextmanager
def unspent(settings: CertifySettings, why: str) -> Iterator[Spent]:
    """Give what a certificate has that is no look at test images, all that was asked for; `why` is for a person."""
    yield Spent(None, settings.looks, settings.confidence, why, ())


def _validate_plan(looks: Looks, planned: int | None, settings: CertifySettings) -> None:
    first = looks.certificate
    if first is not None and first.question.planned != planned:
        raise UserError(
            f"looks={planned or 'null'}: the first certificate on these images (of {first.time[:10]}, "
            f"{first.question.claim}) planned looks={first.question.planned or 'null'}, and a plan holds for all of "
            "them. Leave looks out to keep to it, or certify on images that nobody has looked at"
        )
    if planned is not None and looks.number > planned:
        by = (
            ""
            if settings.looks is not None or first is None
            else f", as the first certificate on them planned ({first.time[:10]})"
        )
        leave = "" if first else ", or leave looks out: the confidence is then spent over any number"
        raise UserError(
            f"looks={planned}{by}: this is {looks.in_words()}, and none is left of those planned. Certify on images "
            f"that nobody has looked at{leave}"
        )


def _unknown(settings: CertifySettings, why: str) -> Spent:
    """Take it for the first look, since nothing better is known, and print that."""
    own = held_to(settings.confidence, 1, settings.looks)
    return Spent(
        None,
        settings.looks,
        own,
        f"how often these images were looked at is not known: taken for the first time, and held to "
        f"{percent_exactly(own)}, so that {percent_exactly(settings.confidence)} holds if that is true",
        (why,),
    )


def _held_to(confidence: float, own: float, planned: int | None) -> str:
    over = "over all looks" if planned is None else f"over the {planned} planned"
    over = "for the one planned" if planned == 1 else over
    return f"held to {percent_exactly(own)}, so that {percent_exactly(confidence)} holds {over}"


def _claim(settings: CertifySettings, thresholds: Thresholds | None) -> str:
    claimed = {name: value for name, value in asdict(settings).items() if name not in NO_CLAIM}
    claimed["threshold"] = "searched" if thresholds is None else thresholds.lower
    return ", ".join(f"{name}={'null' if value is None else value}" for name, value in claimed.items())
