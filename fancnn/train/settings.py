"""Check the settings of a training by making its objects, where that is worth its seconds."""

from fancnn.settings.training import TrainSettings


def build(settings: TrainSettings) -> None:
    """Make the objects that a configuration names, and refuse what they refuse; of a command that trains as any."""
    from fancnn.assembly import check  # lazy: --help must not wait for torch

    check(settings)
