"""Every run leaves a row in `runs`: when it ran, as of which moment, and how it ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import uuid4

from daycast.errors import tolerated
from daycast.redact import one_line
from daycast.settings import Settings
from daycast.steps.check_clock import warn_of_clock
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.runs import finish_run, start_run

_PATIENCE_S = 120.0  # while another process is in the warehouse


@contextmanager
def recorded(settings: Settings, flow: str, as_of: datetime, clock: Callable[[], datetime]) -> Iterator[None]:
    """Note the block as a run of `flow`; an exception is noted by its message, without secrets, and goes on.

    as_of: nothing later is used in the block. clock: the real one; where it jumped since the last run, that is a warning.
    A run that cannot be noted is a warning: it is run all the same, and what it did stays done. Raises WarehouseError before the
    block where the warehouse cannot be opened.
    """
    run_id = uuid4().hex
    with (
        open_warehouse(settings.warehouse, settings.glossary.values(), as_of) as con,
        tolerated(f"this {flow} is not noted in `runs`"),
    ):
        warn_of_clock(con, clock())
        start_run(con, run_id, flow, as_of, clock())
    status, message, wait_s = "failed", None, _PATIENCE_S
    try:
        yield
        status = "done"
    except BaseException as error:
        message = one_line(str(error)) or type(error).__name__
        wait_s = _PATIENCE_S if isinstance(error, Exception) else 0.0  # whoever interrupts does not wait
        raise
    finally:
        with (
            tolerated(f"the end of this {flow} is not noted in `runs`"),
            open_warehouse(settings.warehouse, settings.glossary.values(), as_of, wait_s) as con,
        ):
            finish_run(con, run_id, clock(), status, message)
