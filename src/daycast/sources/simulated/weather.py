"""The true weather at every simulated station and hour: what a faultless sensor would report.

It is a sum of simple parts: season and sun, the travelling large scale (`synoptic`: highs, lows and fronts), and noise of
each station that fades over hours. Arrays are (S, BLOCK): stations, hours of the block.

The large scale is frozen in a frame that moves eastward: a station at time t feels the signal at t - delay, where delay is
the time the weather takes from the centre of the network to the station. So a front reaches an eastern station hours after a
western one, and it is announced: pressure falls, cloud and southerly wind come first; the drop of temperature, the veering
wind and days of cool air follow.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from daycast.sources.simulated.places import (
    BLOCK,
    Floats,
    Purpose,
    SimulationConfig,
    decaying_sum,
    places,
    random_stream,
    red_noise,
)

SPEED_KM_H = 40.0  # of the travelling weather
TOWARD_DEG = 80.0  # its direction, clockwise from north
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


def synoptic(config: SimulationConfig, block: int) -> Synoptic:
    """The large-scale weather of one block at every station (S, BLOCK)."""
    margin = math.ceil(config.extent_km / 2 / SPEED_KM_H) + 1  # hours the weather needs from the centre to the edge
    along = _along(config.seed, block, margin)
    ahead = margin * PER_HOUR - np.rint(delay_hours(config) * PER_HOUR).astype(np.int64)  # (S,)
    return Synoptic(**{field.name: _at(getattr(along, field.name), ahead) for field in fields(Synoptic)})


def delay_hours(config: SimulationConfig) -> NDArray[np.float64]:
    """How much later than the centre each station feels the same weather (S,); negative upstream."""
    toward = math.radians(TOWARD_DEG)
    at = places(config)
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
    noise = red_noise(seed, purpose, 1, first - width + 1, count + width - 1, hours)[0].astype(np.float64)
    smooth = np.convolve(noise, np.full(width, 1 / width), mode="valid")
    return np.interp(np.arange((count - 1) * PER_HOUR) / PER_HOUR, np.arange(count), smooth)


def _fronts(seed: int, block: int, time: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The sum of the effects at `time` of the fronts of three blocks; earlier ones have faded, later ones are not felt yet."""
    near = range(block - 1, block + 2)
    chance, force = np.concatenate(
        [random_stream(seed, Purpose.FRONT, k).random((FRONTS_PER_BLOCK, 2)) for k in near]
    ).T
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
    return np.clip(since / 1.2, -50.0, 50.0)  # np.exp overflows beyond


def _floats(values: NDArray[np.float64]) -> Floats:
    return values.astype(np.float32)


VARIABLES = (
    "air_temperature_c",
    "dew_point_c",
    "relative_humidity_pct",
    "sea_level_pressure_hpa",
    "wind_speed_m_s",
    "wind_from_deg",
    "precipitation_mm",
)
LAPSE_K_PER_M = 0.0065  # ICAO standard atmosphere
TILT_DEG = 23.45
YEAR_HOURS = 365.2425 * 24
SEASON_LAG_HOURS = 28 * 24  # air follows the sun by four weeks
WARMING_HOURS = 3.0  # air follows the sun of the day: warmest about two hours after noon
WARMING_REACH = 32

Values = dict[str, NDArray[np.float64]]


def weather(config: SimulationConfig, block: int) -> Values:
    """The truth of one block by variable, each (S, BLOCK), at the sensors' resolution.

    Resolution 0.1 °C, 1 %, 0.1 hPa, 0.1 m/s, 10° and 0.1 mm. Direction is 10 to 360, and 0 when calm (speed 0.0), as in
    METARs. Humidity is computed from the rounded temperature and dew point.
    """
    large = synoptic(config, block)
    sun = _sun(config, block)
    noise = _Noise(config, block)
    air, dew = _air_and_dew(config, large, sun, noise)
    air_temperature, dew_point = _tenths(air), _tenths(dew)
    speed, direction = _wind(config, large, sun, noise)
    return {
        "air_temperature_c": air_temperature,
        "dew_point_c": dew_point,
        "relative_humidity_pct": np.rint(relative_humidity_pct(air_temperature, dew_point)),
        "sea_level_pressure_hpa": _tenths(1019 + large.pressure + noise.of(Purpose.PRESSURE, 0.4, 12.0)),
        "wind_speed_m_s": speed,
        "wind_from_deg": direction,
        "precipitation_mm": _rain(large, noise),
    }


def relative_humidity_pct(
    air_temperature_c: NDArray[np.float64], dew_point_c: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Relative humidity over water [%] from air temperature and dew point [°C], by the Magnus formula.

    e = 6.1094 exp(17.625 t / (243.04 + t)) hPa: Alduchov & Eskridge 1996, doi
    10.1175/1520-0450(1996)035<0601:IMFAOS>2.0.CO;2
    """
    dew, air = (17.625 * t / (243.04 + t) for t in (dew_point_c, air_temperature_c))
    return 100 * np.exp(dew - air)


@dataclass(frozen=True)
class _Sun:
    season: Floats  # -1 to 1: declination four weeks ago over its largest
    heat: Floats  # 0 to about 0.9: what the day's sun has left in the air (S, BLOCK)


@dataclass(frozen=True)
class _Noise:
    config: SimulationConfig
    block: int

    def of(self, purpose: Purpose, size: float, hours: float) -> Floats:
        """Noise of the station's own with this standard deviation, which fades over `hours`."""
        first = self.block * BLOCK + 1
        return np.float32(size) * red_noise(
            self.config.station_seed, purpose, self.config.stations, first, BLOCK, hours
        )


def _declination(hours: NDArray[np.floating]) -> NDArray[np.float64]:
    """Declination of the sun [rad] at absolute hours: Cooper 1969, doi 10.1016/0038-092X(69)90047-4."""
    tilted: NDArray[np.float64] = np.deg2rad(TILT_DEG) * np.sin(2 * np.pi * (hours / YEAR_HOURS - 80 / 365))
    return tilted


def _sun(config: SimulationConfig, block: int) -> _Sun:
    """Season and the warmth of the day, from the sine of the solar elevation."""
    at = places(config)
    hours = block * BLOCK + 1.0 + np.arange(1 - WARMING_REACH, BLOCK)
    declination, turn = _declination(hours), 2 * np.pi * (hours / 24 - 0.5)  # 0 at noon in Greenwich
    latitude, longitude = np.deg2rad(at.latitude), np.deg2rad(at.longitude)
    elevation = (  # cos(turn + longitude) expanded, to avoid a cosine for each station and hour
        _column(np.sin(latitude)) * _row(np.sin(declination))
        + _column(np.cos(latitude) * np.cos(longitude)) * _row(np.cos(declination) * np.cos(turn))
        - _column(np.cos(latitude) * np.sin(longitude)) * _row(np.cos(declination) * np.sin(turn))
    )
    share = np.float32(1 - np.exp(-1 / WARMING_HOURS))
    season = _declination(hours[WARMING_REACH - 1 :] - SEASON_LAG_HOURS) / np.deg2rad(TILT_DEG)
    return _Sun(_row(season), share * decaying_sum(np.maximum(elevation, 0), WARMING_REACH, WARMING_HOURS))


def _air_and_dew(config: SimulationConfig, large: Synoptic, sun: _Sun, noise: _Noise) -> tuple[Floats, Floats]:
    """Air temperature and dew point [°C]: a clear sky gives warm days and cold nights, a cloudy one moist air."""
    at = places(config)
    pole = np.sin(np.deg2rad(at.latitude))  # negative in the south: seasons are opposite
    mean = 27 - 33 * pole**2 - LAPSE_K_PER_M * at.elevation_m
    mass = _column(mean) + _column(10 * pole) * sun.season + large.temperature
    clear = 1 - large.cloud
    day = 6 * sun.heat - 0.5 + clear * (13 * sun.heat - 3.5)
    air = mass + day + noise.of(Purpose.TEMPERATURE, 0.8, 6.0)
    deficit = air - (mass - 6 + 4 * large.cloud + noise.of(Purpose.DEW_POINT, 1.1, 9.0))
    above: Floats = (deficit + np.sqrt(deficit * deficit + np.float32(0.3))) * np.float32(
        0.5
    )  # bends towards saturation, never beyond
    return air, air - above


def _wind(
    config: SimulationConfig, large: Synoptic, sun: _Sun, noise: _Noise
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Speed [m/s] and the direction it comes from [°]: the large scale, gusts of hours, and a little more by day."""
    gust = 0.7 + 0.06 * np.abs(large.poleward)  # rough air where the flow is strong
    east = large.east + gust * noise.of(Purpose.WIND_EAST, 1.3, 3.0)
    north = np.float32(np.copysign(1, config.latitude)) * large.poleward + gust * noise.of(Purpose.WIND_NORTH, 1.3, 3.0)
    exposure = _column(places(config).exposure)
    speed = _tenths(exposure * (0.8 + 0.5 * sun.heat) * np.sqrt(east * east + north * north))
    tens = np.rint(np.arctan2(-east, -north) * np.float32(18 / np.pi)).astype(np.float64)  # -18 to 18
    direction = np.where(speed == 0, 0.0, 10 * np.where(tens <= 0, tens + 36, tens))
    return speed, direction


def _rain(large: Synoptic, noise: _Noise) -> NDArray[np.float64]:
    """Rain of the hour [mm]: none unless front, cloud and chance together pass a threshold."""
    wet = 1.3 * large.rain + 1.6 * large.cloud + noise.of(Purpose.RAIN, 0.75, 2.5) - 1.8
    return _tenths(0.7 * np.square(np.maximum(wet, 0)))


def _tenths(values: Floats) -> NDArray[np.float64]:
    """Rounded to 0.1, each the double next to its decimal; adding 0.0 turns -0.0 into 0.0."""
    rounded: NDArray[np.float64] = np.rint(values * np.float32(10)).astype(np.float64) / 10 + 0.0
    return rounded


def _column(values: NDArray[np.float64]) -> Floats:
    return values.astype(np.float32)[:, None]  # (S, 1)


def _row(values: NDArray[np.float64]) -> Floats:
    return values.astype(np.float32)[None, :]  # (1, hours)
