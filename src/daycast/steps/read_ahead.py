"""Read a source in a thread of its own, ahead of whoever stores what it gives, until it ends or its time is over."""

import contextvars
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from types import TracebackType
from typing import Self

from daycast.sources.delivery import Delivery
from daycast.sources.stop import Stop, StoppedError, current_stop

GROUP_ROWS = 500_000  # stored at once: bounded memory, and a killed run loses no more
GROUP_SECONDS = 5.0  # or sooner, where a source is slow
PAUSE_S = 0.5  # or at once, where nothing comes for so long
_LEAVE_S = 1.0  # for the thread to end once it is asked to; it cannot keep the process from ending


class ReadAhead:
    """What `read` yields, in groups of about GROUP_ROWS rows; the next group is read while the one before is stored.

    A context manager, whose end stops the reading wherever it is. read: called in the thread. seconds: after which no more is
    waited for; None: never.
    """

    def __init__(self, read: Callable[[], Generator[Delivery, None, None]], seconds: float | None) -> None:
        self.error: BaseException | None = None  # what `read` raised, after all that it gave before
        self.out_of_time = False  # it was not done when its time was over
        self._read, self._stop, self._changed = read, Stop(), threading.Condition()
        self._group, self._rows, self._ended = list[Delivery](), 0, False
        self._came = 0.0  # when the last delivery of the group did
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
            self._changed.notify_all()  # it may wait for room
        self._thread.join(_LEAVE_S)

    def groups(self) -> Iterator[list[Delivery]]:
        """Yield the groups. Afterwards `error` and `out_of_time` say how that ended."""
        while not self.out_of_time:
            group, ended = self._take()
            if not ended and time.monotonic() >= self._deadline:
                self.out_of_time = True
                self._stop.ask()
            if group:
                yield group
            if ended:
                return

    def _take(self) -> tuple[list[Delivery], bool]:
        """Wait for a group, and take it: smaller or empty where no more is waited for. Returns too whether it was the last."""
        with self._changed:
            begun = time.monotonic()
            while not self._ended and self._rows < GROUP_ROWS:
                due = self._deadline
                if self._group:
                    due = min(due, begun + GROUP_SECONDS, self._came + PAUSE_S)
                left = due - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(None if left == float("inf") else left)
            group, self._group, self._rows = self._group, [], 0
            self._changed.notify_all()
            return group, self._ended

    def _run(self) -> None:
        try:
            with closing(self._read()) as deliveries:
                for delivery in deliveries:
                    self._put(delivery)
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - whoever stores decides what becomes of it
            self.error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, delivery: Delivery) -> None:
        with self._changed:
            while self._rows >= GROUP_ROWS and not self._stop.is_asked:
                self._changed.wait()
            self._stop.check()
            self._group.append(delivery)
            self._rows, self._came = self._rows + len(delivery.readings), time.monotonic()
            self._changed.notify_all()
