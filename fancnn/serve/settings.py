"""What `python -m fancnn.serve` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

from fancnn.errors import UserError, collected
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import (
    is_number,
    validate_count,
    validate_exported,
    validate_folder,
    validate_image_limits,
)


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
    """Everything `python -m fancnn.serve` can be told."""

    file: str
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


def validate_serving(settings: ServeSettings) -> None:
    """Whatever can be checked before the model is opened.

    Raises:
        UserError: With the key, what it says and what it may say.
    """
    limits = settings.limits
    with collected() as check:
        check(lambda: _validate_port(settings.port))
        check(lambda: _validate_token(settings.token))
        check(lambda: _validate_proxy(settings.proxy))
        check(lambda: validate_exported("file", settings.file))
        check(lambda: validate_folder("golden", settings.golden, "one with known images"))
        check(lambda: validate_image_limits(settings.image_limits))
        check(lambda: _validate_above("golden_hours", settings.golden_hours))
        for name in ("megabytes", "request_megapixels", "seconds"):
            check(partial(_validate_limit, limits, name))
        for name in ("files", "queue", "per_client", "connections"):
            check(partial(_validate_count, limits, name))
        if settings.workers is not None:
            check(lambda: validate_count("workers", settings.workers, most=1024))
        check(lambda: _validate_formats(limits.formats))


def _validate_port(port: int) -> None:
    if not 0 <= port <= 65535:
        raise UserError(f"port={port} should be from 1 to 65535, or 0 for any that is free")


def _validate_token(token: str | None) -> None:
    if token is not None and (len(token) < 8 or not token.isascii()):
        raise UserError("token should have 8 letters or more, of ASCII: say a longer one, or null for none")


def _validate_formats(formats: list[str]) -> None:
    if not formats or any(name not in FORMATS for name in formats):
        raise UserError(f"limits.formats={formats} should name some of {', '.join(FORMATS)}")


def _validate_limit(limits: RequestLimits, name: str) -> None:
    _validate_above(f"limits.{name}", getattr(limits, name))


def _validate_count(limits: RequestLimits, name: str) -> None:
    if (count := getattr(limits, name)) is not None:
        validate_count(f"limits.{name}", count)


def _validate_above(key: str, value: float) -> None:
    if not is_number(value) or not LEAST <= value <= MOST:
        raise UserError(f"{key}={value} should be a number above 0, from {LEAST:g} to {MOST:,}")


def _validate_proxy(address: str | None) -> None:
    if address is None:
        return
    try:
        ip_address(address)
    except ValueError:
        raise UserError(f"proxy={address} should be an address such as 127.0.0.1, or null for none") from None
