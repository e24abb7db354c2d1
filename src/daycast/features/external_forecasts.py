"""External forecasts as arrays from which the newest issue that had arrived by any hour can be looked up.

A version is one station's issue as it was known from one receipt on. A later receipt of the same issue makes another version,
whose values replace those of earlier ones where it has any.

R versions, L leads, K channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from daycast.features.channels import Channel
from daycast.times import HORIZON_HOURS

OLDEST_H = 48  # hours; an older issue is not used
LONGEST_LEAD_H = OLDEST_H + HORIZON_HOURS
_SPAN = 2**24  # hours, more than any two lie apart
_BIAS = 2**22  # hours that an issue may be received before the panel starts


@dataclass(frozen=True)
class ExternalForecasts:
    """R versions of external forecasts for the stations of a panel; hours are indices of the panel.

    For station s at hour t read version newest[i], where i is the last index with arrivals[i] <= arrival_key(s, t). If that
    version is of another station, nothing had arrived for s.
    """

    channels: tuple[Channel, ...]  # K
    values: np.ndarray  # (R, L, K) float32: leads 1 to L of the version's own issue, NaN where it has no value
    station: np.ndarray  # (R,) int64
    issued: np.ndarray  # (R,) int64: hour of issue; may be negative
    arrivals: np.ndarray  # (R,) int64, sorted: arrival_key of station and the first hour that could know the version
    newest: np.ndarray  # (R,) int64


def arrival_key(station: Any, hour: Any) -> Any:
    """Station and hour as one number that sorts by station, then by hour. Arrays or tensors of int64."""
    return station * _SPAN + hour + _BIAS


def external_channels(rows: pl.DataFrame, channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """The channels whose variable has any value in rows of external forecasts."""
    return tuple(
        channel for channel in channels if channel.variable in rows.columns and rows[channel.variable].count() > 0
    )


def make_external_forecasts(
    rows: pl.DataFrame | None, stations: pl.DataFrame, channels: Sequence[Channel], start: datetime
) -> ExternalForecasts:
    """Arrays from rows of external forecasts; None counts as no rows.

    rows: station_id, issued_at, valid_at, received_at, and the channels' variables. stations, start: of the panel. Rows of other
    stations, and leads beyond LONGEST_LEAD_H, are left out.
    """
    if rows is None:
        none = np.empty(0, np.int64)
        return ExternalForecasts(tuple(channels), np.empty((0, 1, len(channels)), np.float32), none, none, none, none)
    cells = _cells(rows, stations, channels, start)
    versions = cells.select("station", "issued", "known").unique().sort("station", "issued", "known")
    placed = cells.join(versions.with_row_index("version"), on=["station", "issued", "known"])
    L = int(placed["lead"].to_numpy().max(initial=1))
    values = np.full((len(versions), L, len(channels)), np.nan, np.float32)
    at = placed["version"].to_numpy(), placed["lead"].to_numpy() - 1
    for k in range(len(channels)):
        values[*at, k] = placed[f"k{k}"].to_numpy()
    _fill_from_earlier_receipts(values, versions)
    station, issued, known = (versions[name].to_numpy() for name in ("station", "issued", "known"))
    order = np.lexsort((np.arange(len(station)), known, station))
    newest = np.maximum.accumulate(order) if len(order) else order  # versions are sorted by station and issue
    return ExternalForecasts(tuple(channels), values, station, issued, arrival_key(station, known)[order], newest)


def _cells(rows: pl.DataFrame, stations: pl.DataFrame, channels: Sequence[Channel], start: datetime) -> pl.DataFrame:
    """station, issued, known, lead and k0, k1, …: one row per station, issue, hour of receipt and lead, the last values win."""
    ids = stations.select("station_id").sort("station_id").with_row_index("station")
    issued = (pl.col("issued_at") - start).dt.total_hours()
    known = ((pl.col("received_at") - start).dt.total_microseconds() / 3_600_000_000).ceil().cast(pl.Int64)
    values = [channel.expression.cast(pl.Float32).alias(f"k{k}") for k, channel in enumerate(channels)]
    return (
        rows.sort("received_at", maintain_order=True)
        .join(ids, on="station_id", maintain_order="left")
        .select(
            pl.col("station").cast(pl.Int64),
            issued.alias("issued"),
            pl.max_horizontal(known, issued).alias("known"),
            (pl.col("valid_at") - pl.col("issued_at")).dt.total_hours().alias("lead"),
            *values,
        )
        .filter(pl.col("lead").is_between(1, LONGEST_LEAD_H))
        .group_by("station", "issued", "known", "lead")
        .agg(pl.col(f"k{k}").drop_nulls().last().fill_null(np.nan) for k in range(len(channels)))
    )


def _fill_from_earlier_receipts(values: np.ndarray, versions: pl.DataFrame) -> None:
    """Fill the missing values of each version, in place, with those of the version before it of the same issue."""
    nth = versions.select(pl.int_range(pl.len()).over("station", "issued")).to_series().to_numpy()
    for n in range(1, int(nth.max(initial=0)) + 1):
        later = np.flatnonzero(nth == n)
        values[later] = np.where(np.isnan(values[later]), values[later - 1], values[later])
