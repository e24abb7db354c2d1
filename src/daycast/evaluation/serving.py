"""Who serves each station and variable, and the daily CRPS that decides it.

A model serves everywhere except where a `Fallback` is chosen; `assign` and `pick` apply fallbacks. `DailyCrps` holds the CRPS
by station, day of issue and variable, from which an expected gain follows; `DailyTally` sums it up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fallback:
    """A baseline that serves one variable in the model's place, at one station, or at all others if station_id is None."""

    variable: str
    station_id: str | None
    forecaster: str  # the name of the baseline
    crps_ratio: float  # its CRPS divided by that of the forecaster it replaces
    chance: float  # that it will be better
    days: int  # that say so


def assign(model: str, fallbacks: Iterable[Fallback], stations: Sequence[str], variables: Sequence[str]) -> np.ndarray:
    """The name of the forecaster that serves each station and variable, (S, V)."""
    rows, columns = ({name: i for i, name in enumerate(names)} for names in (stations, variables))
    servers = np.full((len(stations), len(variables)), model, dtype=object)
    for one in sorted(
        fallbacks, key=lambda one: one.station_id is not None
    ):  # single stations last: they take precedence
        if one.variable in columns and (one.station_id is None or one.station_id in rows):
            row = slice(None) if one.station_id is None else rows[one.station_id]
            servers[row, columns[one.variable]] = one.forecaster
    return servers.astype(str)


def pick(values: Mapping[str, np.ndarray], servers: np.ndarray) -> np.ndarray:
    """From the values (N, X, V, …) of each forecaster, those of the forecasters named by `servers` (N, V)."""
    names = np.unique(servers)
    picked = values[str(names[0])].copy()
    for name in names[1:]:
        mask = (servers == name)[:, None]  # (N, 1, V)
        np.copyto(picked, values[str(name)], where=mask.reshape(mask.shape + (1,) * (picked.ndim - mask.ndim)))
    return picked


@dataclass(frozen=True)
class DailyCrps:
    """Sum and count of one forecaster's CRPS, by station, day of issue and variable."""

    total: np.ndarray  # (S, D, V)
    count: np.ndarray  # (S, D, V)

    @property
    def of_network(self) -> np.ndarray:
        """The mean over all stations, each forecast with equal weight; (D, V), NaN where there was no truth."""
        return _divide(self.total.sum(axis=0), self.count.sum(axis=0))

    @property
    def of_stations(self) -> np.ndarray:
        """The mean at each station; (S, D, V), NaN where there was no truth."""
        return _divide(self.total, self.count)

    def variables(self, names: Sequence[str], wanted: Sequence[str]) -> "DailyCrps":
        """The same for the variables `wanted`, in that order. names: those of this object; others have no scores."""
        columns = [names.index(name) if name in names else len(names) for name in wanted]
        total, count = (np.pad(part, ((0, 0), (0, 0), (0, 1)))[..., columns] for part in (self.total, self.count))
        return DailyCrps(total, count)


class DailyTally:
    """Sums one forecaster's CRPS over windows that arrive in parts; it needs no more memory than the result."""

    def __init__(self, stations: int, days: int, variables: int) -> None:
        self._total = np.zeros((stations, days, variables))
        self._count = np.zeros((stations, days, variables), np.int32)

    def add(self, crps: np.ndarray, station: np.ndarray, day: np.ndarray) -> None:
        """Add windows: crps (N, H, V) with NaN where the truth is missing; indices of station and day of issue, each (N,)."""
        np.add.at(self._total, (station, day), np.nansum(crps, axis=1, dtype=np.float64))
        np.add.at(self._count, (station, day), (~np.isnan(crps)).sum(axis=1, dtype=np.int32))

    def result(self) -> DailyCrps:
        """The sums and counts so far."""
        return DailyCrps(self._total, self._count)


def pick_daily(daily: Mapping[str, DailyCrps], servers: np.ndarray) -> DailyCrps:
    """The scores of the forecaster that serves each station and variable. servers: names (S, V)."""
    return DailyCrps(
        pick({name: one.total for name, one in daily.items()}, servers),
        pick({name: one.count for name, one in daily.items()}, servers),
    )


def _divide(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
