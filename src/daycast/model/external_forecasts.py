"""Others' forecasts as the model reads them: of the newest issue that had come by t0, the hours of the horizon."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from daycast.features.channels import Scale
from daycast.features.external_forecasts import OLDEST_H, ExternalForecasts, arrival_key
from daycast.times import HORIZON_HOURS


@dataclass(frozen=True)
class ExternalForecast:
    """What somebody else had forecast for the horizons of B windows, in scaled units."""

    values: Tensor  # (B, H, K), NaN where nothing was forecast or nothing had come
    age: Tensor  # (B,) hours since the issue; OLDEST_H where there is none
    columns: Tensor  # (K,) the channel of each

    @staticmethod
    def width(external_forecasts: int) -> int:
        """How many features an hour has: of each covariate a value and a mask, and the age of all."""
        return 2 * external_forecasts + 1 if external_forecasts else 0

    @property
    def absent(self) -> Tensor:
        """The windows for which nothing was forecast. (B,) bool"""
        return self.missing.all(dim=1)

    @property
    def missing(self) -> Tensor:
        """The hours for which nothing was forecast. (B, H) bool"""
        return self.values.isnan().all(dim=2)

    def departure(self, linear: Tensor, last: Tensor) -> Tensor:
        """How far the forecast lies from the linear path's (B, H, V), or from the last value (B, C) where that has none.

        0 where there is none. (B, H, K)
        """
        rest = last[:, None, linear.shape[2] :].expand(-1, linear.shape[1], -1)
        return (self.values - torch.cat([linear, rest], dim=2)[..., self.columns]).nan_to_num(0.0)

    def features(self, linear: Tensor, last: Tensor) -> Tensor:
        """Departures, masks, and the age as a share of the oldest there is. (B, H, 2K + 1)"""
        age = (self.age / OLDEST_H)[:, None, None].expand(-1, linear.shape[1], 1)
        return torch.cat([self.departure(linear, last), (~self.values.isnan()).to(age.dtype), age], dim=2)

    def masked(self, where: Tensor) -> "ExternalForecast":
        """The same with nothing in the windows of `where` (B,) bool, as if no forecast had come."""
        nothing = torch.where(where[:, None, None], torch.nan, self.values)
        return replace(self, values=nothing, age=torch.where(where, float(OLDEST_H), self.age))


class ExternalForecastIndex:
    """A network's external_forecasts on the device, gathered by index as windows are."""

    def __init__(
        self, external_forecasts: ExternalForecasts, columns: list[int], scale: Scale, device: torch.device
    ) -> None:
        scaled = (external_forecasts.values - scale.mean[columns]) / scale.deviation[columns]
        self.values, self.station, self.issued, self.arrivals, self.newest = (
            torch.from_numpy(np.require(part, requirements=["C", "W"])).to(device)
            for part in (
                scaled,
                external_forecasts.station,
                external_forecasts.issued,
                external_forecasts.arrivals,
                external_forecasts.newest,
            )
        )
        self.columns = torch.tensor(columns, device=device)
        self.leads = torch.arange(HORIZON_HOURS, device=device)

    def gather(self, stations: Tensor, origins: Tensor) -> ExternalForecast:
        """The outlook of these stations and hours of issue t0, both (B,) int64: nothing issued or received after t0 is in it."""
        if not len(self.newest):
            nothing = torch.full((len(stations), HORIZON_HOURS, len(self.columns)), torch.nan, device=stations.device)
            return ExternalForecast(nothing, torch.full_like(stations, OLDEST_H, dtype=nothing.dtype), self.columns)
        position = torch.searchsorted(self.arrivals, arrival_key(stations, origins), right=True) - 1
        release = self.newest[position.clamp(min=0)]
        age = origins - self.issued[release]
        valid = (position >= 0) & (self.station[release] == stations) & (age <= OLDEST_H)
        lead = age[:, None] + self.leads  # counted from 0
        values = self.values[release[:, None], lead.clamp(0, self.values.shape[1] - 1)]
        values[~valid[:, None] | (lead >= self.values.shape[1])] = torch.nan
        return ExternalForecast(values, torch.where(valid, age, OLDEST_H).to(values.dtype), self.columns)
