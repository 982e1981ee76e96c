"""What each image adds to a score of ranking: the derivatives that its variance is made of, in closed form."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Influence:
    """A score and its derivative with respect to the weight of each image, all weights being 1.

    Attributes:
        value: Of the score.
        by_image: `(images,)`; the sum is 0 within each class for AUROC, and of both classes together for others.
    """

    value: float
    by_image: Values


def auroc_influence(labels: NDArray[np.int64], probabilities: Values) -> Influence:
    """Return the area under the ROC, and each image's placement value (DeLong et al. 1988, equation 4).

    The placement of an NG image is the share of GO images below it (ties half), that of a GO image the share of NG
    images above it; `by_image` is its distance from the area, divided by the images of the class.

    Args:
        labels: `(images,)`, 0 and 1, both there.
        probabilities: `(images,)`.
    """
    places, go, ng = _by_value(labels, probabilities)
    below, above = (np.cumsum(go) - go / 2) / go.sum(), 1 - (np.cumsum(ng) - ng / 2) / ng.sum()
    area = float(np.sum(ng * below) / ng.sum())
    of_ng, of_go = (below[places] - area) / ng.sum(), (above[places] - area) / go.sum()
    return Influence(area, np.where(labels == 1, of_ng, of_go))


def average_precision_influence(labels: NDArray[np.int64], probabilities: Values) -> Influence:
    """Average precision, and what each image adds to it.

    With the weight of NG images `P`, and at each value v that of the NG and of all images with at least v, `T(v)` and
    `C(v)`, average precision is the sum over NG images of `T(v) / C(v) / P`. An NG image at u adds its own term,
    raises the precision of each value up to u, by `1 - T / C` of a `C`th, and takes its share of `P`; a GO image at u
    lowers each of these precisions by `T / C` of a `C`th.

    Args:
        labels: `(images,)`, 0 and 1, some 1.
        probabilities: `(images,)`.
    """
    places, go, ng = _by_value(labels, probabilities)
    all_ng, caught, called = ng.sum(), np.cumsum(ng[::-1])[::-1], np.cumsum((go + ng)[::-1])[::-1]
    precision = caught / called
    value = float(np.sum(ng * precision) / all_ng)
    raised, lowered = np.cumsum(ng * (1 - precision) / called), np.cumsum(ng * precision / called)
    of_ng = (precision - value + raised)[places] / all_ng
    return Influence(value, np.where(labels == 1, of_ng, -lowered[places] / all_ng))


def _by_value(labels: NDArray[np.int64], probabilities: Values) -> tuple[NDArray[np.intp], Values, Values]:
    """Return the place of each image among the distinct values, ascending, and the GO and NG images at each."""
    values, places = np.unique(probabilities, return_inverse=True)
    go, ng = (np.bincount(places[labels == label], minlength=values.size).astype(np.float64) for label in (0, 1))
    return places, go, ng
