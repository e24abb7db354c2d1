"""Every run leaves a row in `runs`: when it ran, as of which moment, and how it ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import uuid4

from daycast.settings import Settings
from daycast.steps.check_clock import warn_of_clock
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.runs import finish_run, start_run


@contextmanager
def recorded(settings: Settings, flow: str, as_of: datetime, clock: Callable[[], datetime]) -> Iterator[None]:
    """Note the block as a run of `flow`; an exception is noted by its message and goes on.

    as_of: nothing later is used in the block. clock: the real one; where it jumped since the last run, that is a warning.
    """
    run_id = uuid4().hex
    with open_warehouse(settings.warehouse, settings.glossary.values(), as_of) as con:
        warn_of_clock(con, clock())
        start_run(con, run_id, flow, as_of, clock())
    status, message = "failed", None
    try:
        yield
        status = "done"
    except BaseException as error:
        message = str(error) or type(error).__name__
        raise
    finally:
        with open_warehouse(settings.warehouse, settings.glossary.values(), as_of) as con:
            finish_run(con, run_id, clock(), status, message)
