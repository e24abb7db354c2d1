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
    if not sys.stderr.isatty():
        yield lambda progress: _log.info("%s", _line(progress))
        return
    from rich.console import Console  # noqa: PLC0415 - only where a terminal shows it
    from rich.progress import Progress as Bar  # noqa: PLC0415

    with Bar(console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, int] = {}

        def watch(progress: Progress) -> None:
            if progress.cell not in tasks:
                tasks[progress.cell] = bar.add_task(progress.cell, total=progress.epochs)
            bar.update(tasks[progress.cell], completed=progress.epoch, description=_line(progress))  # type: ignore[arg-type]

        yield watch


def _line(progress: Progress) -> str:
    left = (progress.epochs - progress.epoch) * progress.epoch_seconds
    return (
        f"training {progress.cell}: epoch {progress.epoch} of at most {progress.epochs}, loss {progress.training_loss:.4f}, "
        f"validation {progress.validation_loss:.4f}, {progress.windows_per_s:,.0f} windows/s, at most {left:.0f} s left"
    )
