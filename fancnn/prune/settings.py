"""What `python -m fancnn.prune` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field
from typing import Any

from fancnn.errors import UserError, collected
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import (
    MOST_EPOCHS,
    at_most,
    is_number,
    validate_choice,
    validate_device,
    validate_earlier,
    validate_share,
)


@dataclass
class PruneSettings:
    """Everything `python -m fancnn.prune` can be told."""

    run: str
    keep: Any  # a share, or a list of them
    by: str
    epochs: int
    lr_factor: float
    escape: float
    confidence: float
    device: str
    ckpt: str | None
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


MOST_SHARES = 100
CRITERIA = ("order", "l1", "l2", "activation", "taylor", "sparsity", "similarity", "performance", "performance_auroc")


def validate_pruning(settings: PruneSettings) -> None:
    with collected() as check:
        check(lambda: validate_earlier("run", settings.run))
        check(lambda: validate_earlier("ckpt", settings.ckpt))
        check(lambda: _validate_keep(settings.keep))
        check(lambda: validate_choice("by", settings.by, CRITERIA))
        check(lambda: _validate_epochs(settings.epochs))
        check(lambda: _validate_factor(settings.lr_factor))
        check(lambda: validate_share("escape", settings.escape))
        check(lambda: validate_share("confidence", settings.confidence))
        check(lambda: validate_device(settings.device))


def _validate_keep(keep: object) -> None:
    shares = keep if isinstance(keep, list) else [keep]
    if not shares or not all(is_number(share) and 0 < share <= 1 for share in shares) or set(shares) == {1}:
        raise UserError(f"keep={keep} should be a share above 0 and below 1, or a list of them: [0.5,0.25]")
    if len(shares) > MOST_SHARES:
        raise UserError(f"keep has {len(shares)} shares: expected {MOST_SHARES} at most, each is a training")


def _validate_epochs(epochs: int) -> None:
    if not 1 <= epochs <= MOST_EPOCHS:
        more = at_most(epochs, MOST_EPOCHS)
        raise UserError(f"epochs={epochs} should be 1 or more{more}: what is left has to find its balance anew")


def _validate_factor(factor: float) -> None:
    if not is_number(factor) or not 0 < factor <= 1000:
        raise UserError(f"lr_factor={factor} should be above 0, e.g. 0.3: a third of the run's own rate")
