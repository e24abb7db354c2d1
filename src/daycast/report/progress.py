"""The progress of training: a bar over all epochs of all networks on a terminal, a line an epoch elsewhere."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from daycast.model.train import Progress

_log = logging.getLogger("daycast")


@contextmanager
def show_training() -> Iterator[Callable[[Progress], None]]:
    """What to hand to the training loop as `watch`."""
    if sys.stderr.isatty():
        with _bar() as watch:
            yield watch
    else:
        left = time_left()
        yield lambda progress: _log.info("%s", describe(progress, left(progress)))


def describe(progress: Progress, seconds_left: float) -> str:
    """The progress in a line."""
    return (
        f"training {progress.cell} ({progress.member} of {progress.members}): "
        f"epoch {progress.epoch} of at most {progress.epochs}, "
        f"loss {progress.training_loss:.4f}, validation {progress.validation_loss:.4f}, "
        f"{progress.windows_per_s:,.0f} windows/s, at most {_clock(seconds_left)} left"
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
            speed = f"{progress.windows_per_s:,.0f} windows/s  ≤ {_clock(left(progress))} left"
            done, of = progress.epochs_done, progress.members * progress.epochs
            bar.update(task, description=name, total=of, completed=done, state=f"{state}  {speed}")

        yield watch


def _clock(seconds: float) -> str:
    """As minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
