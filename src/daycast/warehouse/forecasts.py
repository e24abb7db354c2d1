"""Others' forecasts for the stations: what is held of some issues, writing new ones, and reading what was known."""

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl

from daycast.warehouse.append_only import touch
from daycast.warehouse.statements import statement
from daycast.warehouse.warehouse import frames, insert, read_frame, transaction

# Writing forecasts, and their scores once the truth came.


def replace_forecasts(con: duckdb.DuckDBPyConnection, made: pl.DataFrame) -> pl.DataFrame:
    """Write forecasts in place of those of the same station, variable and hour of issue; returns what was written.

    What comes too late (`backfilled`) is not written where somebody was served a forecast.
    """
    hours = {"first": made["issued_at"].min(), "last": made["issued_at"].max()}
    served = read_frame(con, "select_served_forecasts", **hours) if made["backfilled"].any() else pl.DataFrame()
    late = made.filter("backfilled")
    unserved = late.join(served, on=served.columns, how="anti") if len(served) else late
    written = pl.concat([made.filter(~pl.col("backfilled")), unserved])
    with frames(con, served=written), transaction(con):
        con.execute(statement("delete_forecasts"))
        insert(con, "forecasts", written)
        touch(con, "forecasts", written["issued_at"])
    return written


def read_forecasts_to_score(con: duckdb.DuckDBPyConnection, now: datetime, as_of: datetime) -> pl.DataFrame:
    """All forecasts of the days on which a score is missing or out of date, and whose hour has been observed, up to `as_of`."""
    return read_frame(con, "select_forecasts_to_score", now=now, as_of=as_of)


def replace_scores(con: duckdb.DuckDBPyConnection, scored: pl.DataFrame | None, days: pl.DataFrame) -> None:
    """Write scores in place of all those of `days` (station_id, valid_on), also of days that have none now; None: none has."""
    with transaction(con):
        with frames(con, scored=days):
            con.execute(statement("delete_scores"))
        if scored is not None:
            insert(con, "scores", scored)
        touch(con, "scores", days["valid_on"])


def read_skill(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The champion and the baselines beside it, all leads together: verified if anything is, else as judged."""
    return read_frame(con, "select_skill")


def read_forecast_count(con: duckdb.DuckDBPyConnection, as_of: datetime) -> dict[str, object]:
    """The newest hour of issue up to `as_of`, and how many stations the latest forecasts have, and which variables."""
    return read_frame(con, "select_forecast_count", as_of=as_of).row(0, named=True)


def read_hours_of_issue(con: duckdb.DuckDBPyConnection, since: datetime, until: datetime) -> frozenset[datetime]:
    """The hours of issue in [since, until) of which there is any forecast."""
    return frozenset(read_frame(con, "select_hours_of_issue", since=since, until=until)["issued_at"])


def count_forecasts(con: duckdb.DuckDBPyConnection, issued_at: datetime, stations: Sequence[str]) -> tuple[int, int]:
    """How many forecasts of these stations there are of an hour of issue, and how many of them somebody was served."""
    counts = read_frame(con, "select_forecasts_of_issue", issued_at=issued_at)
    rows, served = counts.filter(pl.col("station_id").is_in(list(stations))).select("rows", "served").sum().row(0)
    return int(rows), int(served)


def read_issues_of(con: duckdb.DuckDBPyConnection, ranges: pl.DataFrame) -> pl.DataFrame:
    """What is held of the issues in `ranges`: station_id, since, until (both included), one row a station, at least one."""
    earliest, latest = ranges.select(pl.col("since").min(), pl.col("until").max()).row(0)
    with frames(con, ranges=ranges):
        return read_frame(con, "select_external_forecasts_of_ranges", earliest=earliest, latest=latest)


def append_external_forecasts(con: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    """Store rows of others' forecasts. Call inside the transaction that writes the account of their batches."""
    insert(con, "external_forecasts", rows)
    touch(con, "external_forecasts", rows["issued_at"])


def read_external_forecasts(
    con: duckdb.DuckDBPyConnection, since: datetime, until: datetime, as_of: datetime
) -> pl.DataFrame:
    """Every row received by `as_of` of what others issued in [since, until], both included.

    station_id, issued_at, valid_at, received_at and a column a variable; the order does not depend on that of ingestion,
    but for rows of one receipt that contradict each other.
    """
    return read_frame(con, "select_external_forecasts", since=since, until=until, as_of=as_of)


def count_external_forecasts(con: duckdb.DuckDBPyConnection) -> tuple[int, int, datetime | None]:
    """How many rows there are, of how many stations, and when the newest was issued."""
    n, stations, newest = read_frame(con, "select_external_forecast_count").row(0)
    return n, stations, newest
