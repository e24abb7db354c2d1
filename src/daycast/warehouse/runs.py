"""The times that were written down, and putting right those of a clock that was wrong."""

from datetime import datetime

import duckdb
import polars as pl

from daycast.warehouse.append_only import touch
from daycast.warehouse.readings import write_watermark
from daycast.warehouse.statements import quoted, statement
from daycast.warehouse.warehouse import read_frame

# The log of runs.


def start_run(con: duckdb.DuckDBPyConnection, run_id: str, flow: str, as_of: datetime, started_at: datetime) -> None:
    """Note that a run began, and of earlier ones of its flow that never said how they ended that they failed."""
    con.execute(statement("update_orphaned_runs"), {"flow": flow})
    con.execute(statement("insert_run"), {"run_id": run_id, "flow": flow, "as_of": as_of, "started_at": started_at})


def finish_run(
    con: duckdb.DuckDBPyConnection, run_id: str, finished_at: datetime, status: str, message: str | None
) -> None:
    """Note how a run ended: status `done` or `failed`."""
    con.execute(
        statement("update_run"),
        {"run_id": run_id, "finished_at": finished_at, "status": status, "message": message},
    )


_STAMPS = {  # columns that say when something was done here; readings, external_forecasts and forecasts are seen to apart
    "batches": ("received_until", "ingested_at"),
    "drifts": ("found_at",),
    "models": ("registered_at", "promoted_at"),
    "promotions": ("promoted_at",),
    "rejected_readings": ("rejected_at",),
    "runs": ("as_of", "started_at", "finished_at"),
}


def read_newest_stamp(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """The latest time at which a run began, a delivery was ingested or a model registered, by the clock of then."""
    newest: datetime | None = read_frame(con, "select_newest_stamp").item()
    return newest


def has_run_between(con: duckdb.DuckDBPyConnection, since: datetime, until: datetime) -> bool:
    """Whether a run began in [since, until]."""
    return bool(read_frame(con, "select_runs_between", since=since, until=until).item())


def read_newest_observed(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """The latest time that any source spoke of: of a reading, or of an issue of somebody else's forecasts."""
    newest: datetime | None = read_frame(con, "select_newest_observed").item()
    return newest


def correct_watermarks(
    con: duckdb.DuckDBPyConnection, now: datetime, latest: datetime
) -> list[tuple[str, datetime, datetime | None]]:
    """Put watermarks later than `latest` back to what was received by `now` at last, or before everything.

    Returns source, watermark, and what it is now; None where the source is asked from the very first.
    """
    wrong = list(read_frame(con, "select_future_watermarks", now=now, latest=latest).iter_rows())
    for source, _, received_until in wrong:
        if received_until is None:
            con.execute(statement("delete_watermark"), {"source": source})
        else:
            write_watermark(con, source, received_until)
    return wrong


def correct_stamps(con: duckdb.DuckDBPyConnection, now: datetime, latest: datetime) -> dict[str, int]:
    """Let everything written down as later than `latest` count as written `now`; returns how many rows of each table.

    Forecasts issued later than that are deleted: nobody can have made them. Call inside a transaction, and `mark_stale` what
    the readings in `read_late_receipts` touch.
    """
    counts = {}
    times = {"now": now, "latest": latest}
    for table, columns in _STAMPS.items():
        capped = ", ".join(f"{name} = case when {name} > $latest then $now else {name} end" for name in columns)
        wrong = " or ".join(f"{name} > $latest" for name in columns)
        counts[table] = _count(con, f"update {quoted(table)} set {capped} where {wrong}", times)
    counts["readings"] = _count(con, statement("update_receipts"), times)
    issues = read_frame(con, "select_late_issues", latest=latest)["issued_at"]
    if len(issues):
        counts["external_forecasts"] = _count(con, statement("update_external_forecast_receipts"), times)
        touch(con, "external_forecasts", issues)
    ahead = read_frame(con, "select_future_forecasts", latest=latest)["issued_at"]
    if len(ahead):
        counts["forecasts"] = _count(con, statement("delete_future_forecasts"), {"latest": latest})
        touch(con, "forecasts", ahead)
    return {table: rows for table, rows in counts.items() if rows}


def read_late_receipts(con: duckdb.DuckDBPyConnection, latest: datetime) -> pl.DataFrame:
    """The readings received later than `latest`: station_id, observed_at, received_at."""
    return read_frame(con, "select_late_receipts", latest=latest)


def _count(con: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, datetime]) -> int:
    return int(con.execute(query, parameters).fetchall()[0][0])
