"""Settings of `python -m fancnn.audit`: its keys, their types, and which values they may have."""

from dataclasses import dataclass, field
from functools import partial

from fancnn.errors import UserError, collected, under
from fancnn.settings.groups import DataSettings, ImageLimits

CODES = tuple(f"A{number:03}" for number in range(1, 16))


@dataclass
class AuditSettings:
    """All settings of `python -m fancnn.audit`."""

    data: DataSettings
    strict: bool
    silence: dict[str, str] | None
    output_dir: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)

    def __post_init__(self) -> None:
        with collected() as check:
            for code, reason in (self.silence or {}).items():
                check(partial(_validate_silenced, code, reason))

    def validate_paths(self) -> None:
        with under("data"):
            self.data.validate_paths()


def _validate_silenced(code: str, reason: object) -> None:
    if code not in CODES:
        raise UserError(f"silence.{code} is no check. Checks: {CODES[0]} to {CODES[-1]}")
    if not isinstance(reason, str) or not reason.strip():
        raise UserError(f"silence.{code} needs a reason in words, which the report repeats, e.g. '{{{code}: known}}'")
