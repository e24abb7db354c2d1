"""Random numbers in absolute time, and the simulated stations: their places and peculiarities.

What was drawn for an hour stays the same, whatever range is asked for. Time is cut into blocks of BLOCK hours from EPOCH.
Every (seed, purpose, block) has its own random stream. Rows (stations) are filled one after the other, so that more stations
never change the first ones.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, auto
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.stations import STATION_SCHEMA

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # absolute hour 0
BLOCK = 512  # hours; block k holds the absolute hours 512 k + 1 to 512 (k + 1)

_BEFORE_EPOCH = 2**31  # shifts block numbers, which are negative before EPOCH and must not be in a seed

Floats = NDArray[np.float32]


class Purpose(IntEnum):
    """What a random stream is for. Add a new one at the end, or every value of the network changes."""

    PLACE = auto()
    FRONT = auto()
    SLOW_PRESSURE = auto()
    SLOW_TEMPERATURE = auto()
    SLOW_CLOUD = auto()
    TEMPERATURE = auto()
    DEW_POINT = auto()
    PRESSURE = auto()
    WIND_EAST = auto()
    WIND_NORTH = auto()
    RAIN = auto()
    STUCK = auto()
    OUTAGE = auto()
    SINGLE = auto()
    SINGLE_DETAIL = auto()
    EXTERNAL_FORECAST = auto()
    EXTERNAL_FORECAST_MISSING = auto()


def random_stream(seed: int, purpose: Purpose, block: int) -> np.random.Generator:
    """The random stream of one purpose in one block."""
    words = np.random.SeedSequence([seed, int(purpose), block + _BEFORE_EPOCH])
    return np.random.Generator(np.random.SFC64(words))


def white_noise(seed: int, purpose: Purpose, rows: int, first: int, count: int) -> Floats:
    """Standard normal noise for the absolute hours `first` to `first + count - 1`, shape (rows, count)."""
    blocks = range((first - 1) // BLOCK, (first + count - 2) // BLOCK + 1)
    start = first - 1 - blocks[0] * BLOCK
    drawn = [_white_noise_block(seed, purpose, rows, block) for block in blocks]
    return np.concatenate(drawn, axis=1)[:, start : start + count]


def decaying_sum(values: Floats, reach: int, hours: float) -> Floats:
    """The sum over the last `reach` hours (a power of two) of `values`, each damped by exp(-age / hours).

    By doubling: the sum over 2 n hours is the sum over n hours plus, damped, the sum over the n hours before. So an output
    hour depends on its own `reach` inputs alone, bit for bit. The first `reach` - 1 columns are lost.
    """
    step = 1
    while step < reach:
        values = values[:, step:] + np.float32(math.exp(-step / hours)) * values[:, :-step]
        step *= 2
    return values


def red_noise(seed: int, purpose: Purpose, rows: int, first: int, count: int, hours: float) -> Floats:
    """Noise of variance 1 whose autocorrelation falls as exp(-lag / hours), shape (rows, count)."""
    reach = 2 ** math.ceil(math.log2(5 * hours))
    noise = white_noise(seed, purpose, rows, first - reach + 1, count + reach - 1)
    variance = (1 - math.exp(-2 * reach / hours)) / (1 - math.exp(-2 / hours))
    return decaying_sum(noise, reach, hours) * np.float32(variance**-0.5)


@lru_cache(maxsize=24)  # two blocks of six kinds at the stations, four of three kinds along the moving frame
def _white_noise_block(seed: int, purpose: Purpose, rows: int, block: int) -> Floats:
    noise = random_stream(seed, purpose, block).standard_normal((rows, BLOCK), dtype=np.float32)
    noise.flags.writeable = False
    return noise


KM_PER_DEGREE = 111.2  # along a meridian
HIGHEST_M = 1500.0
OFFSET_MIN = (2, 10)  # a reading is stamped this many minutes before the full hour it stands for
LAG_S = (60, 119)  # and received this many seconds after its stamp, still before the full hour

_STEMS = ("Alt", "Birken", "Dorn", "Eichen", "Falken", "Gries", "Hirsch", "Kalten", "Linden", "Mühl", "Ober", "Rosen")
_ENDS = ("au", "bach", "berg", "brunn", "egg", "feld", "hofen", "horn", "moos", "see", "stein", "tal", "wil")


@dataclass(frozen=True)
class SimulationConfig:
    """What decides the weather: equal configurations have equal weather, and a larger network has the smaller one's stations."""

    seed: int
    stations: int  # S
    latitude: float  # of the centre, degrees north
    longitude: float  # of the centre, degrees east
    extent_km: float  # diameter of the disc in which the stations stand
    first: int = 0  # stations of the network before these

    @property
    def station_seed(self) -> int:
        """The seed of what stations draw for themselves; the large-scale weather of all has `seed`."""
        return self.seed + (self.first << 64)


@dataclass(frozen=True)
class Places:
    """One entry for each station in every array (S,)."""

    east_km: NDArray[np.float64]  # of the centre
    north_km: NDArray[np.float64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    elevation_m: NDArray[np.float64]
    exposure: NDArray[np.float64]  # local wind divided by that of open country, 0.6 to 1.3
    offset_s: NDArray[np.int64]  # from the stamp to the full hour
    lag_s: NDArray[np.int64]  # from the stamp to the reception


@lru_cache(maxsize=4)
def places(config: SimulationConfig) -> Places:
    """Scatter the stations evenly over the disc, most of them low, a few high."""
    draws = random_stream(config.station_seed, Purpose.PLACE, 0).random((config.stations, 6)).T
    radius = config.extent_km / 2 * np.sqrt(draws[0])
    east, north = radius * np.cos(2 * np.pi * draws[1]), radius * np.sin(2 * np.pi * draws[1])
    degree_east = KM_PER_DEGREE * np.cos(np.deg2rad(config.latitude))
    return Places(
        east_km=east,
        north_km=north,
        latitude=config.latitude + north / KM_PER_DEGREE,
        longitude=(config.longitude + east / degree_east + 180) % 360 - 180,
        elevation_m=np.rint(HIGHEST_M * draws[2] ** 2),
        exposure=0.6 + 0.7 * draws[3],
        offset_s=60 * _whole(draws[4], *OFFSET_MIN),
        lag_s=_whole(draws[5], *LAG_S),
    )


def station_ids(config: SimulationConfig) -> pl.Series:
    """S0001, S0002 and so on."""
    return pl.Series(
        "station_id", [f"S{config.first + number:04d}" for number in range(1, config.stations + 1)], pl.String
    )


def station_list(config: SimulationConfig) -> pl.DataFrame:
    """The station list (STATION_SCHEMA)."""
    at = places(config)
    columns = {
        "station_id": station_ids(config),
        "name": [_name(config.first + number) for number in range(config.stations)],
        "latitude": at.latitude.round(4),
        "longitude": at.longitude.round(4),
        "elevation_m": at.elevation_m,
    }
    return pl.DataFrame(columns, schema=STATION_SCHEMA)


def _whole(draw: NDArray[np.float64], first: int, last: int) -> NDArray[np.int64]:
    return (first + np.floor(draw * (last - first + 1))).astype(np.int64)


def _name(number: int) -> str:
    stems, ends = len(_STEMS), len(_ENDS)  # 12 and 13 are coprime: 156 different names before one repeats
    repeat = number // (stems * ends)
    return _STEMS[number % stems] + _ENDS[number % ends] + (f" {repeat + 1}" if repeat else "")
