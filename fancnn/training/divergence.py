"""A training whose numbers have left the range of floats: it ends in words, before its weights are kept."""

from torch import Tensor, nn

from fancnn.errors import UserError


def validate_finite(what: str, epoch: int, module: nn.Module, *results: Tensor) -> None:
    """Refuse weights, or results of a network, that are infinite or no numbers.

    Args:
        what: Of training: what is named as diverged.
        epoch: From 1.
        module: Whose weights and statistics.
        results: Of it.

    Raises:
        UserError: With the epoch and the way out.
    """
    if all(bool(of.isfinite().all()) for of in (*results, *module.parameters(), *module.buffers())):
        return
    raise UserError(
        f"{what} diverged in epoch {epoch}: the network's weights or its output are no numbers any more. Lower "
        "model.optimizer.lr (python -m fancnn.lr_find prints one), or take +trainer.gradient_clip_val=1"
    )
