"""What each station's past months were like, kept so that a month is added up once."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import cast

import duckdb
import polars as pl

from daycast.quality.flags import FAIL
from daycast.times import HOUR
from daycast.variables import flag_column
from daycast.warehouse.append_only import touch
from daycast.warehouse.statements import quoted, statement
from daycast.warehouse.warehouse import frames, insert, read_frame, transaction

# Reading what is believed of the network.


def read_versions(con: duckdb.DuckDBPyConnection, since: datetime, until: datetime, as_of: datetime) -> pl.DataFrame:
    """Every version of the observations of the hours [since, until], both included, that was known by `as_of`.

    A version that was replaced only after `as_of` has no known_until. Ordered by station, hour and known_from.
    """
    return read_frame(con, "select_versions", since=since, until=until, as_of=as_of)


def read_extent(con: duckdb.DuckDBPyConnection, as_of: datetime) -> tuple[datetime | None, datetime | None]:
    """The first and the last hour with an observation known by `as_of`; None and None where there is none."""
    first, last = read_frame(con, "select_extent", as_of=as_of).row(0)
    return first, last


def read_stations(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The station list: station_id, latitude, longitude, elevation_m, by id."""
    return read_frame(con, "select_stations")


# Which hours' observations must be made again from the readings, what is needed for it, and writing what came out.


_HOUR_KEY = ["station_id", "observed_at"]
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def mark_stale(con: duckdb.DuckDBPyConnection, ranges: pl.DataFrame, later: pl.DataFrame) -> None:
    """Note that observations must be made again: the hours of `ranges` (station_id, since, until; both ends included, within
    one month), and all that is there from `boundary` on of each station in `later` (station_id, boundary).

    Call inside the transaction that brings the readings.
    """
    insert(con, "stale_hours", ranges)
    with frames(con, later=later):
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
            with frames(con, later=later):
                con.execute(statement("insert_stale_hours_after"))
            con.execute(statement("delete_neighbours"))
            insert(con, "neighbours", nearest)
        con.execute(statement("insert_stale_hours_of_neighbours"))
        ranges = read_frame(con, "select_stale_hours")
        with frames(con, ranges=ranges):
            con.execute(statement("delete_stale_hours"))
        insert(con, "stale_hours", ranges)
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
        insert(con, "observation_versions", fresh)
        touch(con, "observation_versions", fresh["observed_at"])
        with frames(con, ranges=rewritten):
            con.execute(statement("delete_month_statistics"))
        with frames(con, ranges=done):
            con.execute(statement("delete_stale_hours"))
        insert(con, "stale_hours", left)
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


_MONTH_KEY = ["station_id", "month"]
_YEARS = 5  # how far back: long enough to be steady, short enough to follow a station that moved


def read_climatology(con: duckdb.DuckDBPyConnection, wanted: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    """What each station measured before each wanted month (station_id, month): in the last one, and around it in former years.

    Each past month as it was known when it ended, so that nothing later enters; failed values left out. Returns station_id,
    month (the wanted one), variable, n (hours), mean and deviation; months of which nothing is known are absent.
    Months not yet added up are, and kept.
    """
    pairs = _past_months(wanted)
    _add_up(con, pairs.select("station_id", pl.col("past").alias("month")).unique(), variables)
    with frames(con, months=pairs.select("station_id", pl.col("past").alias("month")).unique()):
        statistics = read_frame(con, "select_month_statistics")
    known = statistics.filter((pl.col("n") > 0) & pl.col("variable").is_in(list(variables)))
    return _pool(pairs.join(known, left_on=["station_id", "past"], right_on=_MONTH_KEY))


def _past_months(wanted: pl.DataFrame) -> pl.DataFrame:
    """station_id, month, past: the month before, and the same month of former years with those beside it."""
    ages = [1, *(12 * year + beside for year in range(1, _YEARS + 1) for beside in (-1, 0, 1))]
    past = pl.concat_list(pl.col("month").dt.offset_by(f"-{age}mo") for age in ages).alias("past")
    return wanted.select(*_MONTH_KEY, past).explode("past")


def _add_up(con: duckdb.DuckDBPyConnection, months: pl.DataFrame, variables: Sequence[str]) -> None:
    """Add up the months that were not, or not for all of the variables; a month of which nothing is known has n = 0."""
    with frames(con, months=months):
        held = read_frame(con, "select_month_statistics")
    complete = held.group_by(_MONTH_KEY).agg(pl.col("variable").n_unique()).filter(pl.col("variable") >= len(variables))
    missing = months.join(complete, on=_MONTH_KEY, how="anti")
    if missing.is_empty() or not variables:
        return
    statistics = _by_variable(_sums(con, missing, variables), missing, variables)
    with frames(con, ranges=missing.select("station_id", since="month", until="month")):
        con.execute(statement("delete_month_statistics"))
    insert(con, "month_statistics", statistics)


def _sums(con: duckdb.DuckDBPyConnection, months: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    """station_id, month, and n, mean and deviation of each variable by its position, of the months that have anything."""
    parts = []
    for position, name in enumerate(variables):
        usable = f"case when {quoted(flag_column(name))} < {FAIL} then {quoted(name)} end"
        parts.append(
            f"count({usable}) as n{position}, avg({usable}) as mean{position}, stddev_pop({usable}) as deviation{position}"
        )
    first: date | None = con.execute(statement("select_first_month")).fetchall()[0][0]
    there = months.filter(pl.col("month") >= first) if first else months.clear()
    earliest, latest = there.select(
        pl.col("month").min().alias("earliest"), pl.col("month").max().dt.offset_by("1mo").alias("latest")
    ).row(0)
    query, bounds = (
        statement("select_month_sums").replace("{sums}", ", ".join(parts)),
        {"earliest": earliest, "latest": latest},
    )
    with frames(con, months=there):
        return cast(pl.DataFrame, pl.from_arrow(con.execute(query, bounds).to_arrow_table()))


def _by_variable(sums: pl.DataFrame, months: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    whole = months.join(sums, on=_MONTH_KEY, how="left")
    return pl.concat(
        whole.select(
            *_MONTH_KEY,
            pl.lit(name).alias("variable"),
            pl.col(f"n{position}").fill_null(0).alias("n"),
            pl.col(f"mean{position}").alias("mean"),
            pl.col(f"deviation{position}").alias("deviation"),
        )
        for position, name in enumerate(variables)
    )


def _pool(statistics: pl.DataFrame) -> pl.DataFrame:
    """Count, mean and deviation of several months together."""
    n, mean, deviation = pl.col("n"), pl.col("mean"), pl.col("deviation")
    sums = statistics.group_by(*_MONTH_KEY, "variable").agg(
        n.sum(), mean=(n * mean).sum() / n.sum(), square=(n * (deviation**2 + mean**2)).sum() / n.sum()
    )
    map_blocks = (pl.col("square") - mean**2).clip(lower_bound=0).sqrt()
    return sums.select(*_MONTH_KEY, "variable", "n", "mean", map_blocks.alias("deviation"))
