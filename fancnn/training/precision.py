"""Which arithmetic training uses: bfloat16 where the hardware multiplies it, float32 elsewhere."""

import torch


def hardware_precision(accelerator: str) -> tuple[str, str]:
    """Return what `trainer.precision=auto` means on this machine.

    Args:
        accelerator: Lightning's name: `auto`, `gpu`, `cuda`, `cpu`, ...

    Returns:
        The precision for Lightning, `bf16-mixed` or `32-true`, and the reason in words.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed", f"{name} multiplies bfloat16"
        return "32-true", f"{name} has no bfloat16"
    if accelerator in ("auto", "cpu"):
        if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
            return "bf16-mixed", "this processor multiplies bfloat16 (AVX-512 or AMX)"
        return "32-true", "this processor has no bfloat16 in hardware"
    return "32-true", f"not known of the accelerator {accelerator}"
