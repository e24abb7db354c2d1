"""Somebody else's forecast of the simulated weather: the truth to come, with an error that grows and lasts for hours."""

import math
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.sources.simulation.noise import BLOCK, EPOCH, Purpose, remember, stream
from daycast.sources.simulation.places import Network, station_ids
from daycast.sources.simulation.weather import Values, weather
from daycast.times import HOUR, UTC_TIME

EVERY_H = 6  # between issues
RECEIVED_AFTER_H = 3
LEADS_H = 48
MISSING = 0.05  # chance of an issue that is never received
ERRORS = {  # standard deviation at the longest lead, and the lowest value there is
    "air_temperature_c": (2.0, -math.inf),
    "dew_point_c": (2.0, -math.inf),
    "sea_level_pressure_hpa": (2.5, -math.inf),
    "wind_speed_m_s": (1.2, 0.0),
}
_AT_ONCE = 0.3  # share of the error that is there at the first lead; the rest grows as the square root of the lead
_LASTS_H = 6.0  # in which the correlation of the error falls to 1/e
_REACH = 32  # hours of noise that make an error


def block_outlooks(network: Network, block: int) -> pl.DataFrame:
    """All that was received in one block (start, end]: ISSUE_KEYS and the variables of ERRORS, by issue, station and hour."""
    first, last = block * BLOCK + 1 - RECEIVED_AFTER_H, (block + 1) * BLOCK - RECEIVED_AFTER_H  # absolute hours
    issues = range(-(-first // EVERY_H) * EVERY_H, last + 1, EVERY_H)
    truth = _truth(network, block)
    start = (block - 1) * BLOCK + 1  # the hour of its first column
    frames = [_outlook(network, issue, truth, issue + 1 - start) for issue in issues if not _is_missing(network, issue)]
    return pl.concat(frames)


def _is_missing(network: Network, issue: int) -> bool:
    return bool(stream(network.seed, Purpose.OUTLOOK_MISSING, issue).random() < MISSING)


def _outlook(network: Network, issue: int, truth: Values, at: int) -> pl.DataFrame:
    """One issue; `at` is the column of `truth` with its first lead."""
    S = network.stations
    noise = stream(network.seed, Purpose.OUTLOOK, issue).standard_normal((S, len(ERRORS), LEADS_H + _REACH - 1))
    variance = (1 - math.exp(-2 * _REACH / _LASTS_H)) / (1 - math.exp(-2 / _LASTS_H))
    lasting = remember(noise.astype(np.float32).reshape(S * len(ERRORS), -1), _REACH, _LASTS_H) * variance**-0.5
    growth = _AT_ONCE + (1 - _AT_ONCE) * np.sqrt(np.arange(1, LEADS_H + 1) / LEADS_H)
    errors = growth * lasting.reshape(S, len(ERRORS), LEADS_H)
    issued = EPOCH + issue * HOUR
    leads = np.tile(np.arange(1, LEADS_H + 1), S)
    return pl.DataFrame(
        {
            "station_id": station_ids(network).gather(np.repeat(np.arange(S), LEADS_H)),
            "issued_at": pl.repeat(issued, S * LEADS_H, dtype=UTC_TIME, eager=True),
            "valid_at": issued + pl.Series(leads).cast(pl.Int64) * HOUR,
            "received_at": pl.repeat(issued + RECEIVED_AFTER_H * HOUR, S * LEADS_H, dtype=UTC_TIME, eager=True),
            **{
                name: _forecast(truth[name][:, at : at + LEADS_H], deviation * errors[:, v], lowest)
                for v, (name, (deviation, lowest)) in enumerate(ERRORS.items())
            },
        }
    )


def _forecast(truth: NDArray[np.float64], error: NDArray[np.float64], lowest: float) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.maximum(np.round(truth + error, 1), lowest).ravel()
    return rounded


@lru_cache(maxsize=1)  # whoever fetches hour after hour asks for the same block again
def _truth(network: Network, block: int) -> Values:
    """The true weather from the block before to the one after, each (S, 3 × BLOCK)."""
    parts = [weather(network, near) for near in (block - 1, block, block + 1)]
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in ERRORS}
