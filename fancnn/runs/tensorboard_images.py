"""Figures onto the TensorBoard of a folder, in place of earlier ones of the same kind."""

from collections.abc import Iterable
from pathlib import Path


def events_folder(place: Path) -> Path | None:
    """Return where a run's own TensorBoard events lie; None where it has none."""
    events = sorted(place.rglob("events.out.tfevents.*"))
    # figures that were put there later have a name of their own, such as .report
    return next((path.parent for path in events if path.name.rpartition(".")[2].isdigit()), None)


def replace_images(folder: Path, suffix: str, images: Iterable[tuple[str, bytes]], step: int) -> None:
    """Write PNG images by tag as events whose file ends in `suffix`; those of before are removed."""
    earlier = list(folder.glob(f"events.out.tfevents.*{suffix}"))
    # what torch.utils.tensorboard writes with, without torch
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder), filename_suffix=suffix)
    for tag, png in images:
        summary = Summary(value=[Summary.Value(tag=tag, image=Summary.Image(encoded_image_string=png))])
        writer.add_event(Event(step=step, summary=summary))
    writer.close()
    for path in earlier:  # a kill before this leaves some figures twice, and none is lost
        path.unlink()
