"""What a model sees of each forecast: windows of 168 hours, gathered by index from the panel, which stays on the device as is.

`Batch` is the result and the glossary of its parts; `Windows.gather` makes it. Nothing that was not known at the hour of issue
t0 is in a window, except its truth.

B windows, S stations, T hours (168 of a window, all of a panel), H 24 leads, A hours of neighbours, C channels, V targets,
F known-future channels, N neighbours, R features of a neighbour.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from daycast.features.channels import Scale
from daycast.features.neighbours import NOBODY, nearest_stations, offset_km, surrounding_stations
from daycast.features.panel import Panel
from daycast.features.solar import make_sun_table
from daycast.model.external_forecasts import ExternalForecast, ExternalForecastIndex
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR

# F: sine of the sun's elevation; cosine and sine of the solar hour; cosine and sine of the day of the year
KNOWN_FUTURE = 5
CLOCK = slice(1, 3)  # of these, the solar hour
AROUND_HOURS = 72  # A: newest hours of the history for which the neighbours are read
LAGS = (0, 1, 2, 3, 6, 12)  # L: hours before t0 of which each neighbour is read by itself
_USUAL_H = 24  # newest hours whose mean is what usually lies between a station and a neighbour
_RELATIVE = 4  # east, north and distance in 100 km, and height in km above the station
REGIMES = ("full", "gappy", "stale", "cold_start")
_NEIGHBOURS, _WITHIN_KM, _WITHIN_M = 8, 200.0, 1000.0
_STALE_AFTER_H = 3
_GAPPY_BELOW = 0.9  # fraction of the history's hours with any value
_COLD_BELOW_H = 24


@dataclass(frozen=True)
class Batch:
    """B windows, in scaled units."""

    filled: Tensor  # (B, T, C) the last value known at each hour; before the first, 0, which is the training mean
    mask: Tensor  # (B, T, C) bool: whether there is a value at this very hour
    staleness: Tensor  # (B, T, C) hours since the last value; T where there is none
    around: (
        Tensor  # (B, A, C) mean of the neighbours less the station's last known value; 0 where no neighbour is known
    )
    calendar: Tensor  # (B, T + H, F) known-future channels of the history and of the horizon
    truth: Tensor  # (B, H, C) what was observed later, NaN where missing: for losses and scores only
    weight: Tensor | None = None  # (B, H, C) how much each truth counts in a fit, above 0; None: all count alike
    elevation: Tensor | None = None  # (B,) of the station, km above sea level, NaN where unknown; None: all unknown
    external_forecasts: ExternalForecast | None = None  # of the horizon; None: the model reads none
    each_neighbour: Tensor | None = (
        None  # (B, N, R) of `neighbour_width`; None: the model does not read them one by one
    )
    neighbour_known: Tensor | None = None  # (B, N) bool: whether anything was known of it in the last hours

    @property
    def last(self) -> Tensor:
        """The last known value of each channel. (B, C)"""
        return self.filled[:, -1]

    def truth_of(self, targets: int) -> tuple[Tensor, Tensor | None]:
        """Truth and weight of the first V channels. Both (B, H, V); no weight: all count alike"""
        return self.truth[..., :targets], None if self.weight is None else self.weight[..., :targets]

    def regime(self) -> Tensor:
        """The input regime of each window, as an index into REGIMES. (B,)"""
        seen = self.mask.any(dim=2)  # (B, T)
        hours = seen.sum(dim=1)
        regime = (hours < _GAPPY_BELOW * HISTORY_HOURS).long()
        regime[~seen[:, -_STALE_AFTER_H:].any(dim=1)] = REGIMES.index("stale")
        regime[hours < _COLD_BELOW_H] = REGIMES.index("cold_start")
        return regime


def find_neighbours(stations: pl.DataFrame, *, one_by_one: bool = True) -> NDArray[np.int32]:
    """The neighbours that windows show, as rows of `stations`, NOBODY where there is none. (S, 8 + SURROUNDING) or (S, 8)

    First those whose mean is read, nearest first; then, if they are read one by one, those in all directions.
    """
    near = nearest_stations(stations, _NEIGHBOURS, _WITHIN_KM, _WITHIN_M)
    return np.hstack([near, surrounding_stations(stations)]) if one_by_one else near


def neighbour_width(channels: int) -> int:
    """R: how many features `Batch.each_neighbour` has of each neighbour, for C channels."""
    return channels * (2 * len(LAGS) + 1) + _RELATIVE


class Windows:
    """All windows of a panel, gathered on demand. Memory grows with the panel, not with the number of windows."""

    def __init__(
        self,
        panel: Panel,
        scale: Scale,
        device: torch.device,
        neighbours: NDArray[np.int32] | None = None,
        *,
        one_by_one: bool = False,
    ) -> None:
        """neighbours: from `find_neighbours`, if the panel is a part of the network in which they were found; None: find them.

        one_by_one: batches also show neighbours in all directions, each by itself.
        """
        self.panel = panel
        self.device = device
        # (S, T, C) in units: each batch is scaled, because a scaled copy of all would be as large
        self.values = _to_device(device, panel.values)
        self._mean, self._deviation = _to_device(device, scale.mean), _to_device(device, scale.deviation)  # (C,)
        self.weight = None if panel.weight is None else _to_device(device, panel.weight)  # (S, T, C) float16
        self.external_index = self._load_external(scale)
        self.known_from = _to_device(device, panel.known_from)  # (S, T)
        near = find_neighbours(panel.stations, one_by_one=one_by_one) if neighbours is None else neighbours
        self._neighbours = _to_device(device, _without_nobody(near[:, :_NEIGHBOURS]))  # (S, N)
        self._one_by_one = one_by_one
        if one_by_one:
            surrounding = _without_nobody(near[:, _NEIGHBOURS:])
            self._surrounding = _to_device(device, surrounding)  # (S, N)
            self._relative = _to_device(device, _relative_place(panel.stations, surrounding))  # (S, N, _RELATIVE)
        self._elevation = _to_device(device, panel.stations["elevation_m"].to_numpy().astype(np.float32) / 1000)  # (S,)
        self._load_revisions(scale)
        self._load_calendar()
        self._ages = torch.arange(1 - HISTORY_HOURS, HORIZON_HOURS + 1, device=device)  # (T + H,) hours from t0

    def _load_external(self, scale: Scale) -> ExternalForecastIndex | None:
        external_forecasts = self.panel.external_forecasts
        if external_forecasts is None:
            return None
        columns = [self.panel.channels.index(channel) for channel in external_forecasts.channels]
        return ExternalForecastIndex(external_forecasts, columns, scale, self.device)

    def _load_revisions(self, scale: Scale) -> None:
        revisions, T = self.panel.revisions, self.panel.hours
        self._revised_at = _to_device(
            self.device, revisions.station.astype(np.int64) * T + revisions.hour
        )  # (R,) sorted
        self._revised_from = _to_device(self.device, revisions.known_from)
        self._revised_until = _to_device(self.device, revisions.known_until)
        self._revised_values = _to_device(self.device, (revisions.values - scale.mean) / scale.deviation)

    def _load_calendar(self) -> None:
        start = self.panel.start - HISTORY_HOURS * HOUR
        sun = make_sun_table(start, HISTORY_HOURS + self.panel.hours + HORIZON_HOURS)
        self._declination, self._hour_angle, self._year_angle = (
            _to_device(self.device, part) for part in (sun.declination, sun.hour_angle, sun.year_angle)
        )
        latitude = self.panel.stations["latitude"].to_numpy().astype(np.float32)
        longitude = self.panel.stations["longitude"].to_numpy().astype(np.float32)
        self._latitude = _to_device(self.device, np.radians(latitude))
        self._longitude = _to_device(self.device, np.radians(np.nan_to_num(longitude)))

    @property
    def external_forecasts(self) -> int:
        """K, the number of channels with external forecasts; 0 if the model reads none."""
        return len(self.external_index.columns) if self.external_index else 0

    def gather(
        self, stations: Tensor, origins: Tensor, outage: Tensor | None = None, outage_around: Tensor | None = None
    ) -> Batch:
        """The windows of these stations and hours of issue t0, both (B,) int64.

        A value is in a window only if it was observed at or before t0 and known by then. An hour that was revised later shows the
        value believed at t0. outage, outage_around (B, T) bool: hours to take out of the station and of its neighbours, to
        simulate outages.
        """
        hours = origins[:, None] + self._ages  # (B, T + H)
        past, future = hours[:, :HISTORY_HOURS], hours[:, HISTORY_HOURS:]
        x = self._read(stations, past)  # (B, T, C)
        unknown = self.known_from[stations[:, None], past.clamp(min=0)] > origins[:, None]  # (B, T)
        x[unknown] = torch.nan
        self._overlay_revisions(x, stations, origins)
        if outage is not None:
            x[outage] = torch.nan
        mask = ~x.isnan()
        filled, staleness = _carry_forward(x, mask)  # (B, T, C) each
        around = self._read_neighbours(self._neighbours[stations], origins, AROUND_HOURS, outage_around)
        around = around.nanmean(dim=1)  # (B, A, C)
        around = torch.where(around.isnan(), 0.0, around - filled[:, -AROUND_HOURS:])
        truth, weight = self._read(stations, future), self._truth_weight(stations, future)  # (B, H, C) each
        calendar, elevation = self._calendar(stations, hours), self._elevation[stations]  # (B, T + H, F), (B,)
        external_forecasts = self.external_index.gather(stations, origins) if self.external_index else None
        one_by_one = self._read_one_by_one(stations, origins, filled, outage_around)
        return Batch(
            filled, mask, staleness, around, calendar, truth, weight, elevation, external_forecasts, *one_by_one
        )

    def gather_targets(self, stations: Tensor, origins: Tensor, targets: int) -> Tensor:
        """The truth that windows (B,) are scored against, in units. (B, H, V), NaN where missing

        Read directly, because scaling and unscaling would not give exact zeros back.
        """
        return self._in_units(stations, origins[:, None] + self._ages[HISTORY_HOURS:])[..., :targets]

    def _read(self, stations: Tensor, hours: Tensor) -> Tensor:
        """Scaled values at these hours (B, n). (B, n, C)"""
        return self._scaled(self._in_units(stations, hours))

    def _in_units(self, stations: Tensor, hours: Tensor) -> Tensor:
        """Values at these hours (B, n), NaN outside the panel. (B, n, C)"""
        x = self.values[stations[:, None], hours.clamp(0, self.panel.hours - 1)]
        x[(hours < 0) | (hours >= self.panel.hours)] = torch.nan
        return x

    def _scaled(self, x: Tensor) -> Tensor:
        """Scale in place."""
        return x.sub_(self._mean).div_(self._deviation)

    def _read_one_by_one(
        self, stations: Tensor, origins: Tensor, filled: Tensor, outage: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """`each_neighbour` and `neighbour_known` of a batch, from the station's last known values `filled` (B, T, C).

        Of each neighbour: its values at LAGS, less the station's last value and less what usually lies between the two, the mean
        difference of the last day; whether there are values; that mean difference; and where it lies.
        """
        if not self._one_by_one:
            return None, None
        each = self._read_neighbours(self._surrounding[stations], origins, _USUAL_H, outage)  # (B, N, 24, C)
        usual = (each - filled[:, None, -_USUAL_H:]).nanmean(dim=2).nan_to_num(0.0)  # (B, N, C)
        newest = each[:, :, [-1 - lag for lag in LAGS]]  # (B, N, L, C)
        departure = newest - usual[:, :, None] - filled[:, None, -1:]
        mask = ~newest.isnan()
        parts = [departure.nan_to_num(0.0).clamp(-5, 5).flatten(2), mask.to(each.dtype).flatten(2), usual]
        return torch.cat([*parts, self._relative[stations]], dim=2), mask.flatten(2).any(dim=2)

    def _read_neighbours(self, near: Tensor, origins: Tensor, newest: int, outage: Tensor | None) -> Tensor:
        """What was believed at t0 of the newest hours of the neighbours (B, N), NaN where nothing was. (B, N, newest, C)"""
        hours = origins[:, None] + self._ages[HISTORY_HOURS - newest : HISTORY_HOURS]  # (B, newest)
        at = near.clamp(min=0)[:, :, None], hours.clamp(min=0)[:, None]
        x = self._scaled(self.values[at])  # (B, N, newest, C)
        x[self.known_from[at] > origins[:, None, None]] = torch.nan
        every_neighbour = near.clamp(min=0).flatten(), origins.repeat_interleave(near.shape[1])  # (B · N,) each
        self._overlay_revisions(x.flatten(0, 1), *every_neighbour)
        hidden = (near == NOBODY)[:, :, None] | (hours < 0)[:, None]
        if outage is not None:
            hidden = hidden | outage[:, None, -newest:]
        return x.masked_fill(hidden[..., None], torch.nan)

    def _truth_weight(self, stations: Tensor, hours: Tensor) -> Tensor | None:
        """How much the truth at these hours (B, H) counts. (B, H, C); beyond the panel there is no truth to count."""
        if self.weight is None:
            return None
        return self.weight[stations[:, None], hours.clamp(0, self.panel.hours - 1)].float()

    def _overlay_revisions(self, x: Tensor, stations: Tensor, origins: Tensor) -> None:
        """Write into x (B, n, C), the n hours up to t0, in place, the values believed at t0 of hours that were revised later."""
        if not len(self._revised_at) or not len(x):
            return
        base, hours = stations * self.panel.hours, x.shape[1]
        low = torch.searchsorted(self._revised_at, base + (origins - hours + 1).clamp(min=0))
        high = torch.searchsorted(self._revised_at, base + origins, right=True)
        count = high - low  # (B,) revisions of each window's hours
        window = torch.repeat_interleave(torch.arange(len(count), device=self.device), count)  # (n,)
        within = torch.arange(len(window), device=self.device) - torch.repeat_interleave(count.cumsum(0) - count, count)
        row = low[window] + within
        t0 = origins[window]
        believed = (self._revised_from[row] <= t0) & (t0 < self._revised_until[row])
        window, row = window[believed], row[believed]
        position = self._revised_at[row] - base[window] - origins[window] + hours - 1
        x[window, position] = self._revised_values[row]

    def _calendar(self, stations: Tensor, hours: Tensor) -> Tensor:
        """The known-future channels at these hours (B, T + H). (B, T + H, F)"""
        index = hours + HISTORY_HOURS  # the tables start HISTORY_HOURS before the panel
        latitude, longitude = self._latitude[stations][:, None], self._longitude[stations][:, None]
        declination, year = self._declination[index], self._year_angle[index]
        solar = self._hour_angle[index] + longitude
        height = latitude.sin() * declination.sin() + latitude.cos() * declination.cos() * solar.cos()
        height = height.nan_to_num(0.0)  # a station without position
        return torch.stack([height, solar.cos(), solar.sin(), year.cos(), year.sin()], dim=2)


def _without_nobody(near: NDArray[np.int32]) -> NDArray[np.int64]:
    """The columns in which any station has a neighbour."""
    return near[:, (near != NOBODY).any(axis=0)].astype(np.int64)


def _relative_place(stations: pl.DataFrame, near: NDArray[np.int64]) -> NDArray[np.float32]:
    """Where the neighbours (S, N) of each station lie; 0 where there is none, and for an unknown height. (S, N, _RELATIVE)"""
    offset = offset_km(stations, np.arange(len(stations)), np.maximum(near, 0)) / 100  # (S, N, 2)
    height = stations["elevation_m"].cast(pl.Float64).fill_null(np.nan).to_numpy() / 1000
    above = np.nan_to_num(height[np.maximum(near, 0)] - height[:, None])
    place = np.dstack([offset, np.hypot(offset[..., 0], offset[..., 1]), above])
    return np.where((near == NOBODY)[..., None], 0.0, place).astype(np.float32)


def _carry_forward(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The last value at each hour (0 before the first), and the hours since then (T before the first). All (B, T, C)"""
    T = x.shape[1]
    position = torch.arange(T, device=x.device)[None, :, None]
    last = torch.where(mask, position, -1).cummax(dim=1).values  # (B, T, C)
    filled = x.nan_to_num(0.0).gather(1, last.clamp(min=0))
    filled = torch.where(last >= 0, filled, 0.0)
    staleness = torch.where(last >= 0, position - last, T)
    return filled, staleness.to(x.dtype)


def _to_device(device: torch.device, array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(device)
