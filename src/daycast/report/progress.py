"""The progress of training: a bar on a terminal, a line an epoch elsewhere."""

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
        yield lambda progress: _log.info("%s", describe(progress))


def describe(progress: Progress) -> str:
    """The progress in a line."""
    return (
        f"training {progress.cell}: epoch {progress.epoch} of at most {progress.epochs}, "
        f"loss {progress.training_loss:.4f}, validation {progress.validation_loss:.4f}, "
        f"{progress.windows_per_s:,.0f} windows/s, at most {_seconds_left(progress):.0f} s left"
    )


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich import progress as rich  # noqa: PLC0415 - only where a terminal shows it
    from rich.console import Console  # noqa: PLC0415

    columns = (
        rich.TextColumn("training {task.description}"),
        rich.BarColumn(bar_width=20),
        rich.TextColumn("epoch {task.completed:.0f}/{task.total:.0f}  {task.fields[state]}"),
    )
    with rich.Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, rich.TaskID] = {}

        def watch(progress: Progress) -> None:
            if progress.cell not in tasks:
                tasks[progress.cell] = bar.add_task(progress.cell, total=progress.epochs, state="")
            speed = f"{progress.windows_per_s:,.0f} windows/s"
            state = f"loss {progress.validation_loss:.4f}  {speed}  {_seconds_left(progress):.0f} s"
            bar.update(tasks[progress.cell], completed=progress.epoch, state=state)

        yield watch


def _seconds_left(progress: Progress) -> float:
    """At most: training may stop earlier."""
    return (progress.epochs - progress.epoch) * progress.epoch_seconds
