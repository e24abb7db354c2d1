"""The log of runs (`runs`), and repairing times in all tables that a wrong clock wrote.

"Written times" are those that daycast itself took from the clock: when a run started, a batch was ingested, a model registered.
"""

from datetime import datetime

import duckdb
import polars as pl

from daycast.warehouse.append_only import touch
from daycast.warehouse.readings import write_watermark
from daycast.warehouse.statements import quoted, statement
from daycast.warehouse.warehouse import read_frame

_WRITTEN_AT = {  # the columns that daycast fills from the clock; correct_written_times handles the other tables itself
    "batches": ("received_until", "ingested_at", "superseded_at"),
    "drifts": ("found_at",),
    "models": ("registered_at", "promoted_at"),
    "promotions": ("promoted_at",),
    "rejected_readings": ("rejected_at",),
    "rereads": ("begun_at",),
    "restatements": ("begun_at", "ended_at"),
    "retracted_external_forecasts": ("retracted_at",),
    "retracted_readings": ("retracted_at",),
    "thresholds": ("since",),
    "runs": ("as_of", "started_at", "finished_at"),
}


def start_run(con: duckdb.DuckDBPyConnection, run_id: str, flow: str, as_of: datetime, started_at: datetime) -> None:
    """Record that a run started. Earlier runs of the flow that are still `running` were killed: they become `failed`."""
    con.execute(statement("update_orphaned_runs"), {"flow": flow})
    con.execute(statement("insert_run"), {"run_id": run_id, "flow": flow, "as_of": as_of, "started_at": started_at})


def finish_run(
    con: duckdb.DuckDBPyConnection, run_id: str, finished_at: datetime, status: str, message: str | None
) -> None:
    """Record how a run ended: status `done` or `failed`, with the error message if it failed."""
    con.execute(
        statement("update_run"),
        {"run_id": run_id, "finished_at": finished_at, "status": status, "message": message},
    )


def read_newest_written_time(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """The newest time at which a run started, a batch was ingested or a model registered; None if nothing happened yet."""
    newest: datetime | None = read_frame(con, "select_newest_stamp").item()
    return newest


def has_run_between(con: duckdb.DuckDBPyConnection, since: datetime, until: datetime) -> bool:
    """Whether a run started in [since, until]."""
    return bool(read_frame(con, "select_runs_between", since=since, until=until).item())


def read_newest_observed(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """The newest observed_at of any reading or issued_at of any external forecast; None if there are none."""
    newest: datetime | None = read_frame(con, "select_newest_observed").item()
    return newest


def correct_watermarks(
    con: duckdb.DuckDBPyConnection, now: datetime, latest: datetime
) -> list[tuple[str, datetime, datetime | None]]:
    """Set watermarks later than `latest` back to the newest receipt loaded by `now`; delete them if there is none.

    Returns (source, wrong watermark, new watermark); the new one is None where it was deleted and the source starts over.
    """
    wrong = list(read_frame(con, "select_future_watermarks", now=now, latest=latest).iter_rows())
    for source, _, received_until in wrong:
        if received_until is None:
            con.execute(statement("delete_watermark"), {"source": source})
        else:
            write_watermark(con, source, received_until)
    return wrong


def correct_written_times(con: duckdb.DuckDBPyConnection, now: datetime, latest: datetime) -> dict[str, int]:
    """Set every written time later than `latest` to `now`. Returns how many rows of each table changed.

    Forecasts issued later than `latest` are deleted, because they cannot be right. Call inside a transaction, and `mark_stale`
    the hours of the readings that `read_late_receipts` returned before.
    """
    counts = {}
    times = {"now": now, "latest": latest}
    for table, columns in _WRITTEN_AT.items():
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
    scored = read_frame(con, "select_times_of_future_scores", latest=latest)["scored_at"]
    if len(scored):
        counts["scores"] = _count(con, "update scores set scored_at = $now where scored_at > $latest", times)
        touch(con, "scores", pl.concat([scored, pl.Series([now], dtype=scored.dtype)]))
    return {table: rows for table, rows in counts.items() if rows}


def read_late_receipts(con: duckdb.DuckDBPyConnection, latest: datetime) -> pl.DataFrame:
    """The readings received later than `latest`: station_id, observed_at, received_at."""
    return read_frame(con, "select_late_receipts", latest=latest)


def _count(con: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, datetime]) -> int:
    """Execute a statement and return how many rows it changed."""
    return int(con.execute(query, parameters).fetchall()[0][0])
