"""What each station's past months were like, kept so that a month is added up once."""

from collections.abc import Sequence
from datetime import date
from typing import cast

import duckdb
import polars as pl

from daycast.quality.flags import FAIL
from daycast.variables import flag_column
from daycast.warehouse.connect import frames, read_frame
from daycast.warehouse.statements import quoted, statement

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
    with frames(con, ranges=missing.select("station_id", since="month", until="month"), statistics=statistics):
        con.execute(statement("delete_month_statistics"))
        con.execute(statement("insert_month_statistics"))


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
    spread = (pl.col("square") - mean**2).clip(lower_bound=0).sqrt()
    return sums.select(*_MONTH_KEY, "variable", "n", "mean", spread.alias("deviation"))
