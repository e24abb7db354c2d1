"""Where tensors live, how precisely training calculates, and memory that glibc gives back to the system.

By itself glibc keeps freed memory in pieces that are too small for the next large arrays: a fit of 1,000 stations would need up
to a third of a gigabyte more. mallopt(3) and malloc_trim(3) describe the two calls. With another C library nothing happens.
"""

import ctypes
import sys
from functools import cache

import torch

from daycast.errors import ConfigError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from malloc.h
_MMAP_BYTES = 16 << 20  # with half of it training loses a tenth of its speed
_TRIM_BYTES = 64 << 20  # free bytes at the end of the heap that are kept


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is a CUDA GPU if there is one, else the CPU. Raises ConfigError if there is none."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available[name]:
        raise ConfigError(f"model.device is {name!r}, and this machine has none: choose auto or cpu")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The type of the forward pass in training; `auto` is bfloat16 on a GPU with native support, else float32.

    Raises ConfigError if bfloat16 is asked for on a processor that cannot calculate an LSTM in it.
    """
    if name == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float32
    if name == "bfloat16" and device.type == "cpu" and not cpu_has_bfloat16():
        raise ConfigError("model.precision is 'bfloat16', and this processor lacks it: choose auto or float32")
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


@cache
def cpu_has_bfloat16() -> bool:
    """Whether oneDNN has an LSTM in bfloat16 for this processor: tried, because torch does not tell."""
    try:
        with torch.autocast("cpu", torch.bfloat16):
            torch.nn.LSTM(1, 1)(torch.zeros(1, 1, 1))
    except RuntimeError:
        return False
    return True


def map_large_blocks() -> None:
    """Let glibc map each large block separately from now on, so that it goes back to the system when it is freed."""
    if library := _glibc():
        library.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)


def trim_memory() -> None:
    """Give all freed memory back to the system, small blocks too."""
    if library := _glibc():
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None
