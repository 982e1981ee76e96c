"""The row of the prediction table that a labelled image gets."""

from fancnn.data.labeled_images import LabeledImage
from fancnn.metrics.defect_regions import DefectRegion
from fancnn.metrics.predictions import Prediction, TypeGuess
from fancnn.metrics.thresholds import Thresholds


def predicted(
    image: LabeledImage,
    probability: float | None,
    thresholds: Thresholds,
    error: str = "",
    *,
    true_type: str = "",
    guess: TypeGuess = TypeGuess(),  # noqa: B008  # a tuple
    seen: str = "",
    weights_sha256: str = "",
    regions: tuple[DefectRegion, ...] | None = None,
    mm_per_pixel: float | None = None,
) -> Prediction:
    """Return the row of an image whose truth is known; `seen` as `SeenImages.column` gives it."""
    return Prediction(
        path=image.path,
        probability=probability,
        decision="" if probability is None else thresholds.decide(probability),
        split=image.split,
        class_name=image.class_name,
        label=image.label,
        group=image.group,
        part=image.part,
        part_label=image.part_label,
        defect_type=image.defect_type,
        error=error,
        true_type=true_type,
        found_type=guess.name,
        type_share=guess.share,
        sha256=image.sha256,
        pixel_sha256=image.pixel_sha256,
        seen=seen,
        weights_sha256=weights_sha256,
        regions=regions,
        mm_per_pixel=mm_per_pixel,
    )
