"""Random numbers in absolute time: what was drawn for an hour stays so, whoever asks, in whatever range.

Time is cut into blocks of BLOCK hours counted from EPOCH. Every (seed, purpose, block) has a stream of its own, and
rows (stations) are filled one after the other, so that more stations never change the first ones.
"""

import math
from datetime import UTC, datetime
from enum import IntEnum, auto
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # absolute hour 0
BLOCK = 512  # hours; block k holds the absolute hours 512 k + 1 to 512 (k + 1)

_BEFORE_EPOCH = 2**31  # seeds are not negative, blocks before the epoch are

Floats = NDArray[np.float32]


class Purpose(IntEnum):
    """What a stream of random numbers is for; a new one goes to the end, or every value of the network changes."""

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
    OUTLOOK = auto()
    OUTLOOK_MISSING = auto()


def stream(seed: int, purpose: Purpose, block: int) -> np.random.Generator:
    """The random numbers of one purpose in one block."""
    words = np.random.SeedSequence([seed, int(purpose), block + _BEFORE_EPOCH])
    return np.random.Generator(np.random.SFC64(words))


def white(seed: int, purpose: Purpose, rows: int, first: int, count: int) -> Floats:
    """Standard normal noise for the absolute hours `first` to `first + count - 1`, shape (rows, count)."""
    blocks = range((first - 1) // BLOCK, (first + count - 2) // BLOCK + 1)
    start = first - 1 - blocks[0] * BLOCK
    drawn = [_white_block(seed, purpose, rows, block) for block in blocks]
    return np.concatenate(drawn, axis=1)[:, start : start + count]


def remember(values: Floats, reach: int, hours: float) -> Floats:
    """The sum over the last `reach` hours (a power of two) of `values`, each damped by exp(-age / hours).

    Doubling: the sum over 2 n hours is that over n hours and, damped, that over the n hours before. An output hour
    therefore depends on its own `reach` inputs alone, bit for bit. `reach` - 1 columns are lost at the front.
    """
    step = 1
    while step < reach:
        values = values[:, step:] + np.float32(math.exp(-step / hours)) * values[:, :-step]
        step *= 2
    return values


def red(seed: int, purpose: Purpose, rows: int, first: int, count: int, hours: float) -> Floats:
    """Noise of variance 1 whose autocorrelation falls as exp(-lag / hours), shape (rows, count)."""
    reach = 2 ** math.ceil(math.log2(5 * hours))
    noise = white(seed, purpose, rows, first - reach + 1, count + reach - 1)
    variance = (1 - math.exp(-2 * reach / hours)) / (1 - math.exp(-2 / hours))
    return remember(noise, reach, hours) * np.float32(variance**-0.5)


@lru_cache(maxsize=24)  # two blocks of six kinds at the stations, four of three kinds along the moving frame
def _white_block(seed: int, purpose: Purpose, rows: int, block: int) -> Floats:
    noise = stream(seed, purpose, block).standard_normal((rows, BLOCK), dtype=np.float32)
    noise.flags.writeable = False
    return noise
