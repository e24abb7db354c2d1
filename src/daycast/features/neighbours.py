"""The neighbours of a station: the nearest other stations at a similar elevation, and others in all directions.

S stations, P of them with a position.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from os import cpu_count
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

EARTH_RADIUS_KM = 6371.0088  # mean radius R1: Moritz (2000), doi:10.1007/s001900050278
NOBODY = -1  # in place of a row: no neighbour
RINGS_KM = (70.0, 300.0)  # outer radii of the rings in which `surrounding_stations` looks
_SECTORS = 8  # directions in which it looks
SURROUNDING = len(RINGS_KM) * _SECTORS
_TOO_FAR = np.float32(1e9)  # in place of a squared distance
_PAIRS_AT_ONCE = 200_000  # bounds memory
_FIRST_LOOK = 64  # of the nearest stations are looked at first


def nearest_stations(
    stations: pl.DataFrame, most: int = 5, within_km: float = 100.0, within_m: float = 500.0
) -> NDArray[np.int32]:
    """The rows of the nearest other stations of each station, nearest first, then NOBODY. (S, most)

    stations: S rows with station_id, latitude and longitude in degrees, elevation_m, null where unknown. A neighbour is at most
    `within_km` away, and at most `within_m` higher or lower; an unknown elevation matches any. A station without position has no
    neighbours and is no station's neighbour.
    """
    found, placed = np.full((len(stations), most), NOBODY, np.int32), _placed(stations)
    points = _on_unit_sphere(*np.deg2rad(stations[placed].select("latitude", "longitude").to_numpy()).T)
    height = stations[placed]["elevation_m"].fill_null(np.nan).to_numpy()
    place = _Place(points, height, float(np.cos(within_km / EARTH_RADIUS_KM)), within_m)
    left, looked_at = np.arange(len(placed)), _FIRST_LOOK
    while len(left):  # for where many of the nearest are too high or too low
        looked_at, rest = min(looked_at, len(placed)), list[NDArray[np.integer]]()
        for first in range(0, len(left), at_once := max(_PAIRS_AT_ONCE // looked_at, 1)):
            own = left[first : first + at_once]
            picked, is_complete = place.pick(own, looked_at, most)
            found[placed[own], : picked.shape[1]] = np.where(picked == NOBODY, NOBODY, placed[picked])
            rest.append(own[~is_complete])
        left, looked_at = np.concatenate(rest), 8 * looked_at
    return found


@dataclass(frozen=True)
class _Place:
    """Where P stations lie, and which of them are neighbours."""

    points: NDArray[np.float64]  # (P, 3) on the unit sphere
    height: NDArray[np.float64]  # (P,)
    least_cosine: float  # of the angle between neighbours
    within_m: float

    def pick(
        self, own: NDArray[np.integer], looked_at: int, most: int
    ) -> tuple[NDArray[np.integer], NDArray[np.bool_]]:
        """The nearest neighbours of stations (n,) among so many nearest stations, then NOBODY; and whether none is left out.

        (n, most) or fewer, and (n,)
        """
        others = self._nearest(own, looked_at)
        nearness = np.einsum("nd,nkd->nk", self.points[own], self.points[others])  # cosines of the angles
        farthest = nearness.min(axis=1)
        is_near = nearness >= self.least_cosine
        is_level = ~(np.abs(self.height[own, None] - self.height[others]) > self.within_m)
        nearness[~(is_near & is_level & (others != own[:, None]))] = -np.inf
        order = np.lexsort((others, -nearness))[:, :most]
        is_full = (nearness > farthest[:, None]).sum(axis=1) >= most
        is_complete = is_full | (farthest < self.least_cosine) | (looked_at == len(self.points))
        nearest = np.take_along_axis(others, order, 1)
        return np.where(np.take_along_axis(nearness, order, 1) > -np.inf, nearest, NOBODY), is_complete

    def _nearest(self, own: NDArray[np.integer], most: int) -> NDArray[np.integer]:
        """The nearest stations of each, itself included, in any order. (n, most)"""
        if most == len(self.points):
            return np.broadcast_to(np.arange(most), (len(own), most))
        return self._tree.query(self.points[own], k=most)[1]

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import KDTree  # noqa: PLC0415 - small networks need none

        return KDTree(self.points)


def _placed(stations: pl.DataFrame) -> NDArray[np.integer]:
    """The rows of the stations with a position. (P,)"""
    return np.flatnonzero(stations.select(pl.all_horizontal(pl.col("latitude", "longitude").is_not_null())).to_series())


def surrounding_stations(stations: pl.DataFrame) -> NDArray[np.int32]:
    """The rows of the nearest other station in each of eight directions, once within 70 km and once from there to 300 km.

    stations: as for `nearest_stations`; the elevation does not matter. NOBODY where there is none. (S, SURROUNDING)
    """
    found, placed = np.full((len(stations), SURROUNDING), NOBODY, np.int32), _placed(stations)
    angles = _angles(stations)[placed]
    at_once = max(_PAIRS_AT_ONCE // max(len(placed), 1), 1)
    some = [np.arange(first, min(first + at_once, len(placed))) for first in range(0, len(placed), at_once)]
    with ThreadPoolExecutor(cpu_count()) as threads:
        for own, around in zip(some, threads.map(partial(_look_around, angles), some), strict=True):
            found[placed[own]] = np.where(around == NOBODY, NOBODY, placed[around])
    return found


def _look_around(angles: NDArray[np.float64], own: NDArray[np.integer]) -> NDArray[np.int32]:
    """What `surrounding_stations` finds for some (n,) of the stations with angles (P, 2), as rows of these. (n, SURROUNDING)"""
    found, each = np.full((len(own), SURROUNDING), NOBODY, np.int32), np.arange(len(own))
    east, north = (offset.astype(np.float32) for offset in _offset_km(angles[own], angles))  # (n, P) each
    squared = east**2 + north**2
    squared[each, own] = np.inf
    eighth = (east > 0) * np.int8(4) + (north > 0) * np.int8(2) + (np.abs(east) > np.abs(north))
    inner = np.float32(-1)
    for ring, outer in enumerate(np.square(RINGS_KM, dtype=np.float32)):
        here = np.where((squared > inner) & (squared <= outer), squared, _TOO_FAR)
        for sector in range(_SECTORS):
            there = np.maximum(here, (eighth != sector) * _TOO_FAR)  # several times as fast as `where`
            nearest = there.argmin(axis=1)
            found[:, _SECTORS * ring + sector] = np.where(there[each, nearest] < _TOO_FAR, nearest, NOBODY)
        inner = outer
    return found


def offset_km(stations: pl.DataFrame, rows: NDArray[np.integer], others: NDArray[np.integer]) -> NDArray[np.float64]:
    """How far east and north of the stations `rows` (n,) the stations `others` (P,) or (n, P) lie, in km. (n, P, 2)

    On a plane that touches the earth at each station: good to a hundredth within 300 km, outside the polar regions. NaN where a
    position is unknown.
    """
    angles = _angles(stations)
    return np.stack(_offset_km(angles[rows], angles[others]), axis=-1)


def _angles(stations: pl.DataFrame) -> NDArray[np.float64]:
    """Latitude and longitude in radians, NaN where unknown. (S, 2)"""
    return np.deg2rad(stations.select(pl.col("latitude", "longitude").fill_null(np.nan)).to_numpy())


def _offset_km(
    own: NDArray[np.float64], others: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """East and north, as `offset_km`, of places in radians: from `own` (n, 2) to `others` (P, 2) or (n, P, 2). Both (n, P)"""
    east = others[..., 1] - own[:, 1:]
    if (np.abs(east) > np.pi).any():
        east -= 2 * np.pi * np.rint(east / (2 * np.pi))  # the shorter way round the earth
    return EARTH_RADIUS_KM * np.cos(own[:, :1]) * east, EARTH_RADIUS_KM * (others[..., 0] - own[:, :1])


def _on_unit_sphere(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles (P,) in radians as points on the unit sphere (P, 3)."""
    level = np.cos(latitude)
    return np.stack([level * np.cos(longitude), level * np.sin(longitude), np.sin(latitude)], axis=1)
