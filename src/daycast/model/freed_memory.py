"""What a fit frees goes back to the system, where the C library is glibc; elsewhere nothing happens.

By itself glibc keeps what was freed, in pieces between those still in use that large arrays of another size do not fit into: a
fit of 1,000 stations would take up to a third of a gigabyte more. The names are those of mallopt(3) and malloc_trim(3).
"""

import ctypes
import sys
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 16 << 20  # bytes; at half of it training would lose a tenth of its speed
_KEPT = 64 << 20  # bytes at the end of the heap that are not given back at once


def map_large_blocks() -> None:
    """From now on large blocks are mapped each by itself, and go back when they are freed."""
    if library := _glibc():
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT)


def give_back_memory() -> None:
    """What has been freed so far goes back, small blocks too."""
    if library := _glibc():
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None
