"""A signal ends a command, SIGINT (Ctrl-C) and SIGTERM alike: within five seconds, whatever the command is doing.

Python acts on a signal only between two of its own instructions. A long call into DuckDB, polars or torch, or a thread that is
waited for, can hold that up for minutes. So a thread watches too: the signal wakes it at once, and it ends the process if that
is still there after a few seconds. What was committed stays, as after a kill.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

GRACE_S = 4.0  # in which the command may end by itself
_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_to_tell = threading.Lock()  # taken by whoever tells


class Interrupted(KeyboardInterrupt):
    """A signal came; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def ending_on_signals(grace_s: float = GRACE_S) -> Iterator[None]:
    """In this block SIGINT and SIGTERM raise Interrupted, and the process ends `grace_s` seconds later at the latest.

    That holds until the process has ended, also after the block. A signal that the process was started to ignore stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield
        return
    heard = [number for number in _NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _interrupt) for number in heard}
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    waked_before = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    threading.Thread(target=_end_after, args=(woken, grace_s), name="signals", daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        raise  # what is left to do at the end of the process is watched as well
    except BaseException:
        _disarm(before, waked_before, wakes)
        raise
    _disarm(before, waked_before, wakes)


def tell_interrupted(error: KeyboardInterrupt) -> int:
    """Say in one line that the command was interrupted; returns the exit status that a shell gives the signal."""
    number = getattr(error, "number", int(signal.SIGINT))
    _tell()
    return 128 + int(number)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


def _disarm(before: Mapping[signal.Signals, object], waked_before: int, wakes: int) -> None:
    signal.set_wakeup_fd(waked_before)
    for number, handler in before.items():
        signal.signal(number, handler)  # type: ignore[arg-type]
    os.close(wakes)


def _end_after(woken: int, grace_s: float) -> None:
    """Wait for the first signal, and then for the end of the process, which comes one way or the other."""
    number, deadline = 0, float("inf")
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([woken], [], [], None if left == float("inf") else left)
        if not ready:
            continue
        came = os.read(woken, 1)
        if not came:  # disarmed
            os.close(woken)
            return
        if not number and came[0] in _NUMBERS:
            number, deadline = came[0], time.monotonic() + grace_s
    _tell()
    os._exit(128 + number)


def _tell() -> None:
    if _to_tell.acquire(blocking=False):  # whichever thread comes first, once
        said = "daycast: interrupted; what was committed stays, and the same command continues from there\n"
        try:
            sys.stderr.flush()
            os.write(2, said.encode())
        except (OSError, ValueError):  # nobody reads it
            pass
