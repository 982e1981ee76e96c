"""What `python -m fancnn.parity` may be told: its keys, their types, and what values they may have."""

from dataclasses import dataclass, field

from fancnn.errors import collected
from fancnn.settings.groups import ImageLimits
from fancnn.settings.validation import check_earlier, check_exported, check_input


@dataclass
class ParitySettings:
    """Everything `python -m fancnn.parity` can be told; `model_file` is said as `model=`."""

    model_file: str
    run: str
    input: str
    image_limits: ImageLimits = field(default_factory=ImageLimits)


def check_parity(settings: ParitySettings) -> None:
    with collected() as check:
        check(lambda: check_exported("model", settings.model_file))
        check(lambda: check_earlier("run", settings.run))
        check(lambda: check_input(settings.input))
