"""What the server answers, as plain data: the shapes that its OpenAPI document shows."""

from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from fancnn.metrics.thresholds import Decision


class Refusal(TypedDict):
    """Why there is no decision."""

    reason: str


class Health(TypedDict):
    """Whether the server works, or may decide."""

    status: str
    reason: str


class Heatmap(TypedDict):
    """Where the image speaks for NG, found by covering squares.

    `png` is a `data:` address of what to lay over the image, `greatest_fall` by how much the logit of NG falls where
    it is hottest.
    """

    png: str
    greatest_fall: float


class Millimetres(TypedDict):
    """Middle and size of a region on the part, from the upper left corner of the image."""

    x: float
    y: float
    width: float
    height: float


class Region(TypedDict):
    """A place of the image that holds a defect, in pixels of the upright image from its upper left corner.

    `x` and `y` are its middle, each cell weighted by its probability, `probability` is P(NG) of its hottest cell, and
    `millimetres` is null unless the file knows the size of a pixel.
    """

    left: int
    top: int
    right: int
    bottom: int
    x: float
    y: float
    width: int
    height: int
    probability: float
    millimetres: Millimetres | None


class ImageAnswer(TypedDict):
    """The decision on one image. `type` and `type_share` are null unless it is not GO and the model knows types.

    `regions` says where the defect is, the hottest first: at least one where the decision is not GO, none where it is,
    and null where the model's network does not judge by cells.

    `probability` is for parts mixed as the validation images were; `line_probability` is for the line that the model
    was trained or decided for, null unless the file knows both shares of NG. Decisions are made of `probability`.
    """

    name: str
    decision: Decision
    probability: float
    line_probability: float | None
    type: str | None
    type_share: float | None
    width: int
    height: int
    regions: list[Region] | None
    heatmap: Heatmap | None


class PartAnswer(TypedDict):
    """The decision on a part of which the images of a request are all that there are: that on the worst of them.

    `worst` is its place among them, from 0; probabilities are its own.
    """

    name: str
    decision: Decision
    probability: float
    line_probability: float | None
    worst: int


class Answer(TypedDict):
    """Decisions on all images of a request, in their order.

    `part` is null unless the request names one. `thresholds` are of the probability: GO up to the first, NG above the
    second, RECHECK between.
    """

    images: list[ImageAnswer]
    part: PartAnswer | None
    thresholds: list[float]
    model: str
    model_sha256: str
    milliseconds: float


class Taken(TypedDict):
    """What a request may have."""

    megabytes: float
    megapixels: float
    max_side: int
    request_megapixels: float
    files: int
    formats: list[str]
    seconds: float


class ModelFacts(TypedDict):
    """The file that decides, and what it says of itself.

    `part` is the expression that named parts in the paths of its training images where thresholds are of parts of
    several images; null where they are of single images. `part_images` is how many images each of these had; a part
    with fewer is not decided. Null where their numbers differed.
    """

    file: str
    sha256: str
    classes: list[str]
    go_class: str
    types: list[str]
    thresholds: list[float]
    thresholds_in_words: str
    decision_rule: str | None
    calibration_ng_rate: float | None
    line_ng_rate: float | None
    image_size: list[int]
    has_cells: bool
    cell_threshold: float
    mm_per_pixel: float | None
    part: str | None
    part_images: int | None
    weights_sha256: str
    checkpoint_sha256: str
    versions: dict[str, str]
    limits: Taken
