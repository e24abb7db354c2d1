"""Every run leaves a row in `runs`: when it ran, as of which moment, and how it ended."""

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

# Was the clock wrong once, or is it wrong now? It is told, and what a wrong clock left behind is put right.


_log = logging.getLogger("daycast")
_TOLERANCE = HOUR  # clocks are set by so much, and those of two machines differ
_LONGEST_PAUSE = 31 * DAY  # between two runs, of which nothing is said


def warn_of_clock(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Warn where the clock jumped since the last run, once, and put right what a clock ahead of time left behind.

    Call before the run is noted.
    """
    newest = read_newest_written_time(con)
    if newest is None:
        return
    if now - newest > _LONGEST_PAUSE:
        _log.warning("the last run was %s ago, at %s: is the clock right?", _days(now, newest), _say(newest))
    observed = read_newest_observed(con) if newest - now > _TOLERANCE else None
    if (
        observed is not None and observed - now > _TOLERANCE and not has_run_between(con, now - DAY, now)
    ):  # else it was said
        _log.warning(
            "the clock went back: it is %s, the newest run was at %s, %s ahead, and there are observations of %s: set the clock",
            _say(now),
            _say(newest),
            _days(newest, now),
            _say(observed),
        )
    correct_clock(con, now)


def correct_clock(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Put right what was written by a clock that was ahead of time; each thing is told once, when it is done.

    A watermark that lies ahead goes back to what was received last by now: to ask twice costs nothing but time.
    Whatever else was written ahead of time counts as written now, unless observations lie ahead as well: then it is this clock
    that is behind, and nothing is touched.
    """
    latest = now + _TOLERANCE
    for source, watermark, received_until in correct_watermarks(con, now, latest):
        again = _say(received_until) if received_until else "the very first"
        _log.warning(
            "source %s: its watermark %s lies in the future, so a clock was wrong; it is asked again from %s on",
            source,
            _say(watermark),
            again,
        )
    newest, late = read_newest_written_time(con), read_late_receipts(con, latest)
    if late.is_empty() and (newest is None or newest <= latest):
        return
    observed = read_newest_observed(con)
    if observed is not None and observed > latest:
        return
    with transaction(con):
        corrected = correct_written_times(con, now, latest)
        if not late.is_empty():
            mark_stale(con, *stale_ranges(late.with_columns(received_at=pl.lit(now, late["received_at"].dtype))))
    told = ", ".join(f"{rows:,} of {table}" for table, rows in corrected.items())
    _log.warning(
        "the clock went back to %s; what was written by one that was ahead counts as written now: %s", _say(now), told
    )


def _say(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%MZ}"


def _days(later: datetime, earlier: datetime) -> str:
    hours = (later - earlier) // HOUR
    return f"{hours // 24:,} days" if hours >= 48 else f"{hours} hours"


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
        settings.warehouse.write(as_of) as con,
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
            settings.warehouse.write(as_of, wait_s=wait_s) as con,
        ):
            finish_run(con, run_id, clock(), status, message)
