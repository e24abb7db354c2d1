"""The progress of an ingest: a bar on a terminal, nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


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
