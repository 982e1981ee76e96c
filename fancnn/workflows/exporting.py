"""The story of `python -m fancnn.export`: a run becomes one file for the line, and is compared with it."""

from pathlib import Path

from fancnn import checkpoints
from fancnn.console import say
from fancnn.deployment.described import described
from fancnn.deployment.writing import FORMATS, write
from fancnn.errors import UserError
from fancnn.learning.checkpointing import BEST, LAST
from fancnn.line_settings import ExportSettings
from fancnn.workflows.runtime_parity import compared, own_pictures, pictures_in


def export(settings: ExportSettings) -> bool:
    """Write the file, and say how it compares with the run.

    Returns:
        Whether no decision differs on any runtime.

    Raises:
        UserError: If the format is unknown or its packages are not installed, the run cannot be found, or the file
            cannot be written.
    """
    if settings.format not in FORMATS:
        raise UserError(f"format={settings.format!r} is none of {', '.join(FORMATS)}")
    form = FORMATS[settings.format]
    path = (
        Path(settings.output).expanduser() if settings.output else Path(settings.output_dir) / f"inspector{form.suffix}"
    )
    if path.suffix != form.suffix:
        raise UserError(
            f"output={settings.output} should end in {form.suffix}: format={settings.format} is read by that"
        )
    checkpoint = checkpoints.find(settings.run, (BEST, LAST))
    model = checkpoints.load(checkpoint)
    facts = described(model, checkpoint, settings.format)
    write(model, facts, path, settings.format)
    opset = f", opset {facts.opset}" if facts.opset else ""
    say(f"exported: {path} ({settings.format}{opset}, {path.stat().st_size / 1e6:.1f} MB)")
    if settings.input:
        what, pictures = pictures_in(settings.input, model)
    else:
        what, pictures = own_pictures(model, checkpoints.run_folder(checkpoint))
    say(f"compared on {what}")
    return compared(model, path, pictures)
