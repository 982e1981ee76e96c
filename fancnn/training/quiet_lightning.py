"""Lightning's own messages, kept to what a user of fancnn can act on."""

import logging
import warnings

# message (a regular expression) and why it is not shown
NOT_FOR_USERS = (
    # images are in memory and a batch is one gather: worker processes would only copy them
    r"The '\w+' does not have many workers",
    # our own progress and epochs of few steps: nothing is logged each step
    r"The number of training batches .* is smaller than the logging interval",
    # the run folder is new; what is in it was put there by this run
    r"Checkpoint directory .* exists and is not empty",
    # a resumed run has a new one
    r"The dirpath has changed from",
    # the graph on TensorBoard is traced by torch's own writer, which still traces the old way
    r"`torch\.jit\.trace\w*` is deprecated",
    r"Converting a tensor to a Python (boolean|float|integer)",
    # batch norms of frozen layers, which keep their statistics
    r"Found \d+ module\(s\) in eval mode at the start of training",
    # between Lightning and torch
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    r"torch\.distributed\.nn\.functional\.all_gather is deprecated",
)


def quiet_lightning() -> None:
    """Show Lightning's warnings alone, once each, and none of `NOT_FOR_USERS`."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()  # Hydra's handler shows the line already
        logger.setLevel(logging.WARNING)
    for message in NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message=message)
