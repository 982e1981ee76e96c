"""The story of `python -m fancnn.export`: a run becomes one file for the line, and is compared with it."""

from collections.abc import Sequence
from pathlib import Path

from fancnn.errors import UserError
from fancnn.export.run_metadata import described
from fancnn.export.settings import ExportSettings
from fancnn.export.writing import atomic_export, write
from fancnn.files.run import BEST, LAST, Run
from fancnn.inference.export_formats import FORMATS
from fancnn.parity.parity import compared, images_in, own_images
from fancnn.runs import checkpoints
from fancnn.system.console import say


def export(settings: ExportSettings) -> bool:
    """Write the file, and say how it compares with the run.

    It takes its place once it was compared, so that a mistake leaves an earlier file there. Where decisions differ it
    takes it all the same: it is what the run gives, and what `parity` then looks into; the exit code keeps a script
    from using it.

    Returns:
        Whether no decision differs on any runtime.

    Raises:
        UserError: If the format is unknown or its packages are not installed, the run or the images cannot be found,
            the file cannot be written, or the run or the file gives NaN or infinity: then an earlier file stays.
    """
    settings.validate_paths()
    form = FORMATS[settings.format]
    path = (
        Path(settings.output).expanduser() if settings.output else Path(settings.output_dir) / f"inspector{form.suffix}"
    )
    if path.suffix != form.suffix:
        raise UserError(
            f"output={settings.output} should end in {form.suffix}: format={settings.format} is read by that"
        )
    checkpoint = checkpoints.find(settings.run, (BEST, LAST))
    model = checkpoints.load(checkpoint, image_limits=settings.image_limits)
    if settings.mm_per_pixel is not None:
        model.mm_per_pixel = settings.mm_per_pixel
    facts = described(model, checkpoint, settings.format)
    if settings.input:
        what, images = images_in(settings.input, model)
    else:
        what, images = own_images(model, Run.of_checkpoint(checkpoint).folder)
    with atomic_export(path, form) as written:
        write(model, facts, written, settings.format)
        say(f"compared on {what}")
        agrees = compared(model, written, images)
    opset = f", opset {facts.opset}" if facts.opset else ""
    say(f"exported: {_listed(form.files(path), settings.format + opset)}")
    return agrees


def _listed(files: Sequence[Path], kind: str) -> str:
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    together = "; keep both together" if len(files) > 1 else ""
    return f"{' and '.join(map(str, reversed(files)))} ({kind}, {megabytes:.1f} MB{together})"
