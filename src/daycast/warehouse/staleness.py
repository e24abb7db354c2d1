"""Which hours' observations must be made again from the readings, what is needed for it, and writing what came out."""

from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl

from daycast.times import HOUR
from daycast.warehouse.connect import frames, read_frame, transaction
from daycast.warehouse.growing import touch
from daycast.warehouse.statements import statement

_HOUR_KEY = ["station_id", "observed_at"]
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def mark_stale(con: duckdb.DuckDBPyConnection, ranges: pl.DataFrame, later: pl.DataFrame) -> None:
    """Note that observations must be made again: the hours of `ranges` (station_id, since, until; both ends included, within
    one month), and all that is there from `boundary` on of each station in `later` (station_id, boundary).

    Call inside the transaction that brings the readings.
    """
    with frames(con, ranges=ranges, later=later):
        con.execute(statement("insert_stale_hours"))
        con.execute(statement("insert_stale_hours_after"))


def settle_stale_hours(con: duckdb.DuckDBPyConnection, nearest: pl.DataFrame) -> pl.DataFrame:
    """Every stale range (station_id, since, until), one a station and month, in the order of month and station.

    nearest: station_id, neighbour_id, rank: whom each station is compared with from now on. What becomes stale through other
    neighbours, or through neighbours' stale hours, is added first.
    """
    changed = _changed_neighbours(read_frame(con, "select_neighbours"), nearest)
    with transaction(con):
        if not changed.is_empty():
            later = changed.with_columns(pl.lit(_LONG_AGO).alias("boundary"))
            with frames(con, later=later, nearest=nearest):
                con.execute(statement("insert_stale_hours_after"))
                con.execute(statement("delete_neighbours"))
                con.execute(statement("insert_neighbours"))
        con.execute(statement("insert_stale_hours_of_neighbours"))
        ranges = read_frame(con, "select_stale_hours")
        with frames(con, ranges=ranges):
            con.execute(statement("delete_stale_hours"))
            con.execute(statement("insert_stale_hours"))
    return ranges


def read_readings_of(con: duckdb.DuckDBPyConnection, ranges: pl.DataFrame) -> pl.DataFrame:
    """The readings that make up the hours of `ranges`: station_id, since, until, one row a station, at least one."""
    return _in_ranges(con, "select_readings_of_ranges", ranges, HOUR)


def replace_versions(
    con: duckdb.DuckDBPyConnection,
    versions: pl.DataFrame,
    rewritten: pl.DataFrame,
    done: pl.DataFrame,
    left: pl.DataFrame,
) -> pl.DataFrame:
    """Make `versions` what is held of the hours of `rewritten`, and return those of them that say something new.

    Only hours that differ are written. The ranges `done` are no longer stale, but `left` are; the month statistics of the
    months that `rewritten` touches are forgotten. One transaction.
    """
    with transaction(con):
        held = _in_ranges(con, "select_versions_of_ranges", rewritten)
        fresh = versions if held.is_empty() else _replace_differing(con, versions, held)
        with frames(con, versions=fresh):
            con.execute(statement("insert_observation_versions"))
        touch(con, "observation_versions", fresh["observed_at"])
        with frames(con, ranges=rewritten):
            con.execute(statement("delete_month_statistics"))
        with frames(con, ranges=done):
            con.execute(statement("delete_stale_hours"))
        with frames(con, ranges=left):
            con.execute(statement("insert_stale_hours"))
    return fresh


def _replace_differing(con: duckdb.DuckDBPyConnection, versions: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Delete the held hours that differ from `versions`; returns the versions of hours that differ or were not held."""
    again = versions.join(held, on=_HOUR_KEY, how="semi", maintain_order="left")
    both = pl.concat([held.select(versions.columns), again])
    hours = both.filter(~pl.struct(pl.all()).is_duplicated()).select(_HOUR_KEY).unique()
    with frames(con, hours=hours):
        con.execute(statement("delete_observation_versions"))
    touch(con, "observation_versions", hours["observed_at"])
    differs = again.join(hours, on=_HOUR_KEY, how="semi", maintain_order="left")
    return pl.concat([versions.join(held, on=_HOUR_KEY, how="anti", maintain_order="left"), differs])


def _in_ranges(
    con: duckdb.DuckDBPyConnection, query: str, ranges: pl.DataFrame, before: timedelta = timedelta(0)
) -> pl.DataFrame:
    earliest, latest = ranges.select(pl.col("since").min() - before, pl.col("until").max()).row(0)
    with frames(con, ranges=ranges):
        return read_frame(con, query, earliest=earliest, latest=latest)


def _changed_neighbours(held: pl.DataFrame, nearest: pl.DataFrame) -> pl.DataFrame:
    """The stations whose list of neighbours is another."""
    both = pl.concat([held, nearest.select(held.columns).cast(held.schema)])
    return both.filter(~pl.struct(pl.all()).is_duplicated()).select("station_id").unique()
