"""From the reports of a station-year to a delivery of what was received in a span of time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from daycast.sources.delivery import Delivery
from daycast.sources.noaa.station_year import Reports, StationYear
from daycast.sources.tables.problems import list_problems
from daycast.variables import Variable


@dataclass(frozen=True, slots=True)
class Span:
    """What to deliver: what was received in (since, until], `delay` after it was observed, and not observed before `start`."""

    since: datetime | None
    until: datetime
    start: datetime | None
    delay: timedelta


def as_delivery(
    reports: Reports, piece: StationYear, fingerprint: str, span: Span, variables: Mapping[str, Variable]
) -> Delivery:
    """The reports in `span`, and those whose time cannot be read, with every variable, null where the file has none such."""
    readings = _readings(reports.values, piece.station, span.delay, variables)
    received, observed, never = pl.col("received_at"), pl.col("observed_at"), pl.lit(value=False)
    sides = readings.select(
        late=(received > span.until).fill_null(value=False),
        old=(received <= span.since).fill_null(value=False) if span.since else never,
        before=(observed < span.start).fill_null(value=False) if span.start else never,
    )
    inside = ~(sides["late"] | sides["old"] | sides["before"])
    return Delivery(
        origin=piece.origin,
        fingerprint=fingerprint,
        readings=readings.filter(inside),
        raw=reports.raw.filter(inside),
        problems=_only(list_problems(reports.complaints), inside),
        complete=not (sides["late"] | sides["old"]).any(),
        receipt="assumed",
    )


def _readings(values: pl.DataFrame, station: str, delay: timedelta, variables: Mapping[str, Variable]) -> pl.DataFrame:
    def none(name: str) -> pl.Expr:
        return pl.repeat(None, pl.len(), dtype=pl.Float64).alias(name)

    return values.select(
        pl.repeat(station, pl.len(), dtype=pl.String).alias("station_id"),
        "observed_at",
        (pl.col("observed_at") + delay).alias("received_at"),
        *(pl.col(name) if name in values.columns else none(name) for name in variables),
    )


def _only(problems: pl.DataFrame, kept: pl.Series) -> pl.DataFrame:
    """The problems of the rows `kept`, which are numbered anew without the others."""
    numbers = kept.cum_sum().cast(pl.UInt32)
    row = problems["row_number"]
    return problems.filter(kept.gather(row)).with_columns(row_number=numbers.gather(row.filter(kept.gather(row))) - 1)
