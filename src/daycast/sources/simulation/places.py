"""Where the simulated stations stand, and what is peculiar to each."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.sources.simulation.noise import Purpose, stream
from daycast.stations import STATION_SCHEMA

KM_PER_DEGREE = 111.2  # along a meridian
HIGHEST_M = 1500.0
OFFSET_MIN = (2, 10)  # a reading is stamped so many minutes before the full hour it stands for
LAG_S = (60, 119)  # and received so many seconds after its stamp, still before the full hour

_STEMS = ("Alt", "Birken", "Dorn", "Eichen", "Falken", "Gries", "Hirsch", "Kalten", "Linden", "Mühl", "Ober", "Rosen")
_ENDS = ("au", "bach", "berg", "brunn", "egg", "feld", "hofen", "horn", "moos", "see", "stein", "tal", "wil")


@dataclass(frozen=True)
class Network:
    """What decides the weather: equal networks have equal weather, and a larger one has the smaller one's stations."""

    seed: int
    stations: int  # S
    latitude: float  # of the centre, degrees north
    longitude: float  # of the centre, degrees east
    extent_km: float  # diameter of the disc in which the stations stand


@dataclass(frozen=True)
class Places:
    """One entry a station in every array (S,)."""

    east_km: NDArray[np.float64]  # of the centre
    north_km: NDArray[np.float64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    elevation_m: NDArray[np.float64]
    exposure: NDArray[np.float64]  # local wind over that of the open country, 0.6 to 1.3
    offset_s: NDArray[np.int64]  # from the stamp to the full hour
    lag_s: NDArray[np.int64]  # from the stamp to the reception


@lru_cache(maxsize=4)
def places(network: Network) -> Places:
    """Scatter the stations evenly over the disc, most of them low, a few high."""
    draws = stream(network.seed, Purpose.PLACE, 0).random((network.stations, 6)).T
    radius = network.extent_km / 2 * np.sqrt(draws[0])
    east, north = radius * np.cos(2 * np.pi * draws[1]), radius * np.sin(2 * np.pi * draws[1])
    degree_east = KM_PER_DEGREE * np.cos(np.deg2rad(network.latitude))
    return Places(
        east_km=east,
        north_km=north,
        latitude=network.latitude + north / KM_PER_DEGREE,
        longitude=(network.longitude + east / degree_east + 180) % 360 - 180,
        elevation_m=np.rint(HIGHEST_M * draws[2] ** 2),
        exposure=0.6 + 0.7 * draws[3],
        offset_s=60 * _whole(draws[4], *OFFSET_MIN),
        lag_s=_whole(draws[5], *LAG_S),
    )


def station_ids(network: Network) -> pl.Series:
    """S0001, S0002 and so on."""
    return pl.Series("station_id", [f"S{number:04d}" for number in range(1, network.stations + 1)], pl.String)


def station_list(network: Network) -> pl.DataFrame:
    """The stations as a frame of STATION_SCHEMA."""
    at = places(network)
    columns = {
        "station_id": station_ids(network),
        "name": [_name(number) for number in range(network.stations)],
        "latitude": at.latitude.round(4),
        "longitude": at.longitude.round(4),
        "elevation_m": at.elevation_m,
    }
    return pl.DataFrame(columns, schema=STATION_SCHEMA)


def _whole(draw: NDArray[np.float64], lowest: int, highest: int) -> NDArray[np.int64]:
    return (lowest + np.floor(draw * (highest - lowest + 1))).astype(np.int64)


def _name(number: int) -> str:
    stems, ends = len(_STEMS), len(_ENDS)  # 12 and 13 share no divisor: 156 different names before one comes back
    again = number // (stems * ends)
    return _STEMS[number % stems] + _ENDS[number % ends] + (f" {again + 1}" if again else "")
