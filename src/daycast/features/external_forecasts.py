"""Others' forecasts as arrays, by what could be known when: the newest issue that had come by an hour of our own issue.

A release is what was known of one station's issue from one receipt on: a later receipt of the same issue adds a release, in
which it wins where it says something.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from daycast.features.channels import Channel
from daycast.times import HORIZON_HOURS

OLDEST_H = 48  # an issue older than this is none
LONGEST_LEAD_H = OLDEST_H + HORIZON_HOURS
_SPAN = 2**24  # hours, more than any two that are there lie apart
_BIAS = 2**22  # hours before the first that an issue may be received


@dataclass(frozen=True)
class ExternalForecasts:
    """R releases of others' forecasts for the stations of a network; hours are indices as in Network.

    Of the releases that had come to station s by hour t, the one to read is newest[i], i being the last with
    arrivals[i] <= arrival_key(s, t); it is of another station where nothing had come.
    """

    channels: tuple[Channel, ...]  # K
    values: np.ndarray  # (R, L, K) float32: lead 1 to L of the release's own issue, NaN where it says nothing
    station: np.ndarray  # (R,) int64
    issued: np.ndarray  # (R,) int64: hour of issue; may be negative
    arrivals: np.ndarray  # (R,) int64, sorted: station and the first hour that could know a release
    newest: np.ndarray  # (R,) int64


def arrival_key(station: Any, hour: Any) -> Any:
    """Station and hour as one number, in the order of station, then hour; both arrays or both tensors of int64."""
    return station * _SPAN + hour + _BIAS


def external_channels(rows: pl.DataFrame, channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """The channels whose variable has a value in rows of others' forecasts."""
    return tuple(
        channel for channel in channels if channel.variable in rows.columns and rows[channel.variable].count() > 0
    )


def make_external_forecasts(
    rows: pl.DataFrame | None, stations: pl.DataFrame, channels: Sequence[Channel], start: datetime
) -> ExternalForecasts:
    """Arrays of others' forecasts (station_id, issued_at, valid_at, received_at, the channels' variables); None: no rows.

    `stations` and `start` are the network's. Rows of other stations, and leads beyond LONGEST_LEAD_H, are left out.
    """
    if rows is None:
        none = np.empty(0, np.int64)
        return ExternalForecasts(tuple(channels), np.empty((0, 1, len(channels)), np.float32), none, none, none, none)
    cells = _cells(rows, stations, channels, start)
    releases = cells.select("station", "issued", "known").unique().sort("station", "issued", "known")
    placed = cells.join(releases.with_row_index("release"), on=["station", "issued", "known"])
    L = int(placed["lead"].to_numpy().max(initial=1))
    values = np.full((len(releases), L, len(channels)), np.nan, np.float32)
    at = placed["release"].to_numpy(), placed["lead"].to_numpy() - 1
    for k in range(len(channels)):
        values[*at, k] = placed[f"k{k}"].to_numpy()
    _keep_what_was_said(values, releases)
    station, issued, known = (releases[name].to_numpy() for name in ("station", "issued", "known"))
    order = np.lexsort((np.arange(len(station)), known, station))
    newest = np.maximum.accumulate(order) if len(order) else order  # releases are in the order of station and issue
    return ExternalForecasts(tuple(channels), values, station, issued, arrival_key(station, known)[order], newest)


def _cells(rows: pl.DataFrame, stations: pl.DataFrame, channels: Sequence[Channel], start: datetime) -> pl.DataFrame:
    """station, issued, known, lead and k0, k1, … : one row a station, issue, hour of receipt and lead, the last word of it."""
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


def _keep_what_was_said(values: np.ndarray, releases: pl.DataFrame) -> None:
    """Fill each release, in place, with what earlier receipts of its issue said where it says nothing."""
    nth = releases.select(pl.int_range(pl.len()).over("station", "issued")).to_series().to_numpy()
    for n in range(1, int(nth.max(initial=0)) + 1):
        later = np.flatnonzero(nth == n)
        values[later] = np.where(np.isnan(values[later]), values[later - 1], values[later])
