"""What `python -m fancnn.serve` may be told."""

from dataclasses import dataclass, field

from fancnn.settings.groups import ImageLimits


@dataclass
class RequestLimits:
    """How much one client may ask for, and all of them together."""

    megabytes: float
    request_megapixels: float
    files: int
    formats: list[str]
    seconds: float
    queue: int
    per_client: int
    connections: int


@dataclass
class ServeSettings:
    """Everything `python -m fancnn.serve` can be told; `model_file` is said as `model=`."""

    model_file: str
    host: str
    port: int
    token: str | None
    proxy: str | None
    golden: str | None
    golden_hours: float
    workers: int | None
    limits: RequestLimits
    image_limits: ImageLimits = field(default_factory=ImageLimits)
