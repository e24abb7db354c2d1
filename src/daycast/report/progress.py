"""The progress of training: a bar over all epochs of all networks on a terminal, lines elsewhere, at least two a minute."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from daycast.model.training.plan import minutes_and_seconds
from daycast.model.training.trainer import Progress

# The progress of an ingest: a bar on a terminal, nothing elsewhere.


class IngestState(Protocol):
    """How far an ingest has come: rows are stored first, then observations are made of them, piece by piece."""

    @property
    def source(self) -> str:
        """Whose rows they are."""

    @property
    def rows(self) -> int:
        """Rows stored so far."""

    @property
    def pieces_done(self) -> int:
        """Pieces of the observations that are made."""

    @property
    def pieces(self) -> int:
        """How many there will be; 0 while rows are still coming."""


@contextmanager
def show_ingest() -> Iterator[Callable[[IngestState], None]]:
    """What to hand to an ingest as `watch`: a bar on a terminal, nothing elsewhere."""
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
            said = f"{state.rows:,} rows" + (
                f", observations {state.pieces_done}/{state.pieces}" if state.pieces else ""
            )
            bar.update(tasks[state.source], completed=state.pieces_done, total=state.pieces or None, state=said)

        yield watch


_SILENT_S = 25.0  # after which a line says that training goes on
_log = logging.getLogger("daycast")


@contextmanager
def show_training(silent_s: float = _SILENT_S) -> Iterator[Callable[[Progress], None]]:
    """What to hand to the training loop as `watch`. silent_s: seconds without a line after which there is one, off a terminal."""
    if sys.stderr.isatty():
        with _bar() as watch:
            yield watch
    else:
        with _lines(silent_s) as watch:
            yield watch


def describe(progress: Progress, seconds_left: float) -> str:
    """The progress in a line."""
    return (
        f"training {progress.cell} ({progress.member} of {progress.members}): "
        f"epoch {progress.epoch} of at most {progress.epochs}, "
        f"loss {progress.training_loss:.4f}, validation {progress.validation_loss:.4f}, "
        f"{progress.windows_per_s:,.0f} windows/s, at most {minutes_and_seconds(seconds_left)} left"
    )


def time_left() -> Callable[[Progress], float]:
    """A function to call after each epoch: the seconds until all networks are trained, if none stops early.

    It takes the epochs to come for as long as the mean of those it was told of.
    """
    seconds: list[float] = []

    def left(progress: Progress) -> float:
        seconds.append(progress.epoch_seconds)
        return (progress.members * progress.epochs - progress.epochs_done) * sum(seconds) / len(seconds)

    return left


@contextmanager
def _lines(silent_s: float) -> Iterator[Callable[[Progress], None]]:
    """A line an epoch, and one where an epoch, or what comes before and after the epochs, takes long."""
    started, left, ended = time.monotonic(), time_left(), threading.Event()
    spoken = threading.Event()

    def watch(progress: Progress) -> None:
        spoken.set()
        _log.info("%s", describe(progress, left(progress)))

    def go_on() -> None:
        while not ended.wait(silent_s):
            if not spoken.is_set():
                _log.info("the fit goes on, for %s so far", minutes_and_seconds(time.monotonic() - started))
            spoken.clear()

    ticker = threading.Thread(target=go_on, name="training progress", daemon=True)
    ticker.start()
    try:
        yield watch
    finally:
        ended.set()
        ticker.join()


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich import progress as rich  # noqa: PLC0415 - only where a terminal shows it
    from rich.console import Console  # noqa: PLC0415

    columns = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(bar_width=12),
        rich.TextColumn("{task.fields[state]}"),
    )
    with rich.Progress(*columns, console=Console(stderr=True)) as bar:
        task, left = bar.add_task("training", total=None, state="the linear path comes first"), time_left()

        def watch(progress: Progress) -> None:
            name = f"{progress.cell} {progress.member}/{progress.members}"
            state = f"epoch {progress.epoch}/{progress.epochs}  loss {progress.validation_loss:.4f}"
            speed = f"{progress.windows_per_s:,.0f} windows/s  ≤ {minutes_and_seconds(left(progress))} left"
            done, of = progress.epochs_done, progress.members * progress.epochs
            bar.update(task, description=name, total=of, completed=done, state=f"{state}  {speed}")

        yield watch
