"""Where a model that is not being trained computes."""

import torch

from fancnn.errors import UserError


def chosen_device(name: str) -> torch.device:
    """Return `auto` is CUDA where there is one, else the CPU; any other name is torch's.

    Raises:
        UserError: If this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device={name} cannot be used here: {reason}. device=auto takes what there is") from error
    return device
