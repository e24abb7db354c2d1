"""As-of lookup: which version of each hourly observation was current at a given moment.

`AsOfGrid` holds the versions of all stations and hours. Everything returns row indices into those versions, so that one
lookup serves every variable; `take_rows` turns indices into values.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
ABSENT = -1  # index of a version, or position of a station, that does not exist


@dataclass(frozen=True)
class AsOfGrid:
    """N versions of observations, sorted by station, hour and known_from.

    A row is an index into these versions, ABSENT where no version exists. Shapes: S stations, T hours.
    """

    station: Index  # (N,) position of the station, from 0
    hour: Index  # (N,) hours since the first hour, from 0
    known_from: Index  # (N,) microseconds since 1970, UTC
    known_until: Index  # (N,) microseconds since 1970, UTC; the largest integer where the version is still current
    stations: int  # S
    hours: int  # T
    look_back: int  # how many hours before each hour can be looked up

    @cached_property
    def last(self) -> Index:
        """The row of the newest version of each station and hour, after `look_back` empty hours. (S, look_back + T)"""
        last = np.full((self.stations, self.look_back + self.hours), ABSENT, np.int64)
        last[self.station, self.hour + self.look_back] = np.arange(len(self.station))  # later versions overwrite
        return last

    def row_at(self, station: Index, hour: Index, moment: Index) -> Index:
        """The row of the version that was current at each moment [microseconds since 1970], for n stations and hours. (n,)

        `hour` may be as low as -look_back. Starts at the newest version and steps back while that one is too new.
        """
        row = self.last[station, hour + self.look_back]
        too_new = np.flatnonzero(row != ABSENT)
        while len(too_new := too_new[self.known_from[row[too_new]] > moment[too_new]]):
            row[too_new] = self._version_before[row[too_new]]
            too_new = too_new[row[too_new] != ABSENT]
        return row

    def on_grid(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """`values` (N,) of the newest versions as a grid, NaN where there is none. (S, look_back + T)"""
        return take_rows(values, self.last)

    def before(self, rows: Index) -> Index:
        """For n versions, the rows of their own hour and the hours before, as known when each version became known.

        Oldest hour first. (n, look_back + 1)
        """
        ages = np.arange(-self.look_back, 1)
        shape = (len(rows), len(ages))
        station, moments = (np.broadcast_to(part[rows, None], shape) for part in (self.station, self.known_from))
        rows_before = self.row_at(station.ravel(), (self.hour[rows, None] + ages).ravel(), moments.ravel())
        return rows_before.reshape(shape)

    @cached_property
    def grid_suffices(self) -> NDArray[np.bool_]:
        """Whether the grid of newest versions equals what was known when each version became known. (N,)

        True where the version is the newest of its hour and no newer version exists in the `look_back` hours before. For
        these, which are nearly all, a sliding window over the grid replaces the slower `before`.
        """
        rows = np.arange(len(self.station))
        known = np.where(self.last == ABSENT, np.iinfo(np.int64).min, self.known_from[self.last])
        newest = _running_max(known, self.look_back + 1)  # (S, T)
        is_last = self.last[self.station, self.hour + self.look_back] == rows
        return is_last & (newest[self.station, self.hour] <= self.known_from)

    @cached_property
    def _version_before(self) -> Index:
        """The row of the previous version of the same station and hour. (N,)"""
        same = (self.station[1:] == self.station[:-1]) & (self.hour[1:] == self.hour[:-1])
        return np.concatenate([[ABSENT], np.where(same, np.arange(len(same)), ABSENT)])


def take_rows(values: NDArray[np.float64], rows: Index) -> NDArray[np.float64]:
    """`values` (N,) at these rows, NaN where a row is ABSENT. Any shape of rows, returned in that shape."""
    return np.where(rows == ABSENT, np.nan, values[rows])


def _running_max(x: Index, width: int) -> Index:
    """The maximum over each window of `width` along the last axis, by doubling: (…, T + width - 1) → (…, T)."""
    reach = 1
    while reach < width:
        step = min(reach, width - reach)
        x = np.maximum(x[..., step:], x[..., :-step])
        reach += step
    return x
