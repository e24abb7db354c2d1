"""The log of runs: every run leaves a row in `runs`; and the repair of what a wrong clock wrote.

`recorded` wraps a run. `correct_clock` checks the clock against what earlier runs wrote, and repairs times in the future.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import uuid4

import duckdb
import polars as pl

from daycast.errors import tolerated
from daycast.redact import one_line
from daycast.settings import Settings
from daycast.steps.load import stale_ranges
from daycast.steps.serving import update_retirements
from daycast.times import DAY, HOUR
from daycast.warehouse.observations import mark_stale
from daycast.warehouse.runs import (
    correct_watermarks,
    correct_written_times,
    finish_run,
    has_run_between,
    read_late_receipts,
    read_newest_observed,
    read_newest_written_time,
    start_run,
)
from daycast.warehouse.warehouse import transaction

_log = logging.getLogger("daycast")
_TOLERANCE = HOUR  # clocks of two machines differ, and are adjusted
_LONGEST_PAUSE = 31 * DAY  # between two runs, before there is a warning
_WAIT_S = 120.0  # for another process that has the warehouse open


@contextmanager
def recorded(settings: Settings, flow: str, as_of: datetime, clock: Callable[[], datetime]) -> Iterator[None]:
    """Record the block as a run of `flow`. An exception is recorded by its message, without secrets, and raised again.

    as_of: the run uses nothing later. clock: returns the real time; there is a warning if it jumped since the last run. Stations
    of sources that are not configured any more are noted as retired first. If the run cannot be recorded, that is a warning and
    the block runs all the same. Raises WarehouseError before the block if the warehouse cannot be opened.
    """
    run_id = uuid4().hex
    with (
        settings.warehouse.write(as_of) as con,
        tolerated(f"this {flow} is not noted in `runs`"),
    ):
        warn_of_clock(con, clock())
        update_retirements(con, settings, clock())
        start_run(con, run_id, flow, as_of, clock())
    status, message, wait_s = "failed", None, _WAIT_S
    try:
        yield
        status = "done"
    except BaseException as error:
        message = one_line(str(error)) or type(error).__name__
        wait_s = _WAIT_S if isinstance(error, Exception) else 0.0  # after an interrupt, do not wait
        raise
    finally:
        with (
            tolerated(f"the end of this {flow} is not noted in `runs`"),
            settings.warehouse.write(as_of, wait_s=wait_s) as con,
        ):
            finish_run(con, run_id, clock(), status, message)


def warn_of_clock(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Warn once if the clock jumped since the last run, and repair what a clock that ran ahead wrote.

    Call before the run is recorded.
    """
    newest = read_newest_written_time(con)
    if newest is None:
        return
    if now - newest > _LONGEST_PAUSE:
        _log.warning("the last run was %s ago, at %s: is the clock right?", _days(now, newest), _show(newest))
    observed = read_newest_observed(con) if newest - now > _TOLERANCE else None
    if (
        observed is not None and observed - now > _TOLERANCE and not has_run_between(con, now - DAY, now)
    ):  # else it was reported already
        _log.warning(
            "the clock went back: it is %s, the newest run was at %s, %s ahead, and there are observations of %s: set the clock",
            _show(now),
            _show(newest),
            _days(newest, now),
            _show(observed),
        )
    correct_clock(con, now)


def correct_clock(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Repair what a clock that ran ahead wrote, with a warning for each repair.

    A watermark in the future goes back to the newest receipt loaded by now; asking a source twice does no harm. Other times in
    the future become `now`, unless there are observations in the future as well: then the present clock is the wrong one, and
    nothing is changed.
    """
    latest = now + _TOLERANCE
    for source, watermark, received_until in correct_watermarks(con, now, latest):
        since = _show(received_until) if received_until else "the very first"
        _log.warning(
            "source %s: its watermark %s lies in the future, so a clock was wrong; it is asked again from %s on",
            source,
            _show(watermark),
            since,
        )
    newest, late = read_newest_written_time(con), read_late_receipts(con, latest)
    if late.is_empty() and (newest is None or newest <= latest):
        return
    observed = read_newest_observed(con)
    if observed is not None and observed > now:  # no tolerance: nothing is taken in before it is observed
        return
    with transaction(con):
        corrected = correct_written_times(con, now, latest)
        if not late.is_empty():
            mark_stale(con, *stale_ranges(late.with_columns(received_at=pl.lit(now, late["received_at"].dtype))))
    counts = ", ".join(f"{rows:,} of {table}" for table, rows in corrected.items())
    _log.warning(
        "the clock went back to %s; what was written by one that was ahead counts as written now: %s",
        _show(now),
        counts,
    )


def _show(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%MZ}"


def _days(later: datetime, earlier: datetime) -> str:
    hours = (later - earlier) // HOUR
    return f"{hours // 24:,} days" if hours >= 48 else f"{hours} hours"
