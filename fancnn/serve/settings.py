"""What `python -m fancnn.serve` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

from fancnn.errors import UserError, collected
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import check_count, check_exported, check_folder, check_image_limits, is_number


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


LEAST, MOST = 1e-3, 10**6  # of whatever is counted or measured

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM", "GIF")


def check_serving(settings: ServeSettings) -> None:
    """Whatever can be checked before the model is opened.

    Raises:
        UserError: With the key, what it says and what it may say.
    """
    limits = settings.limits
    with collected() as check:
        check(lambda: _check_port(settings.port))
        check(lambda: _check_token(settings.token))
        check(lambda: _check_proxy(settings.proxy))
        check(lambda: check_exported("model", settings.model_file))
        check(lambda: check_folder("golden", settings.golden, "one with known images"))
        check(lambda: check_image_limits(settings.image_limits))
        check(lambda: _check_above("golden_hours", settings.golden_hours))
        for name in ("megabytes", "request_megapixels", "seconds"):
            check(partial(_check_limit, limits, name))
        for name in ("files", "queue", "per_client", "connections"):
            check(partial(_check_count, limits, name))
        if settings.workers is not None:
            check(lambda: check_count("workers", settings.workers, most=1024))
        check(lambda: _check_formats(limits.formats))


def _check_port(port: int) -> None:
    if not 0 <= port <= 65535:
        raise UserError(f"port={port} should be from 1 to 65535, or 0 for any that is free")


def _check_token(token: str | None) -> None:
    if token is not None and (len(token) < 8 or not token.isascii()):
        raise UserError("token should have 8 letters or more, of ASCII: say a longer one, or null for none")


def _check_formats(formats: list[str]) -> None:
    if not formats or any(name not in FORMATS for name in formats):
        raise UserError(f"limits.formats={formats} should name some of {', '.join(FORMATS)}")


def _check_limit(limits: RequestLimits, name: str) -> None:
    _check_above(f"limits.{name}", getattr(limits, name))


def _check_count(limits: RequestLimits, name: str) -> None:
    if (count := getattr(limits, name)) is not None:
        check_count(f"limits.{name}", count)


def _check_above(key: str, value: float) -> None:
    if not is_number(value) or not LEAST <= value <= MOST:
        raise UserError(f"{key}={value} should be a number above 0, from {LEAST:g} to {MOST:,}")


def _check_proxy(address: str | None) -> None:
    if address is None:
        return
    try:
        ip_address(address)
    except ValueError:
        raise UserError(f"proxy={address} should be an address such as 127.0.0.1, or null for none") from None
