"""Run every check on every version of the observations, using only what was known at the time.

`flag_versions` runs the checks and `FlagTable` collects their findings. The rule that keeps the flags free of leakage: a version
is checked against its own hour and the hours before as they were known when the version became known. What a later hour reveals
(a spike that returned, a value that stayed flat) starts a new version, known from when that later hour became known. Neighbours
are compared once: one hour after the observed hour, or when the version became known if that was later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from daycast.quality.as_of import ABSENT, AsOfGrid, Index, take_rows
from daycast.quality.consistency import check_consistency
from daycast.quality.flags import GOOD, LOOK_BACK_HOURS, MISSING, Finding, Floats
from daycast.quality.limits import Limits
from daycast.quality.range import check_climatology, check_limits, check_neighbours, lapse_rate
from daycast.quality.temporal import check_temporal
from daycast.times import UTC_TIME
from daycast.variables import Variable, check_column, flag_column

Rows = NDArray[np.int64]
ValuesByName = Mapping[str, Floats]
WIND = "wind_speed_m_s"
_SEGMENT = ["row", "moment"]
_HOUR_US = 3_600_000_000


class FlagTable:
    """The flags of N versions, variable by variable, and the check that decided each.

    The worst finding decides the flag; of equally bad ones the first names the check. A finding that is made only after the
    version became known splits the version in two: the old flag before that moment, the new one from then on.
    """

    def __init__(self, versions: pl.DataFrame, variables: Sequence[str]) -> None:
        """`versions`: station_id, observed_at, known_from, known_until and the variables, sorted by the first three."""
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

    def has_finding(self, variable: str) -> NDArray[np.bool_]:
        """Whether a check found fault with the value when the version became known. (N,)"""
        return self._check[variable] > 0

    def mark(self, variable: str, rows: Rows, check: str, flag: int) -> None:
        """Flag these versions from their known_from on. A missing value stays MISSING."""
        held = self.flag[variable][rows]
        worse = rows[(held < flag) & (held != MISSING)]
        self.flag[variable][worse] = flag
        self._check[variable][worse] = self._code(check)

    def mark_later(self, variable: str, rows: Rows, moments: Rows, check: str, flag: int) -> None:
        """Flag these versions from `moments` [microseconds since 1970] on, if they are still current then."""
        applies = (moments < self._known_until[rows]) & (self.flag[variable][rows] != MISSING)
        immediate = applies & (moments <= self._known_from[rows])
        self.mark(variable, rows[immediate], check, flag)
        after = applies & ~immediate
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
        """The versions with a flag and a check column for each variable, split where a flag became worse later.

        Sorted by station_id, observed_at and known_from.
        """
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
        """The number that stands for a check's name in the arrays; 0 stands for none."""
        if check not in self._checks:
            self._checks.append(check)
        return self._checks.index(check)

    def _worsening(self) -> pl.DataFrame:
        """The later findings that make a flag worse than it was until then: row, moment, variable, flag, code."""
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
        """`whole` with each version cut at the moments of `worsening`, every part with the flags that hold in it."""
        segments = worsening.select(*_SEGMENT).unique().sort(*_SEGMENT)
        moment = pl.col("moment").cast(UTC_TIME)
        ends = segments.with_columns(pl.col("moment").shift(-1).over("row").alias("next"))
        numbered = whole.with_row_index("row").cast({"row": pl.Int64})
        later = ends.join(numbered, on="row", how="left", maintain_order="left")
        for (name,), found in worsening.group_by("variable"):
            new = segments.join(found.select(*_SEGMENT, "flag", "code"), on=_SEGMENT, how="left", maintain_order="left")
            new = new.select(pl.col("flag", "code").forward_fill().over("row"))
            later = later.with_columns(
                pl.coalesce(new["flag"], flag_column(str(name))).alias(flag_column(str(name))),
                pl.coalesce(new["code"], check_column(str(name))).alias(check_column(str(name))),
            )
        later = later.with_columns(
            moment.alias("known_from"), pl.coalesce(pl.col("next").cast(UTC_TIME), "known_until").alias("known_until")
        )
        first = segments.group_by("row").agg(pl.col("moment").min().cast(UTC_TIME).alias("split_at"))
        first_part = numbered.join(first, on="row", how="left", maintain_order="left").with_columns(
            pl.coalesce("split_at", "known_until").alias("known_until")
        )
        both = pl.concat([first_part.select(numbered.columns), later.select(numbered.columns)])
        return both.sort("row", "known_from").drop("row")  # all parts of a version precede those of the next


@dataclass(frozen=True)
class CheckContext:
    """What the checks need besides the versions.

    stations: station_id and elevation_m, S rows sorted by id. neighbours: (S, K) positions in `stations`, ABSENT where there is
    none. climatology: station_id, month (its first day), variable, n (hours), mean and deviation of the station's past months.
    limits: the thresholds by variable name.
    """

    stations: pl.DataFrame
    neighbours: NDArray[np.int32]
    climatology: pl.DataFrame
    limits: Mapping[str, Limits]


def flag_versions(
    versions: pl.DataFrame, variables: Sequence[Variable], context: CheckContext, now: datetime
) -> pl.DataFrame:
    """Run every check. Returns the versions with a flag and a check column for each variable, in the same order.

    versions: station_id, observed_at, known_from, known_until (UTC) and every variable in its unit, sorted by the first three.
    They must reach LOOK_BACK_HOURS before and after the hours whose flags matter. A version becomes several rows where a flag
    became worse later. Comparisons with neighbours that are due after `now` are left out.
    """
    if versions.is_empty():
        return FlagTable(versions, [variable.name for variable in variables]).flagged_versions()
    grid = _as_of_grid(versions, context.stations["station_id"])
    flag_table = FlagTable(versions, [variable.name for variable in variables])
    possible = {variable.name: _check_limits(flag_table, versions, variable) for variable in variables}
    _check_temporal(flag_table, grid, possible, variables, context.limits)
    for variable in variables:
        limits = context.limits.get(variable.name)
        if limits:
            _check_climatology(flag_table, versions, variable.name, possible[variable.name], context, limits)
    flagged = {name: flag_table.has_finding(name) for name in possible}
    for name, finding in check_consistency(possible, flagged, _elevations(context)[grid.station]):
        flag_table.mark(name, np.flatnonzero(finding.fired), finding.check, finding.flag)
    _check_neighbours(flag_table, grid, versions, possible, context, now)
    return flag_table.flagged_versions()


def _elevations(context: CheckContext) -> Floats:
    """The elevation of each station [m], NaN where unknown. (S,)"""
    return context.stations["elevation_m"].fill_null(np.nan).to_numpy()


def _as_of_grid(versions: pl.DataFrame, station_ids: pl.Series) -> AsOfGrid:
    """The versions as a grid whose first hour is the first one observed."""
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
    """Flag values outside the physical limits. Returns the other values, NaN where missing or flagged. (N,)"""
    value = versions[variable.name].fill_null(np.nan).to_numpy()
    finding = check_limits(value, variable)
    rows = np.flatnonzero(finding.fired)
    flag_table.mark(variable.name, rows, finding.check, finding.flag)
    return np.where(finding.fired, np.nan, value) if len(rows) else value


def _check_temporal(
    flag_table: FlagTable,
    grid: AsOfGrid,
    values: ValuesByName,
    variables: Sequence[Variable],
    limits: Mapping[str, Limits],
) -> None:
    """Check every version against the hours before it.

    For most versions a sliding window over the grid of newest versions is right. For the few that became known before some of
    those newest versions did, the hours are looked up as they were known then.
    """
    on_grid = np.flatnonzero(grid.grid_suffices)
    elsewhere = np.flatnonzero(~grid.grid_suffices)
    cells = grid.station[on_grid], grid.hour[on_grid]
    before = grid.before(elsewhere)
    for variable in variables:
        limit, value = limits.get(variable.name), values[variable.name]
        if limit is None or np.isnan(value).all():
            continue
        wind = None if limit.wind_at_least_m_s is None else values.get(WIND)
        wind_window = None if wind is None else _sliding(grid, wind)
        for finding in check_temporal(_sliding(grid, value), limit, variable.circular, wind_window):
            _mark(flag_table, grid, variable.name, on_grid[finding.fired[cells]], finding)
        wind_window = None if wind is None else take_rows(wind, before)
        for finding in check_temporal(take_rows(value, before), limit, variable.circular, wind_window):  # (n, W)
            _mark(flag_table, grid, variable.name, elsewhere[finding.fired], finding)


def _sliding(grid: AsOfGrid, value: Floats) -> Floats:
    """The window of every station and hour, as a view of the grid. (S, T, LOOK_BACK_HOURS + 1)"""
    return sliding_window_view(grid.on_grid(value), LOOK_BACK_HOURS + 1, axis=1)


def _mark(flag_table: FlagTable, grid: AsOfGrid, variable: str, rows: Index, finding: Finding) -> None:
    """Flag the hours that a finding at `rows` concerns, from the moment it could be made."""
    lag = np.tile(np.array(finding.lags), len(rows))
    found = np.repeat(rows, len(finding.lags))
    moment = grid.known_from[found]
    target = np.where(lag == 0, found, grid.row_at(grid.station[found], grid.hour[found] - lag, moment))
    exists = target != ABSENT
    flag_table.mark_later(variable, target[exists], moment[exists], finding.check, finding.flag)


def _check_climatology(
    flag_table: FlagTable, versions: pl.DataFrame, name: str, value: Floats, context: CheckContext, limits: Limits
) -> None:
    """Compare each value of one variable with the statistics of its station and month."""
    own = context.climatology.filter(pl.col("variable") == name)
    if own.is_empty():
        return
    usual = versions.select("station_id", pl.col("observed_at").dt.truncate("1mo").dt.date().alias("month")).join(
        own, on=["station_id", "month"], how="left", maintain_order="left"
    )
    mean, deviation = (usual[part].fill_null(np.nan).to_numpy() for part in ("mean", "deviation"))
    finding = check_climatology(value, mean, deviation, usual["n"].fill_null(0).to_numpy(), limits)
    flag_table.mark(name, np.flatnonzero(finding.fired), finding.check, finding.flag)


def _check_neighbours(
    flag_table: FlagTable,
    grid: AsOfGrid,
    versions: pl.DataFrame,
    values: ValuesByName,
    context: CheckContext,
    now: datetime,
) -> None:
    """Compare each value with its neighbours' values as known one hour after the hour, or at known_from if that is later."""
    due = np.maximum(grid.known_from, versions["observed_at"].to_physical().to_numpy() + _HOUR_US)
    has_any = (context.neighbours != ABSENT).any(axis=1)
    rows = np.flatnonzero(has_any[grid.station] & (due < grid.known_until) & (due <= now.timestamp() * 1e6))
    neighbour_rows = [
        _rows_of_neighbour(grid, context.neighbours[:, k], rows, due[rows]) for k in range(context.neighbours.shape[1])
    ]
    height = _elevations(context)
    for name, value in values.items():
        per_metre = lapse_rate(name)
        if per_metre is None or name not in context.limits:
            continue
        below = (
            np.nan_to_num(per_metre * (height - height[context.neighbours[:, k]]))[grid.station[rows]]
            for k in range(len(neighbour_rows))
        )
        reduced = (take_rows(value, other) + rise for other, rise in zip(neighbour_rows, below, strict=True))
        finding = check_neighbours(value[rows], reduced, context.limits[name])
        flag_table.mark_later(name, rows[finding.fired], due[rows[finding.fired]], finding.check, finding.flag)


def _rows_of_neighbour(grid: AsOfGrid, neighbour: NDArray[np.int32], rows: Index, moment: Index) -> Index:
    """The row of one neighbour of each station, for the hour of each of `rows`, as known at each moment. (n,)"""
    other = neighbour[grid.station[rows]]
    return np.where(other == ABSENT, ABSENT, grid.row_at(other.astype(np.int64), grid.hour[rows], moment))
