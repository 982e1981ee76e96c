"""What values the server's configuration may have, in words."""

from ipaddress import ip_address

from fancnn.errors import UserError
from fancnn.limits import is_number
from fancnn.serving_settings import ServeSettings

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM", "GIF")


def check_serving(settings: ServeSettings) -> None:
    """Whatever can be checked before the model is opened.

    Raises:
        UserError: With the key, what it says and what it may say.
    """
    limits = settings.limits
    if not 0 <= settings.port <= 65535:
        raise UserError(f"port={settings.port} should be from 1 to 65535, or 0 for any that is free")
    if settings.token is not None and (len(settings.token) < 8 or not settings.token.isascii()):
        raise UserError("token should have 8 letters or more, of ASCII: say a longer one, or null for none")
    if settings.proxy is not None:
        _check_address("proxy", settings.proxy)
    _check_above("golden_hours", settings.golden_hours)
    for name in ("megabytes", "megapixels", "request_megapixels", "seconds"):
        _check_above(f"limits.{name}", getattr(limits, name))
    counts = {f"limits.{name}": getattr(limits, name) for name in ("files", "queue", "per_client", "connections")}
    for name, count in {**counts, "workers": settings.workers}.items():
        if count is not None and count < 1:
            raise UserError(f"{name}={count} should be 1 or more")
    unknown = [name for name in limits.formats if name not in FORMATS]
    if unknown or not limits.formats:
        raise UserError(f"limits.formats={limits.formats} should name some of {', '.join(FORMATS)}")


def _check_above(key: str, value: float) -> None:
    if not is_number(value) or value <= 0:
        raise UserError(f"{key}={value} should be a number above 0")


def _check_address(key: str, value: str) -> None:
    try:
        ip_address(value)
    except ValueError:
        raise UserError(f"{key}={value} should be an address such as 127.0.0.1, or null for none") from None
