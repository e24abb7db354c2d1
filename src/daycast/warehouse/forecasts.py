"""Forecasts, their scores, and external forecasts: the tables `forecasts`, `scores`, `verifications` and `external_forecasts`.

Times are UTC. Functions that write an append-only table also record what changed (`touch`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import duckdb
import polars as pl

from daycast.warehouse.append_only import touch
from daycast.warehouse.statements import statement
from daycast.warehouse.warehouse import frames, insert, read_frame, transaction


def replace_forecasts(con: duckdb.DuckDBPyConnection, forecasts: pl.DataFrame) -> pl.DataFrame:
    """Write forecasts, replacing those of the same station, variable and hour of issue. Returns the rows written.

    Rows with `backfilled` true are dropped where a forecast was already served for that station, variable and hour of issue.
    """
    hours = {"first": forecasts["issued_at"].min(), "last": forecasts["issued_at"].max()}
    served = read_frame(con, "select_served_forecasts", **hours) if forecasts["backfilled"].any() else pl.DataFrame()
    late = forecasts.filter("backfilled")
    unserved = late.join(served, on=served.columns, how="anti") if len(served) else late
    written = pl.concat([forecasts.filter(~pl.col("backfilled")), unserved])
    with frames(con, served=written), transaction(con):
        con.execute(statement("delete_forecasts"))
        insert(con, "forecasts", written)
        touch(con, "forecasts", written["issued_at"])
    return written


@dataclass(frozen=True)
class VerificationState:
    """How far verification has come."""

    marked_until: datetime | None  # the newest mark of a day that changed, by whoever wrote its observations
    recorded: int  # verifications
    last_scored_at: datetime | None  # of the last one


def read_days_to_verify(
    con: duckdb.DuckDBPyConnection, now: datetime, as_of: datetime
) -> tuple[pl.DataFrame, VerificationState]:
    """The days (UTC) of stations whose observations or forecasts changed since they were verified; and what that is based on.

    Columns: station_id, day, rows (how many forecasts up to `as_of`, at least one), since (when it was first found to be due).
    Days that are over come first, then those that wait longest. Verifications that went through later than `now`, by a wrong
    clock, are ignored.
    """
    # a query of its own: DuckDB knows the size of a frame, and does not build its join on all forecasts
    changed, state = read_frame(con, "select_changed_days", now=now), _read_state(con)
    with frames(con, changed=changed):
        return read_frame(con, "select_days_to_verify", now=now, as_of=as_of), state


def _read_state(con: duckdb.DuckDBPyConnection) -> VerificationState:
    return VerificationState(*read_frame(con, "select_verification_state").row(0))


def read_forecasts_of_days(con: duckdb.DuckDBPyConnection, days: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The served rows of `forecasts` valid on these days (station_id, day) up to `as_of`: their keys, models and quantiles."""
    with frames(con, days=days.select("station_id", "day")):
        return read_frame(con, "select_forecasts_of_days", as_of=as_of)


def write_verification(
    con: duckdb.DuckDBPyConnection, now: datetime, as_of: datetime, left: pl.DataFrame, seen: VerificationState
) -> None:
    """Record that all scores are up to date with what was known by `as_of`, but for the days `left` (station_id, day, since).

    seen: from `read_days_to_verify`; what was marked since then stays due. If another verification was recorded meanwhile, this
    one is not: which of them saw which marks is not known, and the next one starts from that other one. The clock may be behind
    that of an earlier call: days that had not begun stay due, too, and the next call starts from `as_of` of this one.
    """
    with transaction(con):
        if replace(_read_state(con), marked_until=seen.marked_until) != seen:
            return
        con.execute(statement("delete_later_verifications"), {"scored_at": now})
        con.execute(statement("insert_verification"), {"scored_at": now, "as_of": as_of})
        con.execute(statement("delete_unverified_days"), {"as_of": as_of, "seen": seen.marked_until})
        insert(con, "unverified_days", left.select("station_id", "day", "since"))


def replace_scores(con: duckdb.DuckDBPyConnection, scored: pl.DataFrame | None, days: pl.DataFrame) -> None:
    """Replace all scores of `days` (station_id, day). Days without rows in `scored` end up without scores.

    scored: rows of `scores`; None if no day has any.
    """
    with transaction(con):
        with frames(con, days=days.select("station_id", "day")):
            touch(con, "scores", read_frame(con, "select_times_of_scores")["scored_at"])
            con.execute(statement("delete_scores"))
        if scored is not None:
            insert(con, "scores", scored)
            touch(con, "scores", scored["scored_at"])


def read_skill(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The skill of the champion and its baselines over all leads: verified scores once there is a week of them, else holdout."""
    return read_frame(con, "select_skill")


def read_forecast_count(con: duckdb.DuckDBPyConnection, as_of: datetime) -> dict[str, object]:
    """About the latest forecasts issued up to `as_of`: issued_at, stations (how many), variables, implausible (rows)."""
    return read_frame(con, "select_forecast_count", as_of=as_of).row(0, named=True)


def read_hours_of_issue(con: duckdb.DuckDBPyConnection, since: datetime, until: datetime) -> frozenset[datetime]:
    """The hours of issue in [since, until) that have at least one forecast."""
    return frozenset(read_frame(con, "select_hours_of_issue", since=since, until=until)["issued_at"])


def count_forecasts(con: duckdb.DuckDBPyConnection, issued_at: datetime, stations: Sequence[str]) -> tuple[int, int]:
    """How many forecast rows these stations have for an hour of issue, and how many of those were served in time."""
    counts = read_frame(con, "select_forecasts_of_issue", issued_at=issued_at)
    rows, served = counts.filter(pl.col("station_id").is_in(list(stations))).select("rows", "served").sum().row(0)
    return int(rows), int(served)


def read_issues_of(con: duckdb.DuckDBPyConnection, ranges: pl.DataFrame) -> pl.DataFrame:
    """The stored external forecasts issued within `ranges`: station_id, since, until (both inclusive), one row per station.

    `ranges` must not be empty.
    """
    earliest, latest = ranges.select(pl.col("since").min(), pl.col("until").max()).row(0)
    with frames(con, ranges=ranges):
        return read_frame(con, "select_external_forecasts_of_ranges", earliest=earliest, latest=latest)


def append_external_forecasts(con: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    """Append rows of `external_forecasts`. Call inside the transaction that writes the records of their batches."""
    insert(con, "external_forecasts", rows)
    touch(con, "external_forecasts", rows["issued_at"])


def read_external_forecasts(
    con: duckdb.DuckDBPyConnection, since: datetime, until: datetime, as_of: datetime
) -> pl.DataFrame:
    """The external forecasts issued in [since, until], both inclusive, and received by `as_of`.

    Columns: station_id, issued_at, valid_at, received_at and one per variable. The order does not depend on the order of
    ingestion, except between contradicting rows with the same received_at.
    """
    return read_frame(con, "select_external_forecasts", since=since, until=until, as_of=as_of)


def count_external_forecasts(con: duckdb.DuckDBPyConnection) -> tuple[int, int, datetime | None]:
    """The number of rows, the number of stations, and the newest issued_at; None if there are no rows."""
    n, stations, newest = read_frame(con, "select_external_forecast_count").row(0)
    return n, stations, newest
