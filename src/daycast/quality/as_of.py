"""Versions of observations as a grid of stations and hours that can be asked what was known when."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
NOBODY = -1


@dataclass(frozen=True)
class AsOfGrid:
    """N versions in the order of station, hour and known_from; a row is an index into them, NOBODY where there is none."""

    station: Index  # (N,) from 0
    hour: Index  # (N,) from 0
    known_from: Index  # (N,) microseconds
    known_until: Index  # (N,) microseconds; the largest integer where still believed
    stations: int
    hours: int
    look_back: int  # hours before each one that can be asked for

    @cached_property
    def last(self) -> Index:
        """The last version of each station and hour, the grid preceded by `look_back` empty hours. (S, look_back + T)"""
        last = np.full((self.stations, self.look_back + self.hours), NOBODY, np.int64)
        last[self.station, self.hour + self.look_back] = np.arange(len(self.station))  # later versions overwrite
        return last

    def row_at(self, station: Index, hour: Index, moment: Index) -> Index:
        """The version of each station and hour that was believed at each moment; `hour` may reach `look_back` below 0."""
        row = self.last[station, hour + self.look_back]
        ahead = np.flatnonzero(row != NOBODY)
        while len(ahead := ahead[self.known_from[row[ahead]] > moment[ahead]]):
            row[ahead] = self._version_before[row[ahead]]
            ahead = ahead[row[ahead] != NOBODY]
        return row

    def on_grid(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """`values` (N,) of the last versions as a grid, NaN where there is none. (S, look_back + T)"""
        return take(values, self.last)

    def before(self, rows: Index) -> Index:
        """The hours before each of these versions and itself, as they were known when it was. (n, look_back + 1) rows"""
        ages = np.arange(-self.look_back, 1)
        shape = (len(rows), len(ages))
        station, moment = (np.broadcast_to(part[rows, None], shape) for part in (self.station, self.known_from))
        found = self.row_at(station.ravel(), (self.hour[rows, None] + ages).ravel(), moment.ravel())
        return found.reshape(shape)

    @cached_property
    def grid_suffices(self) -> NDArray[np.bool_]:
        """Whether the grid of last versions shows what was known at each version, in its hour and the `look_back` before. (N,)"""
        rows = np.arange(len(self.station))
        known = np.where(self.last == NOBODY, np.iinfo(np.int64).min, self.known_from[self.last])
        newest = _running_max(known, self.look_back + 1)  # (S, T)
        is_last = self.last[self.station, self.hour + self.look_back] == rows
        return is_last & (newest[self.station, self.hour] <= self.known_from)

    @cached_property
    def _version_before(self) -> Index:
        same = (self.station[1:] == self.station[:-1]) & (self.hour[1:] == self.hour[:-1])
        return np.concatenate([[NOBODY], np.where(same, np.arange(len(same)), NOBODY)])


def take(values: NDArray[np.float64], rows: Index) -> NDArray[np.float64]:
    """`values` (N,) at these rows, NaN where there is nobody."""
    return np.where(rows == NOBODY, np.nan, values[rows])


def _running_max(x: Index, width: int) -> Index:
    """The largest of each `width` neighbours along the last axis: (…, T + width - 1) to (…, T), by doubling."""
    reach = 1
    while reach < width:
        step = min(reach, width - reach)
        x = np.maximum(x[..., step:], x[..., :-step])
        reach += step
    return x
