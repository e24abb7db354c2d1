"""Every run leaves a row in `runs`: when it ran, as of which moment, and how it ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from uuid import uuid4

from daycast.redact import one_line
from daycast.settings import Settings
from daycast.steps.check_clock import warn_of_clock
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.runs import finish_run, start_run


@contextmanager
def recorded(settings: Settings, flow: str, as_of: datetime, clock: Callable[[], datetime]) -> Iterator[None]:
    """Note the block as a run of `flow`; an exception is noted by its message, without secrets, and goes on.

    as_of: nothing later is used in the block. clock: the real one; where it jumped since the last run, that is a warning.
    """
    run_id = uuid4().hex

    def note_end(status: str, message: str | None) -> None:
        with open_warehouse(settings.warehouse, settings.glossary.values(), as_of) as con:
            finish_run(con, run_id, clock(), status, message)

    with open_warehouse(settings.warehouse, settings.glossary.values(), as_of) as con:
        warn_of_clock(con, clock())
        start_run(con, run_id, flow, as_of, clock())
    try:
        yield
    except BaseException as error:
        with suppress(Exception):  # what the run failed of often prevents that too, and is what has to be told
            note_end("failed", one_line(str(error)) or type(error).__name__)
        raise
    note_end("done", None)
