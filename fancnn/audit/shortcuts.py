"""Can the class be guessed from what is no defect?

A small forest of boosted trees sees one thing alone: what the file is, the mean color, the border, or the name. It is
scored on images that it has not seen, copies kept together. Whether it beats guessing is asked of the rank sums of all
folds together (van Elteren 1960), with Holm's correction for the probes.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from fancnn.audit.audit_checks import Finding
from fancnn.data.image_facts import ImageFacts
from fancnn.data.labeled_images import LabeledImage

FOLDS = 5
LEAST_OF_CLASS = 20  # images: with fewer nothing is found that could be trusted
LEVEL = 0.01
NOTABLE = 0.6  # AUROC: less is found in many images, and tells a network little
TINY = 1e-16  # smaller ones depend on the approximation
WORDS = 40  # of file names, the most frequent

Features = NDArray[np.float64]


@dataclass(frozen=True)
class Probe:
    """How well one thing tells NG from GO.

    Attributes:
        name: What it sees.
        auroc: On images that it has not seen.
        p: That guessing does as well, adjusted for all probes.
    """

    name: str
    auroc: float
    p: float

    @property
    def beats_guessing(self) -> bool:
        return self.p < LEVEL and self.auroc >= NOTABLE


def shortcut_findings(probes: Sequence[Probe]) -> Iterator[Finding]:
    """Yield a finding for each probe that beats guessing."""
    for probe in probes:
        if probe.beats_guessing:
            yield Finding(
                "A014" if probe.name == "file name" else "A013",
                f"the {probe.name} alone tells NG from GO with an AUROC of {probe.auroc:.3f} (p {_shown(probe.p)})",
                advice="Where the defect itself changes it, that is right; else take both classes in the same way.",
            )


def _shown(p: float) -> str:
    return f"{p:.1g}" if p >= TINY else f"below {TINY:g}"


def run_probes(
    images: Sequence[LabeledImage], facts: Sequence[ImageFacts], clusters: Sequence[int], seed: int = 0
) -> list[Probe]:
    """Return how well each thing tells NG from GO; none where a class is too small."""
    labels = np.array([image.label for image in images])
    if np.bincount(labels, minlength=2).min() < LEAST_OF_CLASS:
        return []
    raw = {name: _judged(features, labels, clusters, seed) for name, features in _features(images, facts).items()}
    order = sorted(raw, key=lambda name: raw[name][1])
    probes, highest = [], 0.0
    for place, name in enumerate(order):  # Holm's step-down
        highest = max(highest, min(1.0, raw[name][1] * (len(order) - place)))
        probes.append(Probe(name, raw[name][0], highest))
    return probes


def _features(images: Sequence[LabeledImage], facts: Sequence[ImageFacts]) -> Mapping[str, Features]:
    formats = _codes([item.format for item in facts])
    modes = _codes([item.mode for item in facts])
    file = [
        [item.height, item.width, item.megabytes * 1e6 / max(item.height * item.width, 1), of_format, of_mode]
        for item, of_format, of_mode in zip(facts, formats, modes, strict=True)
    ]
    return {
        "size and kind of the file": np.array(file, float),
        "mean color": np.array([item.color for item in facts], float),
        "border of the image": np.array([item.border for item in facts], float),
        "file name": _name_features([PurePosixPath(image.path).stem for image in images]),
    }


def _name_features(stems: Sequence[str]) -> Features:
    words = [Counter(re.findall(r"[^\W\d_]+", stem.lower())) for stem in stems]
    counts = Counter(word for item in words for word in item)
    common = [word for word, _ in counts.most_common(WORDS)]
    numbers = [[float(text[:15]) for text in re.findall(r"\d+", stem)] for stem in stems]
    rows = [
        [
            len(stem),
            len(of_stem),
            of_stem[0] if of_stem else -1.0,
            of_stem[-1] if of_stem else -1.0,
            *(item[word] for word in common),
        ]
        for stem, of_stem, item in zip(stems, numbers, words, strict=True)
    ]
    return np.array(rows, float)


def _codes(values: Sequence[str]) -> list[int]:
    names = sorted(set(values))
    return [names.index(value) for value in values]


def _judged(features: Features, labels: NDArray[np.intp], clusters: Sequence[int], seed: int) -> tuple[float, float]:
    """Return AUROC on unseen images, and the probability of a rank sum as high by guessing."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import, and needed here only
    from sklearn.model_selection import StratifiedGroupKFold

    sums, expected, variance, pairs = 0.0, 0.0, 0.0, 0
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for train, held in splitter.split(features, labels, np.asarray(clusters)):
        ng = labels[held] == 1
        if len(np.unique(labels[train])) < 2 or not 0 < ng.sum() < len(ng):
            continue
        trees = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=8, random_state=seed, early_stopping=False)
        ranks = rankdata(trees.fit(features[train], labels[train]).predict_proba(features[held])[:, 1])
        of_ng, of_go = int(ng.sum()), int((~ng).sum())
        weight = 1 / (len(ng) + 1)
        ties = np.unique(ranks, return_counts=True)[1]
        spread = of_ng * of_go / 12 * ((len(ng) + 1) - (ties**3 - ties).sum() / (len(ng) * (len(ng) - 1)))
        above = ranks[ng].sum() - of_ng * (of_ng + 1) / 2
        sums, expected = sums + weight * above, expected + weight * of_ng * of_go / 2
        variance, pairs = variance + weight**2 * spread, pairs + of_ng * of_go
    if variance == 0:
        return 0.5, 1.0
    return 0.5 * sums / expected, float(norm.sf((sums - expected) / variance**0.5))
