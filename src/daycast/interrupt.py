"""SIGINT (Ctrl-C) and SIGTERM end a command within five seconds, whatever it is doing.

Python handles a signal only between two of its own instructions. A long call into DuckDB, polars or torch can delay that for
minutes. So a thread watches too: the signal wakes it at once, and it ends the process if the process still runs a few seconds
later. What was committed stays, as after a kill.

`ending_on_signals` installs both; `tell_interrupted` reports the interrupt and gives the exit status.
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

GRACE_S = 4.0  # the command may take so long to end by itself
_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_message_lock = threading.Lock()  # never released: the message is printed once


class Interrupted(KeyboardInterrupt):
    """A signal arrived; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def ending_on_signals(grace_s: float = GRACE_S) -> Iterator[None]:
    """In this block SIGINT and SIGTERM raise Interrupted, and the process ends at most `grace_s` seconds later.

    After a signal the deadline holds until the process has ended, even after the block. A signal that the process ignores from
    its start (as under nohup) stays ignored. Outside the main thread the block runs without any of this.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    handled = [number for number in _NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    old_handlers = {number: signal.signal(number, _interrupt) for number in handled}
    pipe_read, pipe_write = os.pipe()
    os.set_blocking(pipe_write, False)
    old_wakeup = signal.set_wakeup_fd(pipe_write, warn_on_full_buffer=False)
    threading.Thread(target=_end_after, args=(pipe_read, grace_s), name="signals", daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        raise  # the thread keeps watching the end of the process
    except BaseException:
        _disarm(old_handlers, old_wakeup, pipe_write)
        raise
    _disarm(old_handlers, old_wakeup, pipe_write)


def tell_interrupted(error: KeyboardInterrupt) -> int:
    """Print one line that the command was interrupted; returns the exit status that a shell uses for the signal."""
    number = getattr(error, "number", int(signal.SIGINT))
    _print_message()
    return 128 + int(number)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


def _disarm(old_handlers: Mapping[signal.Signals, object], old_wakeup: int, pipe_write: int) -> None:
    signal.set_wakeup_fd(old_wakeup)
    for number, handler in old_handlers.items():
        signal.signal(number, handler)  # type: ignore[arg-type]
    os.close(pipe_write)


def _end_after(pipe_read: int, grace_s: float) -> None:
    """Wait for the first signal, then for `grace_s` seconds, and end the process if it still runs."""
    number, deadline = 0, float("inf")
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([pipe_read], [], [], None if left == float("inf") else left)
        if not ready:
            continue
        received = os.read(pipe_read, 1)
        if not received:  # disarmed
            os.close(pipe_read)
            return
        if not number and received[0] in _NUMBERS:
            number, deadline = received[0], time.monotonic() + grace_s
    _print_message()
    os._exit(128 + number)


def _print_message() -> None:
    if _message_lock.acquire(blocking=False):  # only the first thread prints
        message = "daycast: interrupted; what was committed stays, and the same command continues from there\n"
        try:
            sys.stderr.flush()
            os.write(2, message.encode())
        except (OSError, ValueError):  # nobody reads it
            pass
