"""Windows by index: the observations stay one array on the device, and a batch is a pair of index vectors."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from daycast.features.channels import Scale
from daycast.features.neighbours import NOBODY, nearest_stations
from daycast.features.panel import Panel
from daycast.features.solar import make_sun_table
from daycast.model.external_forecasts import ExternalForecast, ExternalForecastIndex
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR

KNOWN_FUTURE = (
    5  # F: sine of the sun's elevation; cosine and sine of the solar hour; cosine and sine of the day of the year
)
CLOCK = slice(1, 3)  # of these, the solar hour
AROUND_HOURS = 72  # of the newest history, that neighbours are looked at
_NEIGHBOURS, _WITHIN_KM, _WITHIN_M = 8, 200.0, 1000.0
REGIMES = ("full", "gappy", "stale", "cold_start")
_STALE_AFTER_H = 3
_GAPPY_BELOW = 0.9  # share of the history's hours with anything in them
_COLD_BELOW_H = 24


@dataclass(frozen=True)
class Batch:
    """B windows, in scaled units; what was not known at its t0 is not in it."""

    filled: Tensor  # (B, T, C) the last value known at each hour; 0, the training mean, before the first
    mask: Tensor  # (B, T, C) bool: there was a value at this very hour
    staleness: Tensor  # (B, T, C) hours since the last value; T where there was none
    around: (
        Tensor  # (B, AROUND_HOURS, C) the neighbours' mean less the station's last known value; 0 where none was known
    )
    calendar: Tensor  # (B, T + H, F) known-future channels of the history and of the horizon
    truth: Tensor  # (B, H, C) what came, NaN where missing: for losses and scores only
    weight: Tensor | None = None  # (B, H, C) how much the truth counts in a fit, above 0; None: all of it whole
    elevation: Tensor | None = None  # (B,) of the station, in km above the sea, NaN where unknown; None: of all unknown
    external_forecasts: ExternalForecast | None = (
        None  # what others had forecast for the horizon; None: the model reads none
    )

    @property
    def last(self) -> Tensor:
        """The last known value of each channel. (B, C)"""
        return self.filled[:, -1]

    def truth_of(self, targets: int) -> tuple[Tensor, Tensor | None]:
        """What came of the first channels, and how much of it counts in a fit. Both (B, H, V)"""
        return self.truth[..., :targets], None if self.weight is None else self.weight[..., :targets]

    def regime(self) -> Tensor:
        """Index into REGIMES of each window. (B,)"""
        seen = self.mask.any(dim=2)
        hours = seen.sum(dim=1)
        regime = (hours < _GAPPY_BELOW * HISTORY_HOURS).long()
        regime[~seen[:, -_STALE_AFTER_H:].any(dim=1)] = REGIMES.index("stale")
        regime[hours < _COLD_BELOW_H] = REGIMES.index("cold_start")
        return regime


def find_neighbours(stations: pl.DataFrame) -> NDArray[np.int32]:
    """Of which stations a window shows the mean, as rows of `stations`: nearest first, NOBODY at the end. (S, N)"""
    near = nearest_stations(stations, _NEIGHBOURS, _WITHIN_KM, _WITHIN_M)
    return near[:, (near != NOBODY).any(axis=0)]


class Windows:
    """All windows of a network, gathered on demand. Memory is that of the network's values, whatever the number of windows."""

    def __init__(
        self,
        panel: Panel,
        scale: Scale,
        device: torch.device,
        neighbours: NDArray[np.int32] | None = None,
    ) -> None:
        """neighbours: (S, N) where the network is a part of that in which they were found; by default they are found in it."""
        self.panel = panel
        self.device = device
        self.values = _on(
            device, panel.values
        )  # (S, T, C) in units: what is gathered is scaled, for a copy would be as large
        self._mean, self._deviation = _on(device, scale.mean), _on(device, scale.deviation)  # (C,)
        self.weight = None if panel.weight is None else _on(device, panel.weight)  # (S, T, C) float16
        self.releases = self._load_external(scale)
        self.known_from = _on(device, panel.known_from)  # (S, T)
        near = find_neighbours(panel.stations) if neighbours is None else neighbours
        self._neighbours = _on(device, near.astype(np.int64))  # (S, N)
        self._elevation = _on(device, panel.stations["elevation_m"].to_numpy().astype(np.float32) / 1000)  # (S,)
        self._load_revisions(scale)
        self._load_calendar()
        self._ages = torch.arange(1 - HISTORY_HOURS, HORIZON_HOURS + 1, device=device)  # hours from t0

    def _load_external(self, scale: Scale) -> ExternalForecastIndex | None:
        external_forecasts = self.panel.external_forecasts
        if external_forecasts is None:
            return None
        columns = [self.panel.channels.index(channel) for channel in external_forecasts.channels]
        return ExternalForecastIndex(external_forecasts, columns, scale, self.device)

    def _load_revisions(self, scale: Scale) -> None:
        revisions, T = self.panel.revisions, self.panel.hours
        self._revised_at = _on(self.device, revisions.station.astype(np.int64) * T + revisions.hour)  # (R,) sorted
        self._revised_from = _on(self.device, revisions.known_from)
        self._revised_until = _on(self.device, revisions.known_until)
        self._revised_values = _on(self.device, (revisions.values - scale.mean) / scale.deviation)

    def _load_calendar(self) -> None:
        start = self.panel.start - HISTORY_HOURS * HOUR
        sun = make_sun_table(start, HISTORY_HOURS + self.panel.hours + HORIZON_HOURS)
        self._declination, self._hour_angle, self._year_angle = (
            _on(self.device, part) for part in (sun.declination, sun.hour_angle, sun.year_angle)
        )
        latitude = self.panel.stations["latitude"].to_numpy().astype(np.float32)
        longitude = self.panel.stations["longitude"].to_numpy().astype(np.float32)
        self._latitude = _on(self.device, np.radians(latitude))
        self._longitude = _on(self.device, np.radians(np.nan_to_num(longitude)))

    @property
    def external_forecasts(self) -> int:
        """K, how many channels others forecast; 0 where the model reads none."""
        return len(self.releases.columns) if self.releases else 0

    def gather(
        self, stations: Tensor, origins: Tensor, hide: Tensor | None = None, hide_around: Tensor | None = None
    ) -> Batch:
        """The windows of these stations and hours of issue t0, both (B,) int64.

        A value is in a window only if it was observed at or before t0 and known by then; an hour that was revised
        later shows what was believed at t0. `hide` (B, T) bool takes further hours out: a simulated outage of the station,
        and `hide_around` (B, T) one of its neighbours.
        """
        hours = origins[:, None] + self._ages  # (B, T + H)
        past, future = hours[:, :HISTORY_HOURS], hours[:, HISTORY_HOURS:]
        x = self._read(stations, past)
        unknown = self.known_from[stations[:, None], past.clamp(min=0)] > origins[:, None]
        x[unknown] = torch.nan
        self._overlay_revisions(x, stations, origins)
        if hide is not None:
            x[hide] = torch.nan
        mask = ~x.isnan()
        filled, staleness = _carry_forward(x, mask)
        around = self._look_around(stations, origins, hide_around)
        around = torch.where(around.isnan(), 0.0, around - filled[:, -AROUND_HOURS:])
        truth, weight = self._read(stations, future), self._weigh(stations, future)
        calendar, elevation = self._calendar(stations, hours), self._elevation[stations]
        external_forecasts = self.releases.gather(stations, origins) if self.releases else None
        return Batch(filled, mask, staleness, around, calendar, truth, weight, elevation, external_forecasts)

    def gather_targets(self, stations: Tensor, origins: Tensor, targets: int) -> Tensor:
        """What windows (B,) are scored against, in units: scaled and back, a 0 is not exactly 0. (B, H, V), NaN where missing."""
        return self._in_units(stations, origins[:, None] + self._ages[HISTORY_HOURS:])[..., :targets]

    def _read(self, stations: Tensor, hours: Tensor) -> Tensor:
        return self._scaled(self._in_units(stations, hours))

    def _in_units(self, stations: Tensor, hours: Tensor) -> Tensor:
        x = self.values[stations[:, None], hours.clamp(0, self.panel.hours - 1)]
        x[(hours < 0) | (hours >= self.panel.hours)] = torch.nan
        return x

    def _scaled(self, x: Tensor) -> Tensor:
        return x.sub_(self._mean).div_(self._deviation)

    def _look_around(self, stations: Tensor, origins: Tensor, hide: Tensor | None) -> Tensor:
        """The mean of the neighbours that were known at t0, NaN where none was. What was revised later is left out. (B, A, C)"""
        near = self._neighbours[stations]  # (B, N)
        hours = origins[:, None] + self._ages[HISTORY_HOURS - AROUND_HOURS : HISTORY_HOURS]  # (B, A)
        at = near.clamp(min=0)[:, :, None], hours.clamp(min=0)[:, None]
        x = self._scaled(self.values[at])  # (B, N, A, C)
        unknown = (self.known_from[at] > origins[:, None, None]) | (near == NOBODY)[:, :, None] | (hours < 0)[:, None]
        if hide is not None:
            unknown |= hide[:, None, -AROUND_HOURS:]
        return x.masked_fill(unknown[..., None], torch.nan).nanmean(dim=1)

    def _weigh(self, stations: Tensor, hours: Tensor) -> Tensor | None:
        """How much what came at these hours (B, H) counts; beyond the last one nothing did."""
        if self.weight is None:
            return None
        return self.weight[stations[:, None], hours.clamp(0, self.panel.hours - 1)].float()

    def _overlay_revisions(self, x: Tensor, stations: Tensor, origins: Tensor) -> None:
        """Write into x (B, T, C) what was believed at t0 of the hours that were revised later."""
        base = stations * self.panel.hours
        low = torch.searchsorted(self._revised_at, base + (origins - HISTORY_HOURS + 1).clamp(min=0))
        high = torch.searchsorted(self._revised_at, base + origins, right=True)
        count = high - low
        window = torch.repeat_interleave(torch.arange(len(count), device=self.device), count)  # (n,)
        within = torch.arange(len(window), device=self.device) - torch.repeat_interleave(count.cumsum(0) - count, count)
        row = low[window] + within
        t0 = origins[window]
        believed = (self._revised_from[row] <= t0) & (t0 < self._revised_until[row])
        window, row = window[believed], row[believed]
        position = self._revised_at[row] - base[window] - origins[window] + HISTORY_HOURS - 1
        x[window, position] = self._revised_values[row]

    def _calendar(self, stations: Tensor, hours: Tensor) -> Tensor:
        index = hours + HISTORY_HOURS  # the tables begin that much earlier
        latitude, longitude = self._latitude[stations][:, None], self._longitude[stations][:, None]
        declination, year = self._declination[index], self._year_angle[index]
        solar = self._hour_angle[index] + longitude
        height = latitude.sin() * declination.sin() + latitude.cos() * declination.cos() * solar.cos()
        height = height.nan_to_num(0.0)  # a station without a position
        return torch.stack([height, solar.cos(), solar.sin(), year.cos(), year.sin()], dim=2)


def _carry_forward(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The last value seen at each hour (0 before the first) and the hours since. x, mask (B, T, C)"""
    T = x.shape[1]
    position = torch.arange(T, device=x.device)[None, :, None]
    last = torch.where(mask, position, -1).cummax(dim=1).values  # (B, T, C)
    filled = x.nan_to_num(0.0).gather(1, last.clamp(min=0))
    filled = torch.where(last >= 0, filled, 0.0)
    staleness = torch.where(last >= 0, position - last, T)
    return filled, staleness.to(x.dtype)


def _on(device: torch.device, array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(device)
