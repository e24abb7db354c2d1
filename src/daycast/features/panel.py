"""`Panel`: the observations of all stations as one array (station, hour, channel), with the hour each value was known from.

`make_panel` builds it from versions of observations; `split_panel` cuts it into blocks of stations that can be worked on
separately, each with the neighbours of its stations.

S stations, T hours, C channels, R revisions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.features.channels import Channel
from daycast.features.external_forecasts import ExternalForecasts
from daycast.features.neighbours import NOBODY
from daycast.times import EPOCH, HOUR, hours_between

NEVER = np.int32(2**30)  # an hour index that no forecast reaches
_AT_ONCE = 1_000_000  # station hours whose rows are in memory together, beside the arrays


@dataclass(frozen=True)
class Revisions:
    """Versions of observations that were replaced later, sorted by station and hour.

    A forecast issued at hour t saw values[r] at (station[r], hour[r]) if known_from[r] <= t < known_until[r]. All hours are
    indices of the panel.
    """

    station: np.ndarray  # (R,) int32
    hour: np.ndarray  # (R,) int32
    known_from: np.ndarray  # (R,) int32
    known_until: np.ndarray  # (R,) int32
    values: np.ndarray  # (R, C) float32


@dataclass(frozen=True)
class Panel:
    """The observations of all stations; hour index t stands for start + t hours."""

    stations: pl.DataFrame  # station_id, latitude, longitude, elevation_m, in the order of the arrays
    start: datetime
    channels: tuple[Channel, ...]
    values: np.ndarray  # (S, T, C) float32 in units, NaN where missing: the latest versions
    known_from: np.ndarray  # (S, T) int32: the first hour that could know the latest version
    revisions: Revisions  # the earlier versions
    weight: np.ndarray | None = None  # (S, T, C) float16: weight of each value as truth; None: all 1
    external_forecasts: ExternalForecasts | None = None  # for these stations; None: the model reads none

    @property
    def hours(self) -> int:
        """T, the number of hours."""
        return int(self.values.shape[1])

    def time_of(self, hour: int) -> datetime:
        """The instant of an hour index."""
        return self.start + hour * HOUR

    def index_of(self, time: datetime) -> int:
        """The hour index of an instant on the hour."""
        return hours_between(self.start, time)

    def hours_since_1970(self, hours: np.ndarray) -> np.ndarray:
        """Hour indices as hours since 1970, int64."""
        return hours_between(EPOCH, self.start) + hours.astype(np.int64)


def make_panel(
    versions: pl.DataFrame | pl.LazyFrame,
    stations: pl.DataFrame,
    channels: Sequence[Channel],
    start: datetime,
    end: datetime,
) -> Panel:
    """The panel of the hours from `start` to `end`, both included.

    versions: station_id, observed_at, known_from, known_until (null: still believed), the variables of `channels`, and optionally
    their `weight_column`s (default 1). Other hours and stations are left out. A lazy frame is read a few stations at a time,
    fastest if it is sorted by station. stations: station_id, latitude and longitude in degrees, elevation_m.
    """
    stations = stations.sort("station_id")
    S, T, C = len(stations), hours_between(start, end) + 1, len(channels)
    values = np.full((S, T, C), np.nan, np.float32)
    known_from = np.full((S, T), NEVER, np.int32)
    weight, revised = None, []
    for rows in _in_parts(versions.lazy(), stations, channels, start, T):
        current = rows.filter(pl.col("known_until") == NEVER)
        at = current["station"].to_numpy(), current["hour"].to_numpy()
        values[at] = _values(current, C)
        known_from[at] = current["known_from"].to_numpy()
        weight = _add_weights(weight, current, at, values.shape)
        revised.append(rows.filter((pl.col("known_until") != NEVER) & (pl.col("known_from") < pl.col("known_until"))))
    return Panel(stations, start, tuple(channels), values, known_from, _revisions(pl.concat(revised), C), weight)


def _in_parts(
    versions: pl.LazyFrame, stations: pl.DataFrame, channels: Sequence[Channel], start: datetime, T: int
) -> Iterator[pl.DataFrame]:
    """The rows of a few stations at a time, with indices in place of ids and times."""
    ids = stations.select("station_id").with_row_index("station")
    for part in ids.iter_slices(max(_AT_ONCE // T, 1)) if len(ids) else [ids]:
        own = versions
        if len(part) < len(ids):  # a range of ids, because a Parquet file can skip what is outside
            first, last = part["station_id"][0], part["station_id"][-1]
            own = versions.filter(pl.col("station_id").is_between(pl.lit(first), pl.lit(last)))
        yield _as_indices(own, part, channels, start, T).collect()


def _as_indices(
    versions: pl.LazyFrame, ids: pl.DataFrame, channels: Sequence[Channel], start: datetime, T: int
) -> pl.LazyFrame:
    """station, hour, known_from, known_until, channel values c0, c1, … and weights w0, w1, … where given."""
    hour = (pl.col("observed_at") - start).dt.total_hours()
    columns = versions.collect_schema().names()
    weighed = [(c, channel) for c, channel in enumerate(channels) if channel.weight_column in columns]
    return (
        versions.join(ids.lazy(), on="station_id")
        .select(
            pl.col("station").cast(pl.Int32),
            hour.cast(pl.Int32).alias("hour"),
            _hours_rounded_up(pl.col("known_from") - start).alias("known_from"),
            _hours_rounded_up(pl.col("known_until") - start).fill_null(int(NEVER)).alias("known_until"),
            *(channel.expression.cast(pl.Float32).alias(f"c{c}") for c, channel in enumerate(channels)),
            *(pl.col(channel.weight_column).alias(f"w{c}") for c, channel in weighed),
        )
        .filter(pl.col("hour").is_between(0, T - 1))
    )


def _hours_rounded_up(duration: pl.Expr) -> pl.Expr:
    return (duration.dt.total_microseconds() / 3_600_000_000).ceil().cast(pl.Int32)


def _add_weights(
    weight: np.ndarray | None, current: pl.DataFrame, at: tuple[np.ndarray, np.ndarray], shape: tuple[int, int, int]
) -> np.ndarray | None:
    """Write the weights of rows into weight (S, T, C) at (station, hour); None as long as all are 1."""
    columns = [c for c in range(shape[2]) if f"w{c}" in current.columns and (current[f"w{c}"] != 1).any()]
    if not columns:
        return weight
    weight = np.ones(shape, np.float16) if weight is None else weight
    for c in columns:
        weight[*at, c] = current[f"w{c}"].to_numpy()
    return weight


def _revisions(past: pl.DataFrame, C: int) -> Revisions:
    past = past.sort("station", "hour", "known_from")
    index = {name: past[name].to_numpy() for name in ("station", "hour", "known_from", "known_until")}
    return Revisions(**index, values=_values(past, C))


def _values(rows: pl.DataFrame, C: int) -> np.ndarray:
    return np.column_stack([rows[f"c{c}"].fill_null(np.nan).to_numpy() for c in range(C)]).astype(
        np.float32, copy=False
    )


@dataclass(frozen=True)
class StationBlock:
    """Some stations of a panel together with their neighbours."""

    panel: Panel  # own stations and neighbours, in the order of the whole panel
    own: NDArray[np.int64]  # (B,) rows of this block's panel
    neighbours: NDArray[np.int32]  # (S, N) rows of this block's panel; only own stations have neighbours here


def split_panel(
    panel: Panel, wanted: NDArray[np.int64], neighbours: NDArray[np.int32], most: int
) -> Iterator[StationBlock]:
    """Blocks of the stations `wanted` (W,), `most` at a time, in order.

    panel: without external forecasts, which can be added to each block. wanted: rows of the panel, ascending. neighbours (S, N):
    rows of the panel, NOBODY where there is none.
    """
    for first in range(0, len(wanted), most):
        yield _take(panel, wanted[first : first + most], neighbours)


def with_neighbours(
    own: NDArray[np.int64], neighbours: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The stations `own` (B,) together with their neighbours, ascending (S',), and the neighbours among these (S', N).

    neighbours (S, N): of all stations. In the result only own stations have neighbours, in the same order; else NOBODY.
    """
    theirs = neighbours[own]  # (B, N)
    rows = np.union1d(own, theirs[theirs != NOBODY]).astype(np.int64)
    near = np.full((len(rows), neighbours.shape[1]), NOBODY, np.int32)
    near[np.searchsorted(rows, own)] = np.where(theirs == NOBODY, NOBODY, np.searchsorted(rows, theirs))
    return rows, near


def _take(panel: Panel, own: NDArray[np.int64], neighbours: NDArray[np.int32]) -> StationBlock:
    rows, near = with_neighbours(own, neighbours)
    part = replace(
        panel,
        stations=panel.stations[rows],
        values=panel.values[rows],
        known_from=panel.known_from[rows],
        revisions=_take_revisions(panel.revisions, rows),
        weight=None if panel.weight is None else panel.weight[rows],
    )
    return StationBlock(part, np.searchsorted(rows, own), near)


def _take_revisions(revisions: Revisions, rows: NDArray[np.int64]) -> Revisions:
    kept = np.isin(revisions.station, rows)
    return Revisions(
        np.searchsorted(rows, revisions.station[kept]).astype(np.int32),
        revisions.hour[kept],
        revisions.known_from[kept],
        revisions.known_until[kept],
        revisions.values[kept],
    )
