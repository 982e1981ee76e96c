"""Which picture is in train, val or test: the rules, and the plan that applies one of them to a folder."""

from fancnn.pictures import copies_across_parts
from fancnn.splits.plan import SplitPlan

__all__ = ["SplitPlan", "copies_across_parts"]
