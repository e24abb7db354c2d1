"""Every check on every version of the observations, each in the light of what was known when the version was.

The rule that makes flags honest: a version is checked with the past and the present hour as they were known when it became
known. What a later hour shows about it (a spike that returned, a value that never moved) begins a new version, known from
when that later hour was. Neighbours are asked once: an hour after the hour, or when the version came if that was later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from daycast.quality.checks import check_climatology, check_limits, check_neighbours, lapse
from daycast.quality.finding import LOOK_BACK_HOURS, Finding, Floats
from daycast.quality.known_then import NOBODY, Index, KnownThen, take
from daycast.quality.limits import Limits
from daycast.quality.past_checks import check_past
from daycast.quality.together_checks import check_together
from daycast.quality.verdicts import Verdicts
from daycast.variables import Variable

_HOUR_US = 3_600_000_000
Values = Mapping[str, Floats]
WIND = "wind_speed_m_s"


@dataclass(frozen=True)
class Surroundings:
    """What checks need beside the versions themselves.

    stations: station_id and elevation_m, S rows sorted by id; neighbours: (S, K) positions in it, NOBODY where there is none;
    climatology: station_id, month (its first day), variable, n, mean, deviation, of the months before each month.
    """

    stations: pl.DataFrame
    neighbours: NDArray[np.int32]
    climatology: pl.DataFrame
    limits: Mapping[str, Limits]


def flag_versions(
    versions: pl.DataFrame, variables: Sequence[Variable], around: Surroundings, now: datetime
) -> pl.DataFrame:
    """The versions with a flag and the deciding check's name beside each variable, split where a flag became worse later.

    versions: station_id, observed_at, known_from, known_until and every variable, in the order of the first three; they should
    reach LOOK_BACK_HOURS before and after the hours whose flags matter. Verdicts that fall due after `now` are left out.
    """
    if versions.is_empty():
        return Verdicts(versions, [variable.name for variable in variables]).flagged_versions()
    known = _known_then(versions, around.stations["station_id"])
    verdicts = Verdicts(versions, [variable.name for variable in variables])
    possible = {variable.name: _check_limits(verdicts, versions, variable) for variable in variables}
    _check_past(verdicts, known, possible, variables, around.limits)
    for variable in variables:
        limits = around.limits.get(variable.name)
        if limits:
            _check_climatology(verdicts, versions, variable.name, possible[variable.name], around, limits)
    doubted = {name: verdicts.doubts(name) for name in possible}
    for name, finding in check_together(possible, doubted):
        verdicts.mark(name, np.flatnonzero(finding.fired), finding.check, finding.flag)
    _check_neighbours(verdicts, known, versions, possible, around, now)
    return verdicts.flagged_versions()


def _known_then(versions: pl.DataFrame, station_ids: pl.Series) -> KnownThen:
    station = versions["station_id"].cast(pl.Enum(station_ids)).to_physical().to_numpy().astype(np.int64)
    hour = versions["observed_at"].to_physical().to_numpy() // _HOUR_US
    hour = hour - hour.min()
    forever = np.iinfo(np.int64).max
    return KnownThen(
        station=station,
        hour=hour,
        known_from=versions["known_from"].to_physical().to_numpy(),
        known_until=versions["known_until"].to_physical().fill_null(forever).to_numpy(),
        stations=len(station_ids),
        hours=int(hour.max()) + 1,
        look_back=LOOK_BACK_HOURS,
    )


def _check_limits(verdicts: Verdicts, versions: pl.DataFrame, variable: Variable) -> Floats:
    """Mark what is beyond the limits; returns the values without it, NaN where missing. (N,)"""
    value = versions[variable.name].fill_null(np.nan).to_numpy()
    finding = check_limits(value, variable)
    rows = np.flatnonzero(finding.fired)
    verdicts.mark(variable.name, rows, finding.check, finding.flag)
    return np.where(finding.fired, np.nan, value) if len(rows) else value


def _check_past(
    verdicts: Verdicts, known: KnownThen, values: Values, variables: Sequence[Variable], limits: Mapping[str, Limits]
) -> None:
    """Check every version against the hours before it: most on the grid, the few that knew otherwise one by one."""
    on_grid = np.flatnonzero(known.grid_suffices)
    elsewhere = np.flatnonzero(~known.grid_suffices)
    cells = known.station[on_grid], known.hour[on_grid]
    before = known.before(elsewhere)
    for variable in variables:
        limit, value = limits.get(variable.name), values[variable.name]
        if limit is None or np.isnan(value).all():
            continue
        wind = None if limit.wind_at_least_m_s is None else values.get(WIND)
        wind_there = None if wind is None else _sliding(known, wind)
        for finding in check_past(_sliding(known, value), limit, variable.circular, wind_there):
            _mark(verdicts, known, variable.name, on_grid[finding.fired[cells]], finding)
        wind_there = None if wind is None else take(wind, before)
        for finding in check_past(take(value, before), limit, variable.circular, wind_there):  # (n, W)
            _mark(verdicts, known, variable.name, elsewhere[finding.fired], finding)


def _sliding(known: KnownThen, value: Floats) -> Floats:
    """The window of every hour, as a view of the grid. (S, T, LOOK_BACK_HOURS + 1)"""
    return sliding_window_view(known.on_grid(value), LOOK_BACK_HOURS + 1, axis=1)


def _mark(verdicts: Verdicts, known: KnownThen, variable: str, rows: Index, finding: Finding) -> None:
    """Mark the hours that a finding at `rows` speaks of, from when it could be made."""
    for lag in finding.lags:
        moment = known.known_from[rows]
        meant = known.row_at(known.station[rows], known.hour[rows] - lag, moment) if lag else rows
        there = meant != NOBODY
        verdicts.mark_later(variable, meant[there], moment[there], finding.check, finding.flag)


def _check_climatology(
    verdicts: Verdicts, versions: pl.DataFrame, name: str, value: Floats, around: Surroundings, limits: Limits
) -> None:
    own = around.climatology.filter(pl.col("variable") == name)
    if own.is_empty():
        return
    usual = versions.select("station_id", pl.col("observed_at").dt.truncate("1mo").dt.date().alias("month")).join(
        own, on=["station_id", "month"], how="left", maintain_order="left"
    )
    mean, deviation = (usual[part].fill_null(np.nan).to_numpy() for part in ("mean", "deviation"))
    finding = check_climatology(value, mean, deviation, usual["n"].fill_null(0).to_numpy(), limits)
    verdicts.mark(name, np.flatnonzero(finding.fired), finding.check, finding.flag)


def _check_neighbours(
    verdicts: Verdicts, known: KnownThen, versions: pl.DataFrame, values: Values, around: Surroundings, now: datetime
) -> None:
    """Compare each value with what its neighbours had said an hour after the hour, or when it came if that was later."""
    due = np.maximum(known.known_from, versions["observed_at"].to_physical().to_numpy() + _HOUR_US)
    has_any = (around.neighbours != NOBODY).any(axis=1)
    rows = np.flatnonzero(has_any[known.station] & (due < known.known_until) & (due <= now.timestamp() * 1e6))
    said = [
        _neighbours_rows(known, around.neighbours[:, k], rows, due[rows]) for k in range(around.neighbours.shape[1])
    ]
    height = around.stations["elevation_m"].fill_null(np.nan).to_numpy()
    for name, value in values.items():
        per_metre = lapse(name)
        if per_metre is None or name not in around.limits:
            continue
        below = (
            np.nan_to_num(per_metre * (height - height[around.neighbours[:, k]]))[known.station[rows]]
            for k in range(len(said))
        )
        reduced = (take(value, other) + rise for other, rise in zip(said, below, strict=True))
        finding = check_neighbours(value[rows], reduced, around.limits[name])
        verdicts.mark_later(name, rows[finding.fired], due[rows[finding.fired]], finding.check, finding.flag)


def _neighbours_rows(known: KnownThen, neighbour: NDArray[np.int32], rows: Index, moment: Index) -> Index:
    """The version of one neighbour of each station, at the hour of each row, as known at each moment."""
    other = neighbour[known.station[rows]]
    return np.where(other == NOBODY, NOBODY, known.row_at(other.astype(np.int64), known.hour[rows], moment))
