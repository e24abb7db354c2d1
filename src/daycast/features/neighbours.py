"""The neighbours of a station: the nearest other stations at a similar elevation, and others in all directions.

S stations, P of them with a position.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

EARTH_RADIUS_KM = 6371.0088  # mean radius R1: Moritz (2000), doi:10.1007/s001900050278
NOBODY = -1  # in place of a row: no neighbour
RINGS_KM = (70.0, 300.0)  # outer radii of the rings in which `surrounding_stations` looks
_SECTORS = 8  # directions in which it looks
SURROUNDING = len(RINGS_KM) * _SECTORS
_PAIRS_AT_ONCE = 200_000  # bounds memory


def nearest_stations(
    stations: pl.DataFrame, most: int = 5, within_km: float = 100.0, within_m: float = 500.0
) -> NDArray[np.int32]:
    """The rows of the nearest other stations of each station, nearest first, then NOBODY. (S, most)

    stations: S rows with station_id, latitude and longitude in degrees, elevation_m, null where unknown. A neighbour is at most
    `within_km` away, and at most `within_m` higher or lower; an unknown elevation matches any. A station without position has no
    neighbours and is no station's neighbour.
    """
    found = np.full((len(stations), most), NOBODY, np.int32)
    placed = np.flatnonzero(
        stations.select(pl.all_horizontal(pl.col("latitude", "longitude").is_not_null())).to_series()
    )
    most = min(most, len(placed) - 1)
    if most < 1:
        return found
    points = _on_unit_sphere(*np.deg2rad(stations[placed].select("latitude", "longitude").to_numpy()).T)
    height = stations[placed]["elevation_m"].fill_null(np.nan).to_numpy()
    least_cosine = np.cos(within_km / EARTH_RADIUS_KM)
    at_once = max(_PAIRS_AT_ONCE // len(placed), 1)
    for first in range(0, len(placed), at_once):
        own = np.arange(first, min(first + at_once, len(placed)))
        row = np.arange(len(own))
        nearness = points[own] @ points.T  # (n, P) cosine of the angle between them
        nearness[(nearness < least_cosine) | (np.abs(height[own, None] - height) > within_m)] = -np.inf
        nearness[row, own] = -np.inf
        for rank in range(most):
            nearest = nearness.argmax(axis=1)
            valid = nearness[row, nearest] > -np.inf
            found[placed[own], rank] = np.where(valid, placed[nearest], NOBODY)
            nearness[row, nearest] = -np.inf
    return found


def surrounding_stations(stations: pl.DataFrame) -> NDArray[np.int32]:
    """The rows of the nearest other station in each of eight directions, once within 70 km and once from there to 300 km.

    stations: as for `nearest_stations`; the elevation does not matter. NOBODY where there is none. (S, SURROUNDING)
    """
    found = np.full((len(stations), SURROUNDING), NOBODY, np.int32)
    placed = np.flatnonzero(
        stations.select(pl.all_horizontal(pl.col("latitude", "longitude").is_not_null())).to_series()
    )
    at_once = max(_PAIRS_AT_ONCE // max(len(placed), 1), 1)
    for first in range(0, len(placed), at_once):
        own = placed[first : first + at_once]
        east, north = np.moveaxis(offset_km(stations, own, placed), -1, 0).astype(np.float32)  # (n, P) each
        squared = east**2 + north**2
        squared[own[:, None] == placed] = np.inf
        eighth = 4 * (east > 0) + 2 * (north > 0) + (np.abs(east) > np.abs(north))
        inner = 0.0
        for ring, outer in enumerate(RINGS_KM):
            within = (squared > inner**2) if ring else True
            for sector in range(_SECTORS):
                there = np.where((eighth == sector) & within & (squared <= outer**2), squared, np.inf)
                nearest = there.argmin(axis=1)
                valid = np.isfinite(there[np.arange(len(own)), nearest])
                found[own, _SECTORS * ring + sector] = np.where(valid, placed[nearest], NOBODY)
            inner = outer
    return found


def offset_km(stations: pl.DataFrame, rows: NDArray[np.integer], others: NDArray[np.integer]) -> NDArray[np.float64]:
    """How far east and north of the stations `rows` (n,) the stations `others` (P,) or (n, P) lie, in km. (n, P, 2)

    On a plane that touches the earth at each station: good to a hundredth within 300 km, outside the polar regions. NaN where a
    position is unknown.
    """
    angles = np.deg2rad(stations.select(pl.col("latitude", "longitude").fill_null(np.nan)).to_numpy())  # (S, 2)
    latitude, longitude = angles[rows].T[..., None]  # (n, 1) each
    north = angles[others, 0] - latitude
    east = (angles[others, 1] - longitude + np.pi) % (2 * np.pi) - np.pi
    return EARTH_RADIUS_KM * np.stack([east * np.cos(latitude), north], axis=-1)


def _on_unit_sphere(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles (P,) in radians as points on the unit sphere (P, 3)."""
    level = np.cos(latitude)
    return np.stack([level * np.cos(longitude), level * np.sin(longitude), np.sin(latitude)], axis=1)
