"""External forecasts as the model reads them: for each window, the horizon of the newest issue that had arrived by t0.

`ExternalForecastIndex` holds all of them on the device, `ExternalForecast` those of one batch. How the arrays are made:
features/external_forecasts.py. B windows, H 24 leads, K external channels, C and V channels and targets of the model.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from daycast.features.channels import Scale
from daycast.features.external_forecasts import OLDEST_H, ExternalForecasts, arrival_key
from daycast.times import HORIZON_HOURS


@dataclass(frozen=True)
class ExternalForecast:
    """The external forecast of each of B windows, in scaled units."""

    values: Tensor  # (B, H, K), NaN where there is none
    age: Tensor  # (B,) hours since the issue; OLDEST_H where there is none
    columns: Tensor  # (K,) index of the model's channel

    @staticmethod
    def width(external_forecasts: int) -> int:
        """The number of `features` of a lead: a departure and a mask for each of K channels, and the age; 0 if K is 0."""
        return 2 * external_forecasts + 1 if external_forecasts else 0

    @property
    def absent(self) -> Tensor:
        """The windows without any external forecast. (B,) bool"""
        return self.missing.all(dim=1)

    @property
    def missing(self) -> Tensor:
        """The leads without any external forecast. (B, H) bool"""
        return self.values.isnan().all(dim=2)

    def departure(self, linear: Tensor, last: Tensor) -> Tensor:
        """External forecast less the linear path's (B, H, V), or less the last value (B, C) for channels that are no target.

        0 where there is no external forecast. (B, H, K)
        """
        others = last[:, None, linear.shape[2] :].expand(-1, linear.shape[1], -1)  # (B, H, C - V)
        return (self.values - torch.cat([linear, others], dim=2)[..., self.columns]).nan_to_num(0.0)

    def features(self, linear: Tensor, last: Tensor) -> Tensor:
        """Departures, masks, and the age divided by OLDEST_H. (B, H, 2K + 1)"""
        age = (self.age / OLDEST_H)[:, None, None].expand(-1, linear.shape[1], 1)  # (B, H, 1)
        return torch.cat([self.departure(linear, last), (~self.values.isnan()).to(age.dtype), age], dim=2)

    def masked(self, dropped: Tensor) -> "ExternalForecast":
        """The same without the windows of `dropped` (B,) bool, as if no external forecast had arrived for them."""
        values = torch.where(dropped[:, None, None], torch.nan, self.values)
        return replace(self, values=values, age=torch.where(dropped, float(OLDEST_H), self.age))


class ExternalForecastIndex:
    """The external forecasts of a panel on the device, gathered by index like the windows."""

    def __init__(
        self, external_forecasts: ExternalForecasts, columns: list[int], scale: Scale, device: torch.device
    ) -> None:
        """columns: for each of K external channels, the index of the model's channel."""
        scaled = (external_forecasts.values - scale.mean[columns]) / scale.deviation[columns]  # (R, L, K)
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
        """The external forecasts of these stations and hours of issue t0, both (B,) int64.

        Nothing issued or received after t0 is used, nor an issue older than OLDEST_H hours.
        """
        if not len(self.newest):
            values = torch.full((len(stations), HORIZON_HOURS, len(self.columns)), torch.nan, device=stations.device)
            return ExternalForecast(values, torch.full_like(stations, OLDEST_H, dtype=values.dtype), self.columns)
        position = torch.searchsorted(self.arrivals, arrival_key(stations, origins), right=True) - 1  # (B,)
        version = self.newest[position.clamp(min=0)]  # (B,)
        age = origins - self.issued[version]  # (B,)
        valid = (position >= 0) & (self.station[version] == stations) & (age <= OLDEST_H)
        lead = age[:, None] + self.leads  # (B, H) of the issue, counted from 0
        values = self.values[version[:, None], lead.clamp(0, self.values.shape[1] - 1)]  # (B, H, K)
        values[~valid[:, None] | (lead >= self.values.shape[1])] = torch.nan
        return ExternalForecast(values, torch.where(valid, age, OLDEST_H).to(values.dtype), self.columns)
