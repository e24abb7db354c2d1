"""Hourly observations and what they are made from: `observation_versions`, `stale_hours`, `neighbours`, `month_statistics`,
`thresholds`.

Four parts: reading observations; which hours are stale, meaning that their observations must be computed again; reading
readings and replacing versions; and `read_climatology`, which caches the statistics of past months in `month_statistics`.
All times are UTC; ranges of hours include both ends.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import duckdb
import polars as pl

from daycast.quality.flags import FAIL
from daycast.times import HOUR
from daycast.variables import flag_column
from daycast.warehouse.append_only import touch
from daycast.warehouse.statements import quoted, statement
from daycast.warehouse.warehouse import fetch_frame, frames, insert, read_frame, transaction

_HOUR_KEY = ["station_id", "observed_at"]
_MONTH_KEY = ["station_id", "month"]
_BEFORE_EVERYTHING = datetime(1, 1, 1, tzinfo=UTC)
_YEARS = 5  # of climatology: long enough to be steady, short enough to follow a station that moved


def read_versions(
    con: duckdb.DuckDBPyConnection,
    since: datetime,
    until: datetime,
    as_of: datetime,
    stations: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Every version of the observations of the hours [since, until], both inclusive, that was known by `as_of`.

    stations: station_id, of those to read; None: all. A version replaced after `as_of` has null known_until. The columns that
    name checks are left out. Sorted by station_id, observed_at and known_from.
    """
    of_stations = "" if stations is None else "semi join chosen using (station_id)"
    chosen = {} if stations is None else {"chosen": stations.select("station_id")}
    query = statement("select_versions").replace("{of_stations}", of_stations)
    with frames(con, **chosen):
        return fetch_frame(con, query, {"since": since, "until": until, "as_of": as_of})


def read_extent(
    con: duckdb.DuckDBPyConnection, as_of: datetime, stations: pl.DataFrame
) -> tuple[datetime | None, datetime | None]:
    """The first and the last hour with an observation of `stations` known by `as_of`; None and None if there is none."""
    with frames(con, serving=stations.select("station_id")):
        first, last = read_frame(con, "select_extent", as_of=as_of).row(0)
    return first, last


def count_hours(
    con: duckdb.DuckDBPyConnection, stations: pl.DataFrame, since: datetime, as_of: datetime
) -> dict[str, int]:
    """How many hours from `since` on each of `stations` has an observation of, known by `as_of`; those without are absent."""
    with frames(con, chosen=stations.select("station_id")):
        return dict(read_frame(con, "select_hours_observed", since=since, as_of=as_of).iter_rows())


def read_reported(
    con: duckdb.DuckDBPyConnection, stations: pl.DataFrame, variables: Sequence[str], as_of: datetime
) -> pl.DataFrame:
    """Which of `variables` each of `stations` has ever reported a usable value of, as known at `as_of`.

    station_id and a Boolean column a variable; stations without an observation are absent.
    """
    reported = ", ".join(f"bool_or({_usable(name)} is not null) as {quoted(name)}" for name in variables)
    query = statement("select_reported").replace("{reported}", reported)
    with frames(con, chosen=stations.select("station_id")):
        return fetch_frame(con, query, {"as_of": as_of})


def read_first_values(
    con: duckdb.DuckDBPyConnection, stations: pl.DataFrame, variables: Sequence[str], as_of: datetime
) -> dict[str, datetime]:
    """The first hour at which any of `stations` has a usable value of each variable, as known at `as_of`; others are absent."""
    first = ", ".join(
        f"min(case when {_usable(name)} is not null then observed_at end) as {quoted(name)}" for name in variables
    )
    query = statement("select_first_values").replace("{first}", first)
    with frames(con, chosen=stations.select("station_id")):
        row = fetch_frame(con, query, {"as_of": as_of}).to_dicts()[0]
    return {name: value for name, value in row.items() if value is not None}


def _usable(variable: str) -> str:
    """The SQL of a variable's value; null where it failed its checks."""
    return f"case when {quoted(flag_column(variable))} < {FAIL} then {quoted(variable)} end"


def read_stations(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The station list: station_id, latitude, longitude (degrees), elevation_m (null if unknown); sorted by id."""
    return read_frame(con, "select_stations")


def mark_stale(con: duckdb.DuckDBPyConnection, ranges: pl.DataFrame, later: pl.DataFrame) -> None:
    """Record hours as stale. Call inside the transaction that writes the readings.

    ranges: station_id, since, until (both inclusive, within one month). later: station_id, boundary; all existing observations
    of the station from `boundary` on become stale, too.
    """
    insert(con, "stale_hours", ranges)
    with frames(con, later=later):
        con.execute(statement("insert_stale_hours_after"))


def settle_stale_hours(con: duckdb.DuckDBPyConnection, nearest: pl.DataFrame) -> pl.DataFrame:
    """Add the hours that are stale because of neighbours, and return all stale ranges.

    nearest: station_id, neighbour_id, rank; the neighbours each station is compared with from now on, which are stored. Stations
    whose neighbours changed become stale altogether, and hours become stale where a neighbour's are. Returns station_id, since,
    until: one row per station and month, sorted by month and station.
    """
    changed = _changed_neighbours(read_frame(con, "select_neighbours"), nearest)
    with transaction(con):
        if not changed.is_empty():
            later = changed.with_columns(pl.lit(_BEFORE_EVERYTHING).alias("boundary"))
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
    """The readings that make up the hours of `ranges` (station_id, since, until; one row per station, not empty)."""
    return _in_ranges(con, "select_readings_of_ranges", ranges, HOUR)


def read_thresholds(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """since, limits (JSON), is_applied of the thresholds that were in force, in order of time."""
    return read_frame(con, "select_thresholds")


def write_thresholds(con: duckdb.DuckDBPyConnection, since: datetime, limits: str, *, is_applied: bool) -> None:
    """Record thresholds in force from `since` on. Call inside a transaction, with `mark_stale`."""
    con.execute(statement("insert_thresholds"), {"since": since, "limits": limits, "is_applied": is_applied})


def mark_thresholds_applied(con: duckdb.DuckDBPyConnection) -> None:
    """Record that all hours are checked again by the thresholds in force. Call inside a transaction, with `mark_stale`."""
    con.execute(statement("update_thresholds_applied"))


def replace_versions(
    con: duckdb.DuckDBPyConnection,
    versions: pl.DataFrame,
    rewritten: pl.DataFrame,
    done: pl.DataFrame,
    left: pl.DataFrame,
    now: datetime,
) -> pl.DataFrame:
    """Replace the stored versions of the hours of `rewritten` by `versions`. Returns the versions that are new or different.

    Only hours that differ are written. In the same transaction: the ranges `done` stop being stale, the ranges `left` become
    stale, the statistics of all months that `rewritten` touches are deleted, and the days of what differs are to be verified
    again, since `now`. Ranges are frames station_id, since, until.
    """
    with transaction(con):
        held = _in_ranges(con, "select_versions_of_ranges", rewritten)
        hours, fresh = _replace_differing(con, versions, held)
        insert(con, "observation_versions", fresh)
        touch(con, "observation_versions", hours["observed_at"])
        mark_unverified(con, hours, now)
        with frames(con, ranges=rewritten):
            con.execute(statement("delete_month_statistics"))
        with frames(con, ranges=done):
            con.execute(statement("delete_stale_hours"))
        insert(con, "stale_hours", left)
    return fresh


def mark_unverified(con: duckdb.DuckDBPyConnection, hours: pl.DataFrame, now: datetime) -> None:
    """Have the forecasts for the days of these hours (station_id, observed_at) scored again. Call inside a transaction."""
    with frames(con, hours=hours):
        con.execute(statement("insert_unverified_days"), {"now": now})


def _replace_differing(
    con: duckdb.DuckDBPyConnection, versions: pl.DataFrame, held: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Delete the held hours that differ from `versions`. Returns the hours that differ or were not held, and their versions."""
    again = versions.join(held, on=_HOUR_KEY, how="semi", maintain_order="left")
    both = pl.concat([held.select(versions.columns), again])
    hours = both.filter(~pl.struct(pl.all()).is_duplicated()).select(_HOUR_KEY).unique()
    if len(hours):
        with frames(con, hours=hours):
            con.execute(statement("delete_observation_versions"))
    new = versions.join(held, on=_HOUR_KEY, how="anti", maintain_order="left")
    differs = again.join(hours, on=_HOUR_KEY, how="semi", maintain_order="left")
    return pl.concat([hours, new.select(_HOUR_KEY).unique()]), pl.concat([new, differs])


def _in_ranges(
    con: duckdb.DuckDBPyConnection, query: str, ranges: pl.DataFrame, before: timedelta = timedelta(0)
) -> pl.DataFrame:
    """The result of a statement on `ranges`, limited to the time they span, extended by `before` at its start."""
    earliest, latest = ranges.select(pl.col("since").min() - before, pl.col("until").max()).row(0)
    with frames(con, ranges=ranges):
        return read_frame(con, query, earliest=earliest, latest=latest)


def _changed_neighbours(held: pl.DataFrame, nearest: pl.DataFrame) -> pl.DataFrame:
    """The ids of the stations whose list of neighbours changed."""
    both = pl.concat([held, nearest.select(held.columns).cast(held.schema)])
    return both.filter(~pl.struct(pl.all()).is_duplicated()).select("station_id").unique()


def read_climatology(
    con: duckdb.DuckDBPyConnection, months_needed: pl.DataFrame, variables: Sequence[str]
) -> pl.DataFrame:
    """The statistics of each station's past months, for every row (station_id, month) of `months_needed`.

    The past of a month is the month before it and, in each of the last five years, the same month with the one before and
    after. Each past month counts as it was known when it ended, so nothing later leaks in; failed values are left out. Returns
    station_id, month (the one asked for), variable, n (hours), mean and deviation; rows without any data are absent. Statistics
    of a past month that are not in `month_statistics` yet are computed and stored there.
    """
    pairs = _past_months(months_needed)
    _add_up(con, pairs.select("station_id", pl.col("past").alias("month")).unique(), variables)
    with frames(con, months=pairs.select("station_id", pl.col("past").alias("month")).unique()):
        statistics = read_frame(con, "select_month_statistics")
    known = statistics.filter((pl.col("n") > 0) & pl.col("variable").is_in(list(variables)))
    return _pool(pairs.join(known, left_on=["station_id", "past"], right_on=_MONTH_KEY))


def _past_months(months_needed: pl.DataFrame) -> pl.DataFrame:
    """station_id, month, past: one row for each past month that counts for a month."""
    ages = [1, *(12 * year + beside for year in range(1, _YEARS + 1) for beside in (-1, 0, 1))]
    past = pl.concat_list(pl.col("month").dt.offset_by(f"-{age}mo") for age in ages).alias("past")
    return months_needed.select(*_MONTH_KEY, past).explode("past")


def _add_up(con: duckdb.DuckDBPyConnection, months: pl.DataFrame, variables: Sequence[str]) -> None:
    """Store the statistics of the months that lack them for any of the variables; a month without data gets n = 0."""
    with frames(con, months=months):
        held = read_frame(con, "select_month_statistics")
    complete = held.group_by(_MONTH_KEY).agg(pl.col("variable").n_unique()).filter(pl.col("variable") >= len(variables))
    missing = months.join(complete, on=_MONTH_KEY, how="anti")
    if missing.is_empty() or not variables:
        return
    statistics = _by_variable(_month_sums(con, missing, variables), missing, variables)
    with frames(con, ranges=missing.select("station_id", since="month", until="month")):
        con.execute(statement("delete_month_statistics"))
    insert(con, "month_statistics", statistics)


def _month_sums(con: duckdb.DuckDBPyConnection, months: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    """station_id, month and, for the variable at each position k, nk, meank and deviationk; months without data are absent."""
    parts = []
    for position, name in enumerate(variables):
        usable = _usable(name)
        parts.append(
            f"count({usable}) as n{position}, avg({usable}) as mean{position}, stddev_pop({usable}) as deviation{position}"
        )
    first: date | None = con.execute(statement("select_first_month")).fetchall()[0][0]
    months_with_data = months.filter(pl.col("month") >= first) if first else months.clear()
    earliest, latest = months_with_data.select(
        pl.col("month").min().alias("earliest"), pl.col("month").max().dt.offset_by("1mo").alias("latest")
    ).row(0)
    query, bounds = (
        statement("select_month_sums").replace("{sums}", ", ".join(parts)),
        {"earliest": earliest, "latest": latest},
    )
    with frames(con, months=months_with_data):
        return fetch_frame(con, query, bounds)


def _by_variable(sums: pl.DataFrame, months: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    """The result of _month_sums as one row for each of `months` and variable, with n = 0 where there is no data."""
    all_months = months.join(sums, on=_MONTH_KEY, how="left")
    return pl.concat(
        all_months.select(
            *_MONTH_KEY,
            pl.lit(name).alias("variable"),
            pl.col(f"n{position}").fill_null(0).alias("n"),
            pl.col(f"mean{position}").alias("mean"),
            pl.col(f"deviation{position}").alias("deviation"),
        )
        for position, name in enumerate(variables)
    )


def _pool(statistics: pl.DataFrame) -> pl.DataFrame:
    """The count, mean and deviation of several months taken together, by station, month and variable."""
    n, mean, deviation = pl.col("n"), pl.col("mean"), pl.col("deviation")
    sums = statistics.group_by(*_MONTH_KEY, "variable").agg(
        n.sum(), mean=(n * mean).sum() / n.sum(), square=(n * (deviation**2 + mean**2)).sum() / n.sum()
    )
    pooled = (pl.col("square") - mean**2).clip(lower_bound=0).sqrt()
    return sums.select(*_MONTH_KEY, "variable", "n", "mean", pooled.alias("deviation"))
