"""Precipitation of GHCNh: which reports tell the total of an hour, and which only a part of it or more.

A routine weather report tells what fell since the last routine one; a special report between two of them tells what fell so
far, so that adding it would count rain twice. Codes: NOAA, GHCNh documentation 1.1.0,
https://www.ncei.noaa.gov/oa/global-historical-climatology-network/hourly/doc/ghcnh_DOCUMENTATION.pdf, and for those
of older sources NOAA, Integrated Surface Dataset format document, liquid precipitation condition code,
https://www.ncei.noaa.gov/pub/data/noaa/isd-format-document.pdf
"""

import polars as pl

from daycast.prepare.hourly_versions import full_hour_after
from daycast.sources.noaa.ghcnh_quality import without_words
from daycast.sources.noaa.station_year import TRACE_MM

_TRACE = ("2", "T")
_NOT_OF_ONE_HOUR = tuple("145678IJg")  # not measured, accumulated, deleted, missing, incomplete
_SPECIAL = r"(?i)FM-?16|SPECI"  # report types


def total_of_report(amount: pl.Expr, measurement: pl.Expr, report: pl.Expr) -> pl.Expr:
    """The precipitation [mm] that a report tells for about the last hour; null where it is of another time.

    Code 3, which the older format calls the begin of an accumulation, stays: whole networks write it with all of their rain.
    """
    code = without_words(measurement)
    accumulated = code.is_in(_NOT_OF_ONE_HOUR) | measurement.str.contains("accum", literal=True)
    special = report.str.contains(_SPECIAL)
    elsewhere = (accumulated | special).fill_null(value=False)
    trace = code.is_in(_TRACE).fill_null(value=False) & amount.is_not_null()
    return pl.when(elsewhere.not_()).then(pl.when(trace).then(TRACE_MM).otherwise(amount))


def last_of_each_hour(amount: pl.Expr, observed_at: pl.Expr) -> pl.Expr:
    """`amount` where it is the last in (h - 1 h, h], else null; all rows are of one station.

    Reports of several networks in one hour tell of the same rain, and hourly totals are the sum of what we deliver.
    """
    last = pl.when(amount.is_not_null()).then(observed_at).max().over(full_hour_after(observed_at))
    return pl.when(observed_at == last).then(amount)
