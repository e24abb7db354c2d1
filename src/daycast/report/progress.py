"""Progress of long work: `show_training` and `show_ingest` yield a `watch` to call as the work goes on.

Training shows a bar over all epochs of all networks on a terminal, and log lines elsewhere, at least two a minute. An ingest
shows a bar on a terminal, and nothing elsewhere.
"""

import contextvars
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from daycast.times import minutes_and_seconds

if TYPE_CHECKING:
    from daycast.model.training.trainer import Progress

_QUIET_S = 25.0  # after so many seconds without a line, one says that training goes on
_log = logging.getLogger("daycast")


class IngestState(Protocol):
    """How far an ingest has come: first it stores rows, then it makes observations of them, piece by piece."""

    @property
    def source(self) -> str:
        """The name of the source."""

    @property
    def rows(self) -> int:
        """Rows stored so far."""

    @property
    def pieces_done(self) -> int:
        """Pieces of the observations that are done."""

    @property
    def pieces(self) -> int:
        """The number of pieces; 0 while rows are still being stored."""


@contextmanager
def show_ingest() -> Iterator[Callable[[IngestState], None]]:
    """Yield a `watch` for an ingest: it moves a bar on a terminal, and does nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import progress as rich  # noqa: PLC0415 - only where a terminal shows it
    from rich.console import Console  # noqa: PLC0415

    columns = (
        rich.TextColumn("ingest {task.description}"),
        rich.BarColumn(bar_width=20),
        rich.TextColumn("{task.fields[state]}"),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, rich.TaskID] = {}

        def watch(state: IngestState) -> None:
            if state.source not in tasks:
                tasks[state.source] = bar.add_task(state.source, total=None, state="")
            text = f"{state.rows:,} rows" + (
                f", observations {state.pieces_done}/{state.pieces}" if state.pieces else ""
            )
            bar.update(tasks[state.source], completed=state.pieces_done, total=state.pieces or None, state=text)

        yield watch


@contextmanager
def show_training(silent_s: float = _QUIET_S) -> Iterator[Callable[["Progress"], None]]:
    """Yield a `watch` for the training loop: it moves a bar on a terminal, and writes log lines elsewhere.

    silent_s: without a terminal, a line says that training goes on after so many seconds without another line.
    """
    if sys.stderr.isatty():
        with _bar() as watch:
            yield watch
    else:
        with _lines(silent_s) as watch:
            yield watch


def describe(progress: "Progress", seconds_left: float) -> str:
    """The progress in one line. seconds_left: an upper bound for the rest of the training."""
    return (
        f"training {progress.cell} ({progress.member} of {progress.members}): "
        f"epoch {progress.epoch} of at most {progress.epochs}, "
        f"loss {progress.training_loss:.4f}, validation {progress.validation_loss:.4f}, "
        f"{progress.windows_per_s:,.0f} windows/s, at most {minutes_and_seconds(seconds_left)} left"
    )


def time_left() -> Callable[["Progress"], float]:
    """A function to call after each epoch; it returns the seconds until all networks are trained, if none stops early.

    It assumes that each epoch to come takes as long as the mean of the epochs so far.
    """
    seconds: list[float] = []

    def left(progress: "Progress") -> float:
        seconds.append(progress.epoch_seconds)
        return (progress.members * progress.epochs - progress.epochs_done) * sum(seconds) / len(seconds)

    return left


@contextmanager
def _lines(silent_s: float) -> Iterator[Callable[["Progress"], None]]:
    """Log a line for each epoch, and further lines while an epoch, or the work before and after the epochs, takes long."""
    started, left, ended = time.monotonic(), time_left(), threading.Event()
    logged, last = threading.Event(), list[str]()

    def watch(progress: "Progress") -> None:
        logged.set()
        last[:] = [f"; {progress.cell} ({progress.member} of {progress.members}) is past epoch {progress.epoch}"]
        _log.info("%s", describe(progress, left(progress)))

    def log_while_quiet() -> None:
        while not ended.wait(silent_s):
            if not logged.is_set():
                so_far = minutes_and_seconds(time.monotonic() - started)
                _log.info("the fit goes on, for %s so far%s", so_far, "".join(last))
            logged.clear()

    # in this context, because the lines belong to the run of Prefect that it names
    run = contextvars.copy_context().run
    ticker = threading.Thread(target=run, args=[log_while_quiet], name="training progress", daemon=True)
    ticker.start()
    try:
        yield watch
    finally:
        ended.set()
        ticker.join()


@contextmanager
def _bar() -> Iterator[Callable[["Progress"], None]]:
    from rich import progress as rich  # noqa: PLC0415 - only where a terminal shows it
    from rich.console import Console  # noqa: PLC0415

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(bar_width=12),
        rich.TextColumn("{task.fields[state]}"),
    )
    with rich.Progress(*columns, console=Console(stderr=True)) as bar:
        task, left = bar.add_task("training", total=None, state="the linear path comes first"), time_left()

        def watch(progress: "Progress") -> None:
            name = f"{progress.cell} {progress.member}/{progress.members}"
            state = f"epoch {progress.epoch}/{progress.epochs}  loss {progress.validation_loss:.4f}"
            speed = f"{progress.windows_per_s:,.0f} windows/s  ≤ {minutes_and_seconds(left(progress))} left"
            done, of = progress.epochs_done, progress.members * progress.epochs
            bar.update(task, description=name, total=of, completed=done, state=f"{state}  {speed}")

        yield watch
