"""Where tensors live."""

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
