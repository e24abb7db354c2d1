"""How reading a source is stopped from outside, in the middle of a download."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class StoppedError(BaseException):
    """Whoever wanted to read has left. No error of the source: it passes by all who handle those."""


class Stop:
    """A wish that may come at any moment, from any thread."""

    def __init__(self) -> None:
        self._came, self._lock = threading.Event(), threading.Lock()
        self._cuts: list[Callable[[], None]] = []

    def ask(self) -> None:
        """Have the reading end: what waits wakes, what is being asked is cut off."""
        with self._lock:
            self._came.set()
            for cut in self._cuts:
                cut()

    @property
    def is_asked(self) -> bool:
        """Whether it has come."""
        return self._came.is_set()

    def check(self) -> None:
        """Raise StoppedError if it has come."""
        if self._came.is_set():
            raise StoppedError

    def sleep(self, seconds: float) -> None:
        """Wait. Raises StoppedError once it comes."""
        self._came.wait(seconds)
        self.check()

    @contextmanager
    def cutting(self, cut: Callable[[], None]) -> Iterator[None]:
        """Call `cut` if it comes within the block. Raises StoppedError where it has come already."""
        with self._lock:
            self.check()
            self._cuts.append(cut)
        try:
            yield
        finally:
            with self._lock:
                self._cuts.remove(cut)
            self.check()  # what fails of the cut is no error of the source


current_stop: ContextVar[Stop] = ContextVar("current_stop")  # of the thread that reads; unset where nobody stops it


def find_stop() -> Stop:
    """The wish that this thread listens to; one that never comes where nobody set any."""
    return current_stop.get(None) or Stop()
