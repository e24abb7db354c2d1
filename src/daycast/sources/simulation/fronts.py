"""Highs, lows and fronts: one long stretch of weather that travels eastward over the network.

The large scale is frozen in a moving frame: what a station feels at time t is the signal at t - delay, where delay is
how long the weather takes from the centre of the network to the station. A front therefore reaches an eastern station
hours after a western one, and is announced: pressure falls, cloud and southerly wind come first; the drop of
temperature, the veering wind and days of cool air follow.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from daycast.sources.simulation.noise import BLOCK, Floats, Purpose, red, stream
from daycast.sources.simulation.places import Network, places

SPEED_KM_H = 40.0  # of the travelling weather
TOWARD_DEG = 80.0  # where it goes, clockwise from north
FRONTS_PER_BLOCK = 8  # one in each 64 hours, somewhere in them
PER_HOUR = 4  # the signal is known every quarter of an hour


@dataclass(frozen=True)
class Synoptic:
    """The large-scale weather, either along the moving frame (quarter-hours,) or at the stations (S, hours)."""

    temperature: Floats  # anomaly of the air mass, °C
    pressure: Floats  # anomaly, hPa
    cloud: Floats  # 0 clear to 1 overcast
    rain: Floats  # 0 none to about 2 in the heart of a strong front
    east: Floats  # wind toward the east, m/s
    poleward: Floats  # wind toward the pole, m/s: southerly in the north


def synoptic(network: Network, block: int) -> Synoptic:
    """The large-scale weather of one block at every station (S, BLOCK)."""
    margin = math.ceil(network.extent_km / 2 / SPEED_KM_H) + 1  # hours the weather needs from the centre to the edge
    along = _along(network.seed, block, margin)
    ahead = margin * PER_HOUR - np.rint(delay_hours(network) * PER_HOUR).astype(np.int64)  # (S,)
    return Synoptic(**{field.name: _at(getattr(along, field.name), ahead) for field in fields(Synoptic)})


def delay_hours(network: Network) -> NDArray[np.float64]:
    """How much later than the centre each station feels the same weather (S,); negative upstream."""
    toward = math.radians(TOWARD_DEG)
    at = places(network)
    return (at.east_km * math.sin(toward) + at.north_km * math.cos(toward)) / SPEED_KM_H


def _at(signal: Floats, ahead: NDArray[np.int64]) -> Floats:
    """Read the signal from each station's own start: (quarter-hours,) and (S,) give (S, BLOCK)."""
    quarters = np.ascontiguousarray(signal.reshape(-1, PER_HOUR).T)  # (PER_HOUR, hours)
    hour, quarter = np.divmod(ahead, PER_HOUR)
    station_rows: Floats = sliding_window_view(quarters, BLOCK, axis=1)[quarter, hour]
    return station_rows


def _along(seed: int, block: int, margin: int) -> Synoptic:
    """The signal from `margin` hours before the block's first hour to `margin` hours after its last."""
    first, count = block * BLOCK + 1 - margin, BLOCK + 2 * margin + 1
    time = first + np.arange((count - 1) * PER_HOUR) / PER_HOUR
    pressure = 6.0 * _slow(seed, Purpose.SLOW_PRESSURE, first, count, 90.0)
    warmth = 2.7 * _slow(seed, Purpose.SLOW_TEMPERATURE, first, count, 80.0)
    moisture = 1.2 * _slow(seed, Purpose.SLOW_CLOUD, first, count, 30.0)
    tendency = np.gradient(pressure) * PER_HOUR  # hPa/h
    front = _fronts(seed, block, time)
    return Synoptic(
        temperature=_floats(warmth + front["temperature"]),
        pressure=_floats(pressure + front["pressure"]),
        cloud=_floats(1 / (1 + np.exp(0.7 - moisture + 0.08 * pressure - 2.5 * front["cloud"]))),
        rain=_floats(front["rain"]),
        east=_floats(2.0 + front["east"] - 0.2 * pressure),
        poleward=_floats(front["poleward"] - 9.0 * tendency),  # the flow ahead of a low comes from the warm side
    )


def _slow(seed: int, purpose: Purpose, first: int, count: int, hours: float) -> NDArray[np.float64]:
    """Noise of variance about 1 that wanders over days, smoothed over half a day: count - 1 hours, quartered."""
    width = 12
    noise = red(seed, purpose, 1, first - width + 1, count + width - 1, hours)[0].astype(np.float64)
    smooth = np.convolve(noise, np.full(width, 1 / width), mode="valid")
    return np.interp(np.arange((count - 1) * PER_HOUR) / PER_HOUR, np.arange(count), smooth)


def _fronts(seed: int, block: int, time: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The sum of what the fronts of three blocks do at `time`; earlier ones have faded, later ones are not yet felt."""
    near = range(block - 1, block + 2)
    chance, force = np.concatenate([stream(seed, Purpose.FRONT, k).random((FRONTS_PER_BLOCK, 2)) for k in near]).T
    number = np.arange(len(chance)) + near[0] * FRONTS_PER_BLOCK
    passage = (number + chance) * (BLOCK / FRONTS_PER_BLOCK)
    strength = (0.3 + 1.5 * force**1.5)[:, None]
    since = time[None, :] - passage[:, None]  # (fronts, quarter-hours), hours since the passage
    before, after = np.minimum(since, 0), np.maximum(since, 0)
    near_front = np.exp(-np.abs(since) / 16)
    shapes = {
        "temperature": 2.4 * np.exp(-(((since + 12) / 11) ** 2))
        - 3.8 / (1 + np.exp(-_bounded(since))) * np.exp(-after / 55),
        "pressure": -11.0 * np.exp(before / 24 - after / 15),
        "cloud": np.exp(-(((since + 3) / 10) ** 2)),
        "rain": np.exp(-(((since + 1) / 4) ** 2)),
        "east": 5.0 * near_front,
        "poleward": -6.0 * np.tanh(since / 3) * near_front,
    }
    return {name: (strength * shape).sum(axis=0) for name, shape in shapes.items()}


def _bounded(since: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(since / 1.2, -50.0, 50.0)  # beyond it the exponential function would overflow


def _floats(values: NDArray[np.float64]) -> Floats:
    return values.astype(np.float32)
