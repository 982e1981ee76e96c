"""Settings of `python -m fancnn.serve`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

from fancnn.errors import UserError, collected
from fancnn.settings.choices import ImageFormat, validate_choices
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import is_number, validate_count, validate_exported, validate_folder

LEAST, MOST = 1e-3, 10**6  # of whatever is counted or measured


@dataclass
class RequestLimits:
    """How much one client may ask for, and all of them together."""

    megabytes: float
    request_megapixels: float
    files: int
    formats: list[ImageFormat]
    seconds: float
    queue: int
    per_client: int
    connections: int

    def __post_init__(self) -> None:
        with collected() as check:
            for name in ("megabytes", "request_megapixels", "seconds"):
                check(partial(self._validate_above, name))
            for name in ("files", "queue", "per_client", "connections"):
                check(partial(self._validate_count, name))
            check(lambda: validate_choices(self))
            if not self.formats:
                raise UserError(f"formats=[] should name some of {', '.join(ImageFormat)}")

    def _validate_above(self, name: str) -> None:
        _validate_above(name, getattr(self, name))

    def _validate_count(self, name: str) -> None:
        validate_count(name, getattr(self, name))


@dataclass
class ServeSettings:
    """All settings of `python -m fancnn.serve`."""

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

    def __post_init__(self) -> None:
        with collected() as check:
            check(self._validate_port)
            check(self._validate_token)
            check(self._validate_proxy)
            check(lambda: _validate_above("golden_hours", self.golden_hours))
            if self.workers is not None:
                check(lambda: validate_count("workers", self.workers, most=1024))

    def validate_paths(self) -> None:
        with collected() as check:
            check(lambda: validate_exported("file", self.file))
            check(lambda: validate_folder("golden", self.golden, "one with known images"))

    def _validate_port(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UserError(f"port={self.port} should be from 1 to 65535, or 0 for any that is free")

    def _validate_token(self) -> None:
        if self.token is not None and (len(self.token) < 8 or not self.token.isascii()):
            raise UserError("token should have 8 letters or more, of ASCII: say a longer one, or null for none")

    def _validate_proxy(self) -> None:
        if self.proxy is None:
            return
        try:
            ip_address(self.proxy)
        except ValueError:
            raise UserError(f"proxy={self.proxy} should be an address such as 127.0.0.1, or null for none") from None


def _validate_above(key: str, value: float) -> None:
    if not is_number(value) or not LEAST <= value <= MOST:
        raise UserError(f"{key}={value} should be a number above 0, from {LEAST:g} to {MOST:,}")
