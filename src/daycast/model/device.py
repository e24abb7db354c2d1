"""What a fit frees goes back to the system, where the C library is glibc; elsewhere nothing happens.

By itself glibc keeps what was freed, in pieces between those still in use that large arrays of another size do not fit into: a
fit of 1,000 stations would take up to a third of a gigabyte more. The names are those of mallopt(3) and malloc_trim(3).
"""

import ctypes
import sys
from functools import cache

import torch

from daycast.errors import ConfigError

# Where tensors live, and how exactly is calculated with them in training.


def choose_device(name: str) -> torch.device:
    """The device asked for; `auto` takes a GPU where there is one. Raises ConfigError where it is not there."""
    valid = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device("cuda" if valid["cuda"] else "cpu")
    if not valid[name]:
        raise ConfigError(f"model.device is {name!r}, and this machine has none: choose auto or cpu")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """What the forward pass of training is calculated in; `auto` takes bfloat16 on a GPU that is made for it, else float32."""
    if name == "auto":
        quick = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if quick else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 16 << 20  # bytes; at half of it training would lose a tenth of its speed
_KEPT = 64 << 20  # bytes at the end of the heap that are not given back at once


def map_large_blocks() -> None:
    """From now on large blocks are mapped each by itself, and go back when they are freed."""
    if library := _glibc():
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT)


def trim_memory() -> None:
    """What has been freed so far goes back, small blocks too."""
    if library := _glibc():
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None
