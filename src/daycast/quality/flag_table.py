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

from daycast.quality.as_of import NOBODY, AsOfGrid, Index, take
from daycast.quality.consistency import check_consistency
from daycast.quality.flags import GOOD, LOOK_BACK_HOURS, MISSING, Finding, Floats
from daycast.quality.limits import Limits
from daycast.quality.range import check_climatology, check_limits, check_neighbours, lapse
from daycast.quality.temporal import check_temporal
from daycast.times import UTC_TIME
from daycast.variables import Variable, check_column, flag_column

# What the checks found about each version: at once, or later through a newer reading, which begins another version.


Rows = NDArray[np.int64]
_SEGMENT = ["row", "moment"]


class FlagTable:
    """Flags of V variables of N versions, the worst finding deciding and the first of equal ones naming the check."""

    def __init__(self, versions: pl.DataFrame, variables: Sequence[str]) -> None:
        """`versions`: station_id, observed_at, known_from, known_until and the variables, in the order of the first three."""
        self._versions = versions
        self._known_from = versions["known_from"].to_physical().to_numpy()
        forever = np.iinfo(np.int64).max
        self._known_until = versions["known_until"].to_physical().fill_null(forever).to_numpy()
        self._checks: list[str | None] = [None]
        self.flag = {
            name: np.where(versions[name].is_null().to_numpy(), MISSING, GOOD).astype(np.uint8) for name in variables
        }
        self._check = {name: np.zeros(len(versions), np.uint8) for name in variables}
        self._later: list[pl.DataFrame] = []

    def doubts(self, variable: str) -> NDArray[np.bool_]:
        """Whether a check has found fault with the value, at the moment it became known. (N,)"""
        return self._check[variable] > 0

    def mark(self, variable: str, rows: Rows, check: str, flag: int) -> None:
        """Flag these versions from their beginning. A missing value stays missing."""
        held = self.flag[variable][rows]
        worse = rows[(held < flag) & (held != MISSING)]
        self.flag[variable][worse] = flag
        self._check[variable][worse] = self._code(check)

    def mark_later(self, variable: str, rows: Rows, moments: Rows, check: str, flag: int) -> None:
        """Flag these versions from `moments` on, as long as they are believed."""
        meant = (moments < self._known_until[rows]) & (self.flag[variable][rows] != MISSING)
        at_once = meant & (moments <= self._known_from[rows])
        self.mark(variable, rows[at_once], check, flag)
        after = meant & ~at_once
        if after.any():
            self._later.append(
                pl.DataFrame(
                    {
                        "row": rows[after],
                        "moment": moments[after],
                        "variable": pl.repeat(variable, int(after.sum()), eager=True),
                        "flag": np.full(after.sum(), flag, np.uint8),
                        "code": np.full(after.sum(), self._code(check), np.uint8),
                    }
                )
            )

    def flagged_versions(self) -> pl.DataFrame:
        """The versions with a flag and a check beside each variable, split where a flag got worse later; in order."""
        columns = []
        for name in self.flag:
            columns.append(pl.Series(flag_column(name), self.flag[name]))
            columns.append(pl.Series(check_column(name), self._check[name]))
        whole = self._versions.with_columns(columns)
        worsening = self._worsening()
        split = whole if worsening.is_empty() else self._split(whole, worsening)
        names = dict(enumerate(self._checks))
        named = [
            pl.col(check_column(name)).replace_strict(names, return_dtype=pl.String).alias(check_column(name))
            for name in self.flag
        ]
        return split.with_columns(named)

    def _code(self, check: str) -> int:
        if check not in self._checks:
            self._checks.append(check)
        return self._checks.index(check)

    def _worsening(self) -> pl.DataFrame:
        """The later findings that make a flag worse than it was by then: row, moment, variable, flag, code."""
        if not self._later:
            return pl.DataFrame(schema={"row": pl.Int64})
        found = pl.concat(self._later).sort("row", "variable", "moment", pl.col("flag").cast(pl.Int16).neg(), "code")
        own = pl.concat(
            part.with_columns(pl.Series("own", self.flag[str(name)][part["row"].to_numpy()]))
            for (name,), part in found.group_by("variable", maintain_order=True)
        )
        before = pl.col("flag").cum_max().shift(1).over("row", "variable", order_by="moment").fill_null(0)
        return own.filter(pl.col("flag") > pl.max_horizontal("own", before)).drop("own")

    def _split(self, whole: pl.DataFrame, worsening: pl.DataFrame) -> pl.DataFrame:
        segments = worsening.select(*_SEGMENT).unique().sort(*_SEGMENT)
        moment = pl.col("moment").cast(UTC_TIME)
        ends = segments.with_columns(pl.col("moment").shift(-1).over("row").alias("next"))
        numbered = whole.with_row_index("row").cast({"row": pl.Int64})
        parts = ends.join(numbered, on="row", how="left", maintain_order="left")
        for (name,), found in worsening.group_by("variable"):
            new = segments.join(found.select(*_SEGMENT, "flag", "code"), on=_SEGMENT, how="left", maintain_order="left")
            new = new.select(pl.col("flag", "code").forward_fill().over("row"))
            parts = parts.with_columns(
                pl.coalesce(new["flag"], flag_column(str(name))).alias(flag_column(str(name))),
                pl.coalesce(new["code"], check_column(str(name))).alias(check_column(str(name))),
            )
        parts = parts.with_columns(
            moment.alias("known_from"), pl.coalesce(pl.col("next").cast(UTC_TIME), "known_until").alias("known_until")
        )
        first = segments.group_by("row").agg(pl.col("moment").min().cast(UTC_TIME).alias("split_at"))
        begun = numbered.join(first, on="row", how="left", maintain_order="left").with_columns(
            pl.coalesce("split_at", "known_until").alias("known_until")
        )
        both = pl.concat([begun.select(numbered.columns), parts.select(numbered.columns)])
        return both.sort("row", "known_from").drop("row")  # a row's parts lie before the next row


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
        return FlagTable(versions, [variable.name for variable in variables]).flagged_versions()
    known = _as_of_grid(versions, around.stations["station_id"])
    flag_table = FlagTable(versions, [variable.name for variable in variables])
    possible = {variable.name: _check_limits(flag_table, versions, variable) for variable in variables}
    _check_past(flag_table, known, possible, variables, around.limits)
    for variable in variables:
        limits = around.limits.get(variable.name)
        if limits:
            _check_climatology(flag_table, versions, variable.name, possible[variable.name], around, limits)
    doubted = {name: flag_table.doubts(name) for name in possible}
    for name, finding in check_consistency(possible, doubted):
        flag_table.mark(name, np.flatnonzero(finding.fired), finding.check, finding.flag)
    _check_neighbours(flag_table, known, versions, possible, around, now)
    return flag_table.flagged_versions()


def _as_of_grid(versions: pl.DataFrame, station_ids: pl.Series) -> AsOfGrid:
    station = versions["station_id"].cast(pl.Enum(station_ids)).to_physical().to_numpy().astype(np.int64)
    hour = versions["observed_at"].to_physical().to_numpy() // _HOUR_US
    hour = hour - hour.min()
    forever = np.iinfo(np.int64).max
    return AsOfGrid(
        station=station,
        hour=hour,
        known_from=versions["known_from"].to_physical().to_numpy(),
        known_until=versions["known_until"].to_physical().fill_null(forever).to_numpy(),
        stations=len(station_ids),
        hours=int(hour.max()) + 1,
        look_back=LOOK_BACK_HOURS,
    )


def _check_limits(flag_table: FlagTable, versions: pl.DataFrame, variable: Variable) -> Floats:
    """Mark what is beyond the limits; returns the values without it, NaN where missing. (N,)"""
    value = versions[variable.name].fill_null(np.nan).to_numpy()
    finding = check_limits(value, variable)
    rows = np.flatnonzero(finding.fired)
    flag_table.mark(variable.name, rows, finding.check, finding.flag)
    return np.where(finding.fired, np.nan, value) if len(rows) else value


def _check_past(
    flag_table: FlagTable, known: AsOfGrid, values: Values, variables: Sequence[Variable], limits: Mapping[str, Limits]
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
        for finding in check_temporal(_sliding(known, value), limit, variable.circular, wind_there):
            _mark(flag_table, known, variable.name, on_grid[finding.fired[cells]], finding)
        wind_there = None if wind is None else take(wind, before)
        for finding in check_temporal(take(value, before), limit, variable.circular, wind_there):  # (n, W)
            _mark(flag_table, known, variable.name, elsewhere[finding.fired], finding)


def _sliding(known: AsOfGrid, value: Floats) -> Floats:
    """The window of every hour, as a view of the grid. (S, T, LOOK_BACK_HOURS + 1)"""
    return sliding_window_view(known.on_grid(value), LOOK_BACK_HOURS + 1, axis=1)


def _mark(flag_table: FlagTable, known: AsOfGrid, variable: str, rows: Index, finding: Finding) -> None:
    """Mark the hours that a finding at `rows` speaks of, from when it could be made."""
    for lag in finding.lags:
        moment = known.known_from[rows]
        meant = known.row_at(known.station[rows], known.hour[rows] - lag, moment) if lag else rows
        there = meant != NOBODY
        flag_table.mark_later(variable, meant[there], moment[there], finding.check, finding.flag)


def _check_climatology(
    flag_table: FlagTable, versions: pl.DataFrame, name: str, value: Floats, around: Surroundings, limits: Limits
) -> None:
    own = around.climatology.filter(pl.col("variable") == name)
    if own.is_empty():
        return
    usual = versions.select("station_id", pl.col("observed_at").dt.truncate("1mo").dt.date().alias("month")).join(
        own, on=["station_id", "month"], how="left", maintain_order="left"
    )
    mean, deviation = (usual[part].fill_null(np.nan).to_numpy() for part in ("mean", "deviation"))
    finding = check_climatology(value, mean, deviation, usual["n"].fill_null(0).to_numpy(), limits)
    flag_table.mark(name, np.flatnonzero(finding.fired), finding.check, finding.flag)


def _check_neighbours(
    flag_table: FlagTable, known: AsOfGrid, versions: pl.DataFrame, values: Values, around: Surroundings, now: datetime
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
        flag_table.mark_later(name, rows[finding.fired], due[rows[finding.fired]], finding.check, finding.flag)


def _neighbours_rows(known: AsOfGrid, neighbour: NDArray[np.int32], rows: Index, moment: Index) -> Index:
    """The version of one neighbour of each station, at the hour of each row, as known at each moment."""
    other = neighbour[known.station[rows]]
    return np.where(other == NOBODY, NOBODY, known.row_at(other.astype(np.int64), known.hour[rows], moment))
