"""Where tensors live, and how exactly is calculated with them in training."""

import torch

from daycast.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """The device asked for; `auto` takes a GPU where there is one. Raises ConfigError where it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "cpu")
    if not there[name]:
        raise ConfigError(f"model.device is {name!r}, and this machine has none: choose auto or cpu")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """What the forward pass of training is calculated in; `auto` takes bfloat16 on a GPU that is made for it, else float32."""
    if name == "auto":
        quick = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if quick else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
