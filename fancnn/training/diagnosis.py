"""What the course of a training says went wrong, in words: what was seen, what it means, which key to change.

Rows are those of `metrics.csv`, numbers by name, one an epoch; a score may be missing from some. The bounds below are
set so that the recipes of `conf/experiment`, which are fine, get no finding that is untrue of them.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

Row = Mapping[str, float]

EVEN = math.log(2)  # cross-entropy of even odds: the unit of all differences of losses here
NOTICEABLE = 0.1 * EVEN
CONSTANT_EPOCHS = 3  # epochs of one and the same probability, before it is sure
RISE = 1.25  # of validation's loss over its lowest, to be called overfitting
FALL_PER_EPOCH = 0.03  # of the training loss, to be called fast
SLOW = 0.005  # of the training loss in an epoch, up or down
OSCILLATING = 0.4  # share of epochs in which the training loss rises noticeably
LARGE_STEP = 0.03  # of the weights; a thousandth is usual
RATE = "model.optimizer.lr"
FIND_RATE = "python -m fancnn.lr_find prints one to copy"


@dataclass(frozen=True)
class Finding:
    """One thing that went wrong; as text it is what a person reads."""

    kind: str
    seen: str
    means: str
    change: str

    def __str__(self) -> str:
        return f"{self.seen}: {self.means}. {self.change}."


def diagnose(history: Sequence[Row], dynamics: Sequence[Mapping[str, Any]] = ()) -> list[Finding]:
    """Return all findings, what matters most first; of a run that learns nothing only why.

    Args:
        history: Rows of `metrics.csv`, in their order.
        dynamics: Rows of `dynamics.csv` (see `fancnn.training.training_dynamics`), as far as there are any.
    """
    dead, constant = dead_layers(dynamics), constant_output(history)
    if constant:
        return [*dead, constant]
    if slow := rate_too_low(history):
        return [*dead, slow]
    if guessing := at_chance(history):
        return [*dead, guessing]
    high = rate_too_high(history, dynamics)  # then validation rises for that, too
    others = (high or overfitting(history), still_falling(history))
    return [*dead, *(finding for finding in others if finding)]


def constant_output(history: Sequence[Row]) -> Finding | None:
    """Return whether every image of validation had one probability in each of the last epochs, three or more.

    Then AUROC is exactly a half, average precision is the share of NG, and all images are called the same.
    """
    since = len(history)
    while since and _is_constant(history[since - 1]):
        since -= 1
    if len(history) - since < CONSTANT_EPOCHS:
        return None
    seen = f"Since epoch {history[since]['epoch']:.0f} every validation image gets the same probability"
    if thrown := _thrown_off("constant", seen, history):
        return thrown
    means = "nothing of the images reaches the output any more, mostly since units are dead"
    return Finding("constant", seen, means, f"Lower {RATE} ({FIND_RATE}), or take another model.network.initializer")


def rate_too_low(history: Sequence[Row]) -> Finding | None:
    """Return whether the training loss falls, or rests, from epoch to epoch and has come nowhere."""
    losses = _known(history, "train/loss")
    if len(losses) < 3 or min(losses) < 0.9 * EVEN or losses[0] - losses[-1] > SLOW * (len(losses) - 1):
        return None
    steps = [after - before for before, after in pairwise(losses)]
    if sum(step < SLOW / 50 for step in steps) < 0.8 * len(steps) or max(steps) > SLOW:
        return None
    seen = f"In {len(losses)} epochs the training loss went from {losses[0]:.4f} to {losses[-1]:.4f}"
    means = f"at a learning rate of {_rate(history):.2g} it gets nowhere"
    return Finding("rate too low", seen, means, f"Raise {RATE}; {FIND_RATE}")


def at_chance(history: Sequence[Row]) -> Finding | None:
    """Return whether after five epochs or more the scores of training are those of guessing, and not on their way."""
    train, val = (_known(history[-3:], f"{split}/auroc") for split in ("train", "val"))
    if len(history) < 5 or not train or not val or max(*train, *val) > 0.6:
        return None
    seen = f"After {len(history)} epochs the AUROC is {train[-1]:.2f} on training and {val[-1]:.2f} on validation"
    seen += ", and guessing has 0.5"
    if thrown := _thrown_off("at chance", seen, history):
        return thrown
    means = "nothing was found that tells the classes apart"
    change = f"Look whether the defect can be seen at data.image_size and the labels are right; try another {RATE}"
    return Finding("at chance", seen, means, f"{change} ({FIND_RATE})")


def rate_too_high(history: Sequence[Row], dynamics: Sequence[Mapping[str, Any]] = ()) -> Finding | None:
    """Return whether a loss goes up and down to the end, training's ends well above its lowest, or steps are huge."""
    losses = _known(history, "train/loss")
    if len(losses) >= 5:
        low, end = min(losses[:-3]), median(losses[-3:])
        if end > 1.5 * low and end - low > NOTICEABLE:
            lowest = losses.index(low) + 1
            seen = f"The training loss rose from {low:.3f} in epoch {lowest} to {end:.3f} in the last three"
            return _too_high(seen, history)
    rises = [after - before > NOTICEABLE / 2 for before, after in pairwise(losses[len(losses) // 2 :])]
    if len(rises) >= 4 and sum(rises) >= OSCILLATING * len(rises):
        seen = f"In {sum(rises)} of the last {len(rises)} epochs the training loss rose by {NOTICEABLE / 2:.2f} or more"
        return _too_high(seen, history)
    val = _known(history, "val/loss")
    second = list(pairwise(val[len(val) // 2 :]))
    jumps, doubled = sum(_jumps(*pair) for pair in second), sum(_jumps(a, b) and b > a for a, b in second)
    if doubled >= 2 and jumps >= OSCILLATING * len(second):
        seen = f"In {jumps} of the last {len(second)} epochs the validation loss doubled or was halved"
        return _too_high(seen, history)
    step = largest_step(dynamics)
    if step is not None and step[1] > LARGE_STEP:
        seen = (
            f"In epoch {step[0]:.0f} a step of the optimizer changed the layers' weights by {step[1]:.0%} of their norm"
        )
        return _too_high(f"{seen} (a thousandth is usual)", history)
    return None


def still_falling(history: Sequence[Row]) -> Finding | None:
    """Return whether training ended while both losses fell, training's fast."""
    train, val = _known(history, "train/loss"), _known(history, "val/loss")
    if len(train) < 5 or len(val) != len(train) or val.index(min(val)) != len(val) - 1:
        return None
    back = max(2, len(train) // 4)
    fall = 1 - (train[-1] / train[-1 - back]) ** (1 / back) if train[-1] > 0 else 0.0
    if fall < FALL_PER_EPOCH or val[-1 - back] - val[-1] < NOTICEABLE / 10:
        return None
    seen = (
        f"The training loss fell from {train[-1 - back]:.3f} to {train[-1]:.3f} in the last {back} epochs, {fall:.0%} "
        "in each, and the last epoch was the best of validation"
    )
    return Finding("still falling", seen, "the training ended too soon", "Raise trainer.max_epochs")


def overfitting(history: Sequence[Row]) -> Finding | None:
    """Return a finding if the validation loss rose from its lowest while the training loss fell; one spike is none."""
    both = [row for row in history if "train/loss" in row and "val/loss" in row]
    if len(both) < 5:
        return None
    train, val = ([row[f"{split}/loss"] for row in both] for split in ("train", "val"))
    smooth = _smooth(val)
    turn = smooth.index(min(smooth))
    end, trained = median(val[-3:]), median(train[-3:])
    least = min(val[-2:])  # the last epoch alone may be a spike
    if least < RISE * smooth[turn] or least - smooth[turn] < NOTICEABLE or trained > 0.8 * _smooth(train)[turn]:
        return None
    near = range(max(0, turn - 1), min(len(val), turn + 2))
    lowest = min(near, key=lambda at: val[at])
    epoch = both[lowest]["epoch"]
    seen = (
        f"From epoch {epoch:.0f} to the end the validation loss rose from {val[lowest]:.3f} to {end:.3f}, while the "
        f"training loss fell from {_smooth(train)[turn]:.3f} to {trained:.3f}"
    )
    means = "since then the network learns its training images by heart (overfitting)"
    change = "More images help most; else augment=light, regularization.l2=1e-4, or fewer epochs (trainer.max_epochs)"
    return Finding("overfitting", seen, means, change)


def dead_layers(dynamics: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return the ReLU layers that give nothing but zeros when they were looked at last, one finding for each."""
    findings = []
    for layer in dict.fromkeys(row["layer"] for row in dynamics):
        looks = [(row["epoch"], row["dead"]) for row in dynamics if row["layer"] == layer and "dead" in row]
        since = len(looks)
        while since and looks[since - 1][1] >= 1:
            since -= 1
        if since < len(looks):
            seen = f"Since epoch {looks[since][0]:.0f} all units of the layer {layer} are zero for every image"
            means = "it is dead: it passes nothing on, and no gradient ever revives what lies before it"
            change = f"Lower {RATE} ({FIND_RATE}), or take an activation that cannot die: model.network.activation=elu"
            findings.append(Finding(f"dead {layer}", seen, means, change))
    return findings


def largest_step(dynamics: Iterable[Mapping[str, Any]]) -> tuple[float, float] | None:
    """Return the epoch with the largest ratio of update to weight, the median over layers, and that ratio."""
    ratios: dict[float, list[float]] = {}
    for row in dynamics:
        if "update_ratio" in row:
            ratios.setdefault(row["epoch"], []).append(row["update_ratio"])
    middles = {epoch: median(of_layers) for epoch, of_layers in ratios.items()}
    return max(middles.items(), key=lambda item: item[1]) if middles else None


def _too_high(seen: str, history: Sequence[Row]) -> Finding:
    means = f"the learning rate, {_rate(history):.2g} at most, is too high"
    return Finding("rate too high", seen, means, f"Lower {RATE}; {FIND_RATE}")


def _thrown_off(kind: str, seen: str, history: Sequence[Row]) -> Finding | None:
    """Return a finding on a network that has not learnt, if its loss was once far worse than where it rests."""
    losses = _known(history, "train/loss")
    if not losses or max(losses) < 2 * median(losses[-3:]):
        return None
    seen += f", after a training loss of up to {max(losses):.3g}"
    means = f"the learning rate, {_rate(history):.2g} at most, is too high and has thrown the network off"
    return Finding(kind, seen, means, f"Lower {RATE}; {FIND_RATE}")


def _is_constant(row: Row) -> bool:
    names = ("recall", "specificity", "auroc", "accuracy", "average_precision")
    recall, specificity, auroc, accuracy, precision = (row.get(f"val/{name}", math.nan) for name in names)
    share = accuracy if recall == 1 else 1 - accuracy  # of NG, where all images are called the same
    same = (recall, specificity) in ((0, 1), (1, 0)) and abs(auroc - 0.5) < 1e-6
    return same and abs(precision - share) < 1e-4  # AUROC alone may be a half by accident


def _jumps(before: float, after: float) -> bool:
    return max(before, after) > 2 * min(before, after) and abs(after - before) > NOTICEABLE


def _rate(history: Sequence[Row]) -> float:
    return max(_known(history, "lr"), default=math.nan)


def _known(history: Iterable[Row], name: str) -> list[float]:
    return [row[name] for row in history if name in row]


def _smooth(values: Sequence[float]) -> list[float]:
    """Return the middle of each value and its neighbours, so that one epoch alone is no turn."""
    return [median(values[max(0, at - 1) : at + 2]) for at in range(len(values))]
