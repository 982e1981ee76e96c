"""The part of `python -m fancnn.certify` that is its own with `sequential=true`: what was looked at before."""

import hashlib
import zipfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fancnn.certify.settings import CertifySettings
from fancnn.decisions.certificates import Certificate
from fancnn.decisions.growing_table import SEARCHED, looked_again, looks_path, read_looks, write_looks
from fancnn.errors import UserError
from fancnn.files.run import Run
from fancnn.metrics.predictions import Prediction
from fancnn.system.console import say


def validate_fixed(settings: CertifySettings, chosen_on: str | None, split: str) -> None:
    """Refuse a threshold that was not fixed before the images were looked at.

    Args:
        settings: With `sequential`.
        chosen_on: The split that chose the threshold of the run; None where that is not known.
        split: The split that the claim is to come from.

    Raises:
        UserError: With the reason.
    """
    if settings.threshold is None:
        raise UserError(SEARCHED)
    if settings.store:
        raise UserError(
            "store=true keeps a threshold that was found on these images, and sequential=true claims one that was "
            "fixed before: put it into the run first, by decision.rule=fixed decision.threshold=... of fancnn.decide"
        )
    if settings.threshold == "run" and chosen_on == split:
        raise UserError(
            f"sequential=true needs a threshold that was fixed before the first look, and the run's own was chosen on "
            f"these very images ({split}): take other ones, e.g. split=test, or table=... of images that came later"
        )


def at_any_time(certificate: Certificate, rows: Sequence[Prediction], settings: CertifySettings) -> Certificate:
    """Make the claim one that holds at all looks, and keep what was looked at beside it.

    Raises:
        UserError: If the table is not that of the look before with images added, or the claim another.
    """
    place = looks_path(Path(settings.output).expanduser())
    sequential_certificate, looks = looked_again(
        read_looks(place),
        certificate,
        rows,
        unit=certificate.unit,
        model=weights_mark(Path(settings.run).expanduser()) if settings.run else "",
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        place=str(place),
    )
    write_looks(place, looks)
    return sequential_certificate


def print_next_look(settings: CertifySettings) -> None:
    """Say how the next look knows of this one."""
    say(f"looks so far: {looks_path(Path(settings.output))}; look again, with images added: output={settings.output}")


def weights_mark(run: Path) -> str:
    """Tell the weights of a run from those of others without loading them: by the checksums in the checkpoint's zip.

    Thresholds that are put into the checkpoint leave it as it is. Empty where there is no checkpoint of one model.
    """
    try:
        with zipfile.ZipFile(Run(run).best) as file:
            tensors = Counter((item.CRC, item.file_size) for item in file.infolist() if "/data/" in item.filename)
    except (OSError, zipfile.BadZipFile):
        return ""
    return hashlib.sha256(repr(sorted(tensors.items())).encode()).hexdigest()[:16]
