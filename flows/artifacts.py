"""What a run came to, where operators look: artifacts of the orchestrator, which its pages show beside the run.

They are courtesy: one that cannot be made costs a line in the log, and never the run.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from daycast.errors import tolerated
from daycast.redact import redact

if TYPE_CHECKING:
    from uuid import UUID

    from daycast.model.training.trainer import Progress  # loads torch, which a run that only ingests does not need

_NONE = "no artifact"


def show_summary(flow: str, markdown: str, rows: Sequence[Mapping[str, object]] = ()) -> None:
    """Show what a run of `flow` did, or would do, as text and, where there are rows, as a table."""
    with tolerated(_NONE):
        create_markdown_artifact(redact(markdown), key=f"{flow}-summary")
        if rows:
            create_table_artifact(
                [{name: _plain(value) for name, value in row.items()} for row in rows], key=f"{flow}-table"
            )


def show_image(key: str, draw: Callable[[], str], description: str) -> None:
    """Show a picture; draw: gives its address."""
    with tolerated(_NONE):
        create_image_artifact(draw(), key=key, description=description)


@contextmanager
def showing_training(watch: "Callable[[Progress], None]") -> "Iterator[Callable[[Progress], None]]":
    """A `watch` for the training loop that tells this one, and moves a bar on the run's page; the bar is full at the end."""
    bar: UUID | None = None
    with tolerated(_NONE):
        bar = create_progress_artifact(0.0, key="training", description="Epochs of all networks; some may stop early.")

    def move(percent: float, description: str) -> None:
        if bar is not None:
            with tolerated(_NONE):
                update_progress_artifact(bar, percent, description)

    def both(progress: "Progress") -> None:
        watch(progress)
        share = progress.epochs_done / (progress.members * progress.epochs)
        loss = f"validation loss {progress.validation_loss:.4f}"
        network = f"network {progress.member} of {progress.members} ({progress.cell})"
        move(100 * share, f"{network}, epoch {progress.epoch} of at most {progress.epochs}, {loss}")

    yield both
    move(100.0, "Trained.")


def _plain(value: object) -> Any:
    """As JSON and people understand it."""
    return value if isinstance(value, bool | int | float | type(None)) else redact(str(value))
