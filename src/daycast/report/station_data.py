"""The stations of the network as data for the page's scripts: one list for each column, and the hours as packed arrays.

Order: `find_time_zones`, `make_station_data` with the overview (lowest, highest and sum of the next 24 hours), and `pack`, the
form in which hourly values travel: 100 to 200 bytes for a variable and station.
"""

import base64
import gzip
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.times import HOUR, floor_hour
from daycast.variables import Variable

Floats = NDArray[np.float32]

HORIZON_H = 24
HISTORY_H = 48  # of observations before the newest hour of issue
REGIMES = {
    "full": "full input",
    "gappy": "holes in the last week",
    "stale": "silent in the last 3 hours",
    "cold_start": "new, under 24 hours of history",
}
_LEVELS = (5, 10, 25, 50, 75, 90, 95)  # of the quantiles, in percent
_FAN_LEVELS = (5, 25, 50, 75, 95)
_EDGES = np.array([-_LEVELS[0], *_LEVELS, 200 - _LEVELS[-1]]) / 100
_MEAN_WEIGHTS = ((_EDGES[2:] - _EDGES[:-2]) / 2).astype(np.float32)  # of the quantiles in the mean of a distribution
_MISSING = -32768
_STEPS = 32767  # of a packed value, in either direction


def find_time_zones(stations: pl.DataFrame, everywhere: str | None, single: Mapping[str, str]) -> pl.Series:
    """The time zone of each station: IANA name or fixed offset, null where neither a setting nor a position tells it.

    stations: station_id, latitude, longitude. A setting for the single station counts most, then the one for all stations, then
    the zone whose borders hold the position (tzfpy; simplified, so that it may err within a few kilometres of a border).
    """
    placed = stations.select("latitude", "longitude").drop_nulls().unique()
    if everywhere is None and len(placed):
        from tzfpy import get_tz  # noqa: PLC0415 - the borders of all zones: read only where they are needed

        zones = [get_tz(longitude, latitude) or None for latitude, longitude in placed.iter_rows()]
        placed = placed.with_columns(pl.Series("zone", zones, pl.String))
        of_place = stations.join(placed, on=["latitude", "longitude"], how="left", maintain_order="left")["zone"]
    else:
        of_place = pl.repeat(everywhere, len(stations), dtype=pl.String, eager=True)
    chosen = stations["station_id"].replace_strict(dict(single), default=None, return_dtype=pl.String)
    return pl.select(pl.coalesce(chosen, of_place).alias("time_zone")).to_series()


def make_station_data(
    now: datetime,
    silent_before: datetime,
    stations: pl.DataFrame,
    forecasts: pl.DataFrame,
    observations: pl.DataFrame,
    variables: Mapping[str, Variable],
) -> dict[str, Any]:
    """What the scripts of the page read of the stations. Times are hours since 1970, UTC; every list has one entry a station.

    stations: as the view station_coverage, with time_zone. forecasts: the newest issue of each station (station_id, variable,
    issued_at, valid_at, input_regime, quantiles). observations: station_id, observed_at and variables, null where checks failed.
    """
    stations = _with_forecast_only(stations, forecasts)
    shown = _shown_variables(forecasts, observations, variables)
    end: datetime = forecasts["issued_at"].max() or floor_hour(now)  # type: ignore[assignment]  # of the common history
    history = min(max((floor_hour(now) - end) // HOUR, 0), HORIZON_H) + HISTORY_H + 1
    quantiles = _lay_out_forecasts(forecasts, stations["station_id"], shown, end)  # (V, Q, S, H)
    observed = _lay_out_observations(observations, stations["station_id"], shown, end, history)  # (V, S, T)
    fan = quantiles[:, [_LEVELS.index(level) for level in _FAN_LEVELS]]
    return {
        "now": now.timestamp() / 3600,
        "silentBefore": silent_before.timestamp() / 3600,
        "end": _hour_number(end),
        "history": HISTORY_H,
        "stations": _station_columns(stations, forecasts),
        "zones": _zones(stations),
        "regimes": list(REGIMES.values()),
        "variables": [_describe(variable) for variable in shown],
        "summaries": [_summarise(variable, of_one) for variable, of_one in zip(shown, quantiles, strict=True)],
        "forecast": pack(fan, shown),
        "observed": pack(observed, shown),
    }


def _with_forecast_only(stations: pl.DataFrame, forecasts: pl.DataFrame) -> pl.DataFrame:
    """The stations, and after them those that have a forecast and stand in no list."""
    others = forecasts.select("station_id").unique().join(stations, on="station_id", how="anti").sort("station_id")
    return pl.concat([stations, others], how="diagonal")


def _shown_variables(
    forecasts: pl.DataFrame, observations: pl.DataFrame, variables: Mapping[str, Variable]
) -> list[Variable]:
    """The variables that are forecast; before the first forecast those that were observed."""
    found = set(forecasts["variable"].unique()) or {
        name for name in variables if name in observations.columns and observations[name].count()
    }
    return [variable for name, variable in variables.items() if name in found]


def _lay_out_forecasts(forecasts: pl.DataFrame, ids: pl.Series, shown: Sequence[Variable], end: datetime) -> Floats:
    """The quantiles as one array (variable, quantile, station, hour after `end`), NaN where there is none."""
    names = [variable.name for variable in shown]
    rows = _with_station_number(forecasts, ids).with_columns(
        hour=(pl.col("valid_at") - end).dt.total_hours() - 1,
        number=pl.col("variable").replace_strict(names, range(len(names)), default=None, return_dtype=pl.Int64),
    )
    rows = rows.filter(pl.col("hour").is_between(0, HORIZON_H - 1), pl.col("number").is_not_null())
    laid_out = np.full((len(shown), len(_LEVELS), len(ids), HORIZON_H), np.nan, np.float32)
    values = rows.select(f"q{level:02}" for level in _LEVELS).to_numpy()
    laid_out[rows["number"].to_numpy(), :, rows["station"].to_numpy(), rows["hour"].to_numpy()] = values
    return laid_out


def _lay_out_observations(
    observations: pl.DataFrame, ids: pl.Series, shown: Sequence[Variable], end: datetime, history: int
) -> Floats:
    """The observations as one array (variable, station, hour) of `history` hours from HISTORY_H before `end` on."""
    hour = (pl.col("observed_at") - end).dt.total_hours() + HISTORY_H
    rows = _with_station_number(observations, ids).with_columns(hour=hour)
    rows = rows.filter(pl.col("hour").is_between(0, history - 1))
    laid_out = np.full((len(shown), len(ids), history), np.nan, np.float32)
    for number, variable in enumerate(shown):
        laid_out[number, rows["station"].to_numpy(), rows["hour"].to_numpy()] = rows[variable.name].to_numpy()
    return laid_out


def _with_station_number(rows: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """The rows of the listed stations, with the number of their station in the list."""
    numbers = pl.DataFrame({"station_id": ids}).with_row_index("station")
    return rows.join(numbers.cast({"station": pl.Int64}), on="station_id")


def _station_columns(stations: pl.DataFrame, forecasts: pl.DataFrame) -> dict[str, list[Any]]:
    """Who each station is, when it was heard of, and when and from what its forecast was made."""
    issues = forecasts.group_by("station_id").agg(pl.max("issued_at"), pl.col("input_regime").first())
    zones, regimes = _zones(stations), list(REGIMES)
    found = stations.join(issues, on="station_id", how="left", maintain_order="left")
    return found.select(
        id="station_id",
        name="name",
        latitude=pl.col("latitude").round(4),
        longitude=pl.col("longitude").round(4),
        elevation=pl.col("elevation_m").round(1),
        zone=pl.col("time_zone").replace_strict(zones, range(len(zones)), default=None, return_dtype=pl.Int64),
        first=pl.col("first_observed_at").dt.epoch("s") / 3600,
        last=pl.col("last_observed_at").dt.epoch("s") / 3600,
        hours="hours_observed",
        share=pl.col("share_observed").round(4),
        issued=pl.col("issued_at").dt.epoch("s") // 3600,
        regime=pl.col("input_regime").replace_strict(regimes, range(len(regimes)), default=None, return_dtype=pl.Int64),
    ).to_dict(as_series=False)


def _zones(stations: pl.DataFrame) -> list[str]:
    return stations["time_zone"].drop_nulls().unique().sort().to_list()


def _describe(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.label,
        "unit": variable.unit,
        "exponent": _exponent(variable),
        "base": _base(variable),
        "fromZero": variable.valid_min == 0,
        "circular": variable.circular,
        "sum": variable.cell_method == "sum",
    }


def _summarise(variable: Variable, quantiles: Floats) -> dict[str, list[float | None]]:
    """The lowest and highest median of each station, or the expected sum of amounts; nothing for a direction.

    quantiles: (Q, S, H). The sum adds up the means of the hours, because the sum of their medians is far too low for rain. A mean
    is that of the quantiles joined by straight lines; below 5 and above 95 % those quantiles count.
    """
    medians = quantiles[_LEVELS.index(50)]
    if variable.circular:
        return {}
    if variable.cell_method == "sum":
        means = np.tensordot(_MEAN_WEIGHTS, quantiles, axes=1)  # (S, H)
        known = ~np.isnan(means)
        return {"sum": _numbers(np.where(known.any(axis=-1), np.sum(means, axis=-1, where=known), np.nan), variable)}
    return {
        "low": _numbers(np.fmin.reduce(medians, axis=-1), variable),
        "high": _numbers(np.fmax.reduce(medians, axis=-1), variable),
    }


def _numbers(values: Floats, variable: Variable) -> list[float | None]:
    """The values rounded as they are shown, None for NaN."""
    rounded = pl.Series(values.astype(np.float64)).round(max(0, -_exponent(variable)))
    return rounded.fill_nan(None).to_list()


def _exponent(variable: Variable) -> int:
    """Values travel and are shown as multiples of ten to this power: a thousandth of the possible range, at most one unit."""
    width = variable.valid_max - variable.valid_min
    if not 0 < width < math.inf:
        return -1
    return min(math.floor(math.log10(width / 1000)), max(0, math.ceil(math.log10(width / (2 * _STEPS)))))


def _base(variable: Variable) -> int:
    """The multiple from which a variable's values are counted: the middle of its range."""
    middle = (variable.valid_min + variable.valid_max) / 2
    return round(middle / 10.0 ** _exponent(variable)) if math.isfinite(middle) else 0


def pack(values: Floats, variables: Sequence[Variable]) -> dict[str, Any]:
    """Hourly values as text: shape, and base64 of gzip of two bytes a value, which `unpack` in data.js reads.

    values: (V, …, hour), NaN where missing. Each value is counted in the variable's steps, less the one before it in the array
    (hours are alike), small numbers of either sign as small positive ones, the lower bytes of all values before the higher ones.
    """
    counts = np.empty(values.shape, np.int16)
    for number, variable in enumerate(variables):
        counted = np.rint(values[number] * np.float32(10.0 ** -_exponent(variable))) - _base(variable)
        counts[number] = np.where(np.isnan(counted), _MISSING, np.clip(counted, -_STEPS, _STEPS))
    change = np.diff(counts.ravel(), prepend=np.int16(0))  # wraps around, as the scripts' sum does
    zigzag = ((change << 1) ^ (change >> 15)).view(np.uint16)
    lower, higher = (zigzag & 0xFF).astype(np.uint8), (zigzag >> 8).astype(np.uint8)
    packed = gzip.compress(lower.tobytes() + higher.tobytes(), compresslevel=6, mtime=0)
    return {"shape": list(values.shape), "data": base64.b64encode(packed).decode()}


def _hour_number(at: datetime) -> int:
    return int(at.timestamp()) // 3600
