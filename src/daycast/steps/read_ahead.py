"""Read a source in a thread, so that its batches are stored while the next ones are read."""

import contextvars
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from types import TracebackType
from typing import Self

from daycast.sources.batch import SourceBatch, Stop, StoppedError, current_stop

GROUP_ROWS = 500_000  # rows stored at once: bounds memory, and what a killed run loses
GROUP_SECONDS = 5.0  # a group is stored after this time at the latest
PAUSE_S = 0.5  # and as soon as the source has delivered nothing for this time
_LEAVE_S = 1.0  # how long the thread may take to stop; after that it is left behind


class ReadAhead:
    """Reads batches in a thread and hands them over in groups of about GROUP_ROWS rows.

    The next group is read while the caller stores the one before. A context manager: leaving it stops the reading.
    read: yields the batches, called in the thread. seconds: after this time no more is waited for; None: no limit.
    """

    def __init__(self, read: Callable[[], Generator[SourceBatch, None, None]], seconds: float | None) -> None:
        self.error: BaseException | None = None  # what `read` raised, after everything it yielded before
        self.out_of_time = False  # whether `read` was not done when its time was over
        self._read, self._stop, self._changed = read, Stop(), threading.Condition()
        self._group, self._rows, self._ended = list[SourceBatch](), 0, False
        self._last_batch_at = 0.0
        self._deadline = float("inf") if seconds is None else time.monotonic() + seconds
        context = contextvars.copy_context()
        context.run(current_stop.set, self._stop)
        self._thread = threading.Thread(target=context.run, args=[self._run], name="reading", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.ask()
        with self._changed:
            self._changed.notify_all()  # the thread may be waiting for room
        self._thread.join(_LEAVE_S)

    def groups(self) -> Iterator[list[SourceBatch]]:
        """Yield the groups. Afterwards `error` and `out_of_time` tell how the reading ended."""
        while not self.out_of_time:
            group, ended = self._next_group()
            if not ended and time.monotonic() >= self._deadline:
                self.out_of_time = True
                self._stop.ask()
            if group:
                yield group
            if ended:
                return

    def _next_group(self) -> tuple[list[SourceBatch], bool]:
        """Wait for a group and return it, and whether it was the last. It is smaller, or empty, if a time limit was reached."""
        with self._changed:
            begun = time.monotonic()
            while not self._ended and self._rows < GROUP_ROWS:
                due = self._deadline
                if self._group:
                    due = min(due, begun + GROUP_SECONDS, self._last_batch_at + PAUSE_S)
                left = due - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(None if left == float("inf") else left)
            group, self._group, self._rows = self._group, [], 0
            self._changed.notify_all()
            return group, self._ended

    def _run(self) -> None:
        """Read everything; the body of the thread."""
        try:
            with closing(self._read()) as batches:
                for batch in batches:
                    self._put(batch)
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - the storing thread decides what to do about it
            self.error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, batch: SourceBatch) -> None:
        """Add a batch to the group, waiting while the group is full."""
        with self._changed:
            while self._rows >= GROUP_ROWS and not self._stop.is_asked:
                self._changed.wait()
            self._stop.check()
            self._group.append(batch)
            self._rows, self._last_batch_at = self._rows + len(batch.readings), time.monotonic()
            self._changed.notify_all()
