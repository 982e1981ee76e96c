"""What the configuration of a pruning may say; see `fancnn.limits`."""

from fancnn.errors import UserError
from fancnn.limits import check_choice, check_share, is_number
from fancnn.settings import PruneSettings

CRITERIA = ("order", "l1", "l2", "activation", "taylor", "sparsity", "similarity", "performance", "performance_auroc")


def check_pruning(settings: PruneSettings) -> None:
    shares = settings.keep if isinstance(settings.keep, list) else [settings.keep]
    if not shares or not all(is_number(share) and 0 < share <= 1 for share in shares) or set(shares) == {1}:
        raise UserError(f"keep={settings.keep} should be a share above 0 and below 1, or a list of them: [0.5,0.25]")
    check_choice("by", settings.by, CRITERIA)
    if settings.epochs < 1:
        raise UserError(f"epochs={settings.epochs} should be 1 or more: what is left has to find its balance anew")
    if not is_number(settings.lr_factor) or settings.lr_factor <= 0:
        raise UserError(f"lr_factor={settings.lr_factor} should be above 0, e.g. 0.3: a third of the run's own rate")
    check_share("escape", settings.escape)
    check_share("confidence", settings.confidence)
