"""Settings of `python -m fancnn.prune`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field
from typing import Any

from fancnn.errors import UserError, collected
from fancnn.settings.choices import Choice, validate_choices
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import (
    MOST_EPOCHS,
    at_most,
    is_number,
    validate_device,
    validate_earlier,
    validate_share,
)

MOST_SHARES = 100


class Criterion(Choice):
    order = "order"
    l1 = "l1"
    l2 = "l2"
    activation = "activation"
    taylor = "taylor"
    sparsity = "sparsity"
    similarity = "similarity"
    performance = "performance"
    performance_auroc = "performance_auroc"


@dataclass
class PruneSettings:
    """All settings of `python -m fancnn.prune`."""

    run: str
    keep: Any  # a share, or a list of them
    by: Criterion
    epochs: int
    lr_factor: float
    escape: float
    confidence: float
    device: str
    ckpt: str | None
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)

    def __post_init__(self) -> None:
        with collected() as check:
            check(self._validate_keep)
            check(lambda: validate_choices(self))
            check(self._validate_epochs)
            check(self._validate_factor)
            check(lambda: validate_share("escape", self.escape))
            check(lambda: validate_share("confidence", self.confidence))
            check(lambda: validate_device(self.device))

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_earlier("run", self.run))
            check(lambda: validate_earlier("ckpt", self.ckpt))

    def _validate_keep(self) -> None:
        shares = self.keep if isinstance(self.keep, list) else [self.keep]
        if not shares or not all(is_number(share) and 0 < share <= 1 for share in shares) or set(shares) == {1}:
            raise UserError(f"keep={self.keep} should be a share above 0 and below 1, or a list of them: [0.5,0.25]")
        if len(shares) > MOST_SHARES:
            raise UserError(f"keep has {len(shares)} shares: expected {MOST_SHARES} at most, each is a training")

    def _validate_epochs(self) -> None:
        if not 1 <= self.epochs <= MOST_EPOCHS:
            more = at_most(self.epochs, MOST_EPOCHS)
            raise UserError(
                f"epochs={self.epochs} should be 1 or more{more}: what is left has to find its balance again"
            )

    def _validate_factor(self) -> None:
        if not is_number(self.lr_factor) or not 0 < self.lr_factor <= 1000:
            raise UserError(f"lr_factor={self.lr_factor} should be above 0, e.g. 0.3: a third of the run's own rate")
