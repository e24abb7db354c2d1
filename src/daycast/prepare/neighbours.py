"""Which stations each station is compared with: near, and at about its height."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

EARTH_RADIUS_KM = 6371.0088  # mean radius R1 of WGS84: Moritz 2000, doi 10.1007/s001900050278
NOBODY = -1
_TRIED_FOR_EACH = 4  # nearest ones looked at for each that is wanted, so that mountains may refuse some


def nearest_stations(
    stations: pl.DataFrame, most: int = 5, within_km: float = 100.0, within_m: float = 500.0
) -> NDArray[np.int32]:
    """The nearest other stations of each station, nearest first. (S, most) rows of `stations`, NOBODY where there are none.

    stations: station_id, latitude, longitude (degrees), elevation_m, null where unknown; S rows. A neighbour is at most
    `within_km` away and `within_m` higher or lower; an unknown elevation counts as the same. A station without position has
    none and is none. Looked for among the nearest 4 × most: a summit whose near stations all lie in the valley may find fewer.
    """
    found = np.full((len(stations), most), NOBODY, np.int32)
    placed = np.flatnonzero(
        stations.select(pl.all_horizontal(pl.col("latitude", "longitude").is_not_null())).to_series()
    )
    if len(placed) < 2 or most < 1:
        return found
    from sklearn.neighbors import BallTree  # noqa: PLC0415 - takes a second, which a network without positions is spared

    here = stations[placed]
    tried = min(len(placed), _TRIED_FOR_EACH * most + 1)
    places = np.deg2rad(here.select("latitude", "longitude").to_numpy())
    distance, other = BallTree(places, metric="haversine").query(places, k=tried)  # (P, tried), nearest first
    height = here["elevation_m"].fill_null(np.nan).to_numpy()
    too_steep = np.abs(height[:, None] - height[other]) > within_m
    refused = (other == np.arange(len(placed))[:, None]) | (distance * EARTH_RADIUS_KM > within_km) | too_steep
    kept = np.argsort(refused, axis=1, kind="stable")[:, :most]
    chosen = np.where(np.take_along_axis(refused, kept, 1), NOBODY, placed[np.take_along_axis(other, kept, 1)])
    found[placed, : chosen.shape[1]] = chosen
    return found
