"""The mean CRPS of each station, day of issue and variable: what a paired test over days compares."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Who makes the forecast of each station and variable: the model, or a baseline of the same fit where that does better.


@dataclass(frozen=True)
class Fallback:
    """A baseline that serves one variable in a model's place, at one station or, where station_id is None, at all others."""

    variable: str
    station_id: str | None
    forecaster: str
    crps_ratio: float  # its CRPS over that of whoever would serve otherwise
    p_value: float  # of the paired test that found it
    days: int


def assign(model: str, fallbacks: Iterable[Fallback], stations: Sequence[str], variables: Sequence[str]) -> np.ndarray:
    """The name of who serves each station and variable. (S, V)"""
    rows, columns = ({name: i for i, name in enumerate(names)} for names in (stations, variables))
    who = np.full((len(stations), len(variables)), model, dtype=object)
    for one in sorted(fallbacks, key=lambda one: one.station_id is not None):  # what holds for one station comes last
        if one.variable in columns and (one.station_id is None or one.station_id in rows):
            who[slice(None) if one.station_id is None else rows[one.station_id], columns[one.variable]] = one.forecaster
    return who.astype(str)


def pick(values: Mapping[str, np.ndarray], who: np.ndarray) -> np.ndarray:
    """From each forecaster's values (N, X, V, …) those of whoever is named by `who` (N, V)."""
    names = np.unique(who)
    picked = values[str(names[0])].copy()
    for name in names[1:]:
        mask = (who == name)[:, None]  # (N, 1, V)
        np.copyto(picked, values[str(name)], where=mask.reshape(mask.shape + (1,) * (picked.ndim - mask.ndim)))
    return picked


@dataclass(frozen=True)
class DailyCrps:
    """Sums of one forecaster's CRPS and how many there are, by station, day of issue and variable."""

    total: np.ndarray  # (S, D, V)
    count: np.ndarray  # (S, D, V)

    @property
    def of_network(self) -> np.ndarray:
        """The mean over all stations, each forecast counting alike. (D, V), NaN where there was no truth"""
        return _divide(self.total.sum(axis=0), self.count.sum(axis=0))

    @property
    def of_stations(self) -> np.ndarray:
        """The mean at each station. (S, D, V), NaN where there was no truth"""
        return _divide(self.total, self.count)

    def days(self, part: slice) -> "DailyCrps":
        """Some of the days."""
        return DailyCrps(self.total[:, part], self.count[:, part])

    def variables(self, ours: Sequence[str], wanted: Sequence[str]) -> "DailyCrps":
        """With the variables `wanted` in place of `ours`, in their order; what is not there has no scores."""
        columns = [ours.index(name) if name in ours else len(ours) for name in wanted]
        total, count = (np.pad(part, ((0, 0), (0, 0), (0, 1)))[..., columns] for part in (self.total, self.count))
        return DailyCrps(total, count)


class DailyTally:
    """Adds up one forecaster's CRPS over windows that arrive in parts; its memory is that of the result."""

    def __init__(self, stations: int, days: int, variables: int) -> None:
        self._total = np.zeros((stations, days, variables))
        self._count = np.zeros((stations, days, variables), np.int32)

    def add(self, crps: np.ndarray, station: np.ndarray, day: np.ndarray) -> None:
        """Add windows: crps (N, H, V) with NaN where the truth is missing, station and day of issue (N,) as indices."""
        np.add.at(self._total, (station, day), np.nansum(crps, axis=1, dtype=np.float64))
        np.add.at(self._count, (station, day), (~np.isnan(crps)).sum(axis=1, dtype=np.int32))

    def result(self) -> DailyCrps:
        """What was added."""
        return DailyCrps(self._total, self._count)


def join_days(parts: Sequence[DailyCrps]) -> DailyCrps:
    """The days of all parts, one after the other."""
    return DailyCrps(
        np.concatenate([part.total for part in parts], axis=1), np.concatenate([part.count for part in parts], axis=1)
    )


def pick_daily(daily: Mapping[str, DailyCrps], who: np.ndarray) -> DailyCrps:
    """The scores of whoever serves each station and variable. who: names (S, V)."""
    return DailyCrps(
        pick({name: one.total for name, one in daily.items()}, who),
        pick({name: one.count for name, one in daily.items()}, who),
    )


def _divide(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
