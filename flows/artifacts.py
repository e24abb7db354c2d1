"""Prefect artifacts: summaries, tables and pictures that Prefect's pages show beside a run.

The summary comes last and links to the others, and to the report. If an artifact cannot be made, that is a warning in the log
and never fails the run.
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
from daycast.flows.runs import page_of
from daycast.redact import redact
from daycast.settings import Settings

if TYPE_CHECKING:
    from uuid import UUID

    from daycast.model.training.trainer import Progress  # imports torch, which a run that only ingests does not need

_NONE = "no artifact"


def show_summary(
    flow: str,
    markdown: str,
    settings: Settings,
    rows: Sequence[Mapping[str, object]] = (),
    links: Mapping[str, str | None] | None = None,
    each_row: str = "",
) -> None:
    """Show what a run of `flow` did, or would do, as Markdown and, if there are rows, as a table (`each_row`: what a row says).

    The first line of the Markdown is what the list of artifacts shows as well, so it should say what came of the run.
    Below the Markdown stand links to the table, to what else the run shows (`links`: addresses by name), and to the report.
    """
    with tolerated(_NONE):
        found = dict(links or {})
        if rows:
            table = [{name: _plain(value) for name, value in row.items()} for row in rows]
            found = {"table": _page(create_table_artifact(table, f"{flow}-table", each_row)), **found}
        report = settings.live.report_url
        found["report"] = report if settings.report.exists() else None
        line = " · ".join(f"[{name}]({address})" for name, address in found.items() if address)
        if settings.report.exists() and not report:
            line += f"{' · ' if line else ''}report: `{settings.report}`"
        said = redact(markdown)
        first = next((one for one in said.splitlines() if one.strip("` ")), "")
        create_markdown_artifact("\n\n".join(filter(None, [said, line])), f"{flow}-summary", first.strip(" -"))


def show_image(key: str, draw: Callable[[], str], description: str) -> str | None:
    """Show a picture under `key`, and return its page; draw: returns the picture's URL, which may be a data URL."""
    with tolerated(_NONE):
        return _page(create_image_artifact(draw(), key=key, description=description))
    return None


def _page(artifact: object) -> str:
    """The page of an artifact, of which the functions that make one return the id."""
    return page_of("artifacts/artifact", artifact)


@contextmanager
def showing_training(watch: "Callable[[Progress], None]") -> "Iterator[Callable[[Progress], None]]":
    """Yield a `watch` for the training loop that calls the given one and moves a bar on the run's page, full at the end."""
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
    """The value as a JSON scalar; anything except numbers, booleans and None becomes text."""
    return value if isinstance(value, bool | int | float | type(None)) else redact(str(value))
