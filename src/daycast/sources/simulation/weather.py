"""The true weather at every simulated station and hour: what a faultless sensor would report.

A sum of plain parts: season and sun, the travelling large scale (simulated_fronts), and noise of the station's own
that fades over hours. Arrays are (S, BLOCK): stations, hours of the block.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daycast.sources.simulation.fronts import Synoptic, synoptic
from daycast.sources.simulation.noise import BLOCK, Floats, Purpose, red, remember
from daycast.sources.simulation.places import Network, places

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


def weather(network: Network, block: int) -> Values:
    """The truth of one block by variable, each (S, BLOCK), at the sensors' resolution.

    Resolution 0.1 °C, 1 %, 0.1 hPa, 0.1 m/s, 10° and 0.1 mm. Direction is 10 to 360, and 0 when calm (speed 0.0), as
    in METARs. Humidity is that of the rounded temperature and dew point.
    """
    large = synoptic(network, block)
    sun = _sun(network, block)
    noise = _Noise(network, block)
    air, dew = _air_and_dew(network, large, sun, noise)
    air_temperature, dew_point = _tenths(air), _tenths(dew)
    speed, direction = _wind(network, large, sun, noise)
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
    """Relative humidity over water [%] of air temperature and dew point [°C], by the Magnus formula.

    e = 6.1094 exp(17.625 t / (243.04 + t)) hPa: Alduchov & Eskridge 1996,
    doi
    10.1175/1520-0450(1996)035<0601:IMFAOS>2.0.CO;2.
    """
    dew, air = (17.625 * t / (243.04 + t) for t in (dew_point_c, air_temperature_c))
    return 100 * np.exp(dew - air)


@dataclass(frozen=True)
class _Sun:
    season: Floats  # -1 to 1: declination four weeks ago over its largest
    heat: Floats  # 0 to about 0.9: what the day's sun has left in the air (S, BLOCK)


@dataclass(frozen=True)
class _Noise:
    network: Network
    block: int

    def of(self, purpose: Purpose, size: float, hours: float) -> Floats:
        """Noise of the station's own with this standard deviation, which fades over `hours`."""
        first = self.block * BLOCK + 1
        return np.float32(size) * red(self.network.seed, purpose, self.network.stations, first, BLOCK, hours)


def _declination(hours: NDArray[np.floating]) -> NDArray[np.float64]:
    """Declination of the sun [rad] at absolute hours: Cooper 1969, doi 10.1016/0038-092X(69)90047-4."""
    tilted: NDArray[np.float64] = np.deg2rad(TILT_DEG) * np.sin(2 * np.pi * (hours / YEAR_HOURS - 80 / 365))
    return tilted


def _sun(network: Network, block: int) -> _Sun:
    """Season and the warmth of the day, from the sine of the solar elevation."""
    at = places(network)
    hours = block * BLOCK + 1.0 + np.arange(1 - WARMING_REACH, BLOCK)
    declination, turn = _declination(hours), 2 * np.pi * (hours / 24 - 0.5)  # 0 at noon in Greenwich
    latitude, longitude = np.deg2rad(at.latitude), np.deg2rad(at.longitude)
    elevation = (  # cos(turn + longitude) written out, so that no cosine is taken for each station and hour
        _column(np.sin(latitude)) * _row(np.sin(declination))
        + _column(np.cos(latitude) * np.cos(longitude)) * _row(np.cos(declination) * np.cos(turn))
        - _column(np.cos(latitude) * np.sin(longitude)) * _row(np.cos(declination) * np.sin(turn))
    )
    share = np.float32(1 - np.exp(-1 / WARMING_HOURS))
    season = _declination(hours[WARMING_REACH - 1 :] - SEASON_LAG_HOURS) / np.deg2rad(TILT_DEG)
    return _Sun(_row(season), share * remember(np.maximum(elevation, 0), WARMING_REACH, WARMING_HOURS))


def _air_and_dew(network: Network, large: Synoptic, sun: _Sun, noise: _Noise) -> tuple[Floats, Floats]:
    """Air temperature and dew point [°C]: a clear sky gives warm days and cold nights, a cloudy one moist air."""
    at = places(network)
    pole = np.sin(np.deg2rad(at.latitude))  # negative in the south: seasons are opposite
    mean = 27 - 33 * pole**2 - LAPSE_K_PER_M * at.elevation_m
    mass = _column(mean) + _column(10 * pole) * sun.season + large.temperature
    clear = 1 - large.cloud
    day = 6 * sun.heat - 0.5 + clear * (13 * sun.heat - 3.5)
    air = mass + day + noise.of(Purpose.TEMPERATURE, 0.8, 6.0)
    spread = air - (mass - 6 + 4 * large.cloud + noise.of(Purpose.DEW_POINT, 1.1, 9.0))
    above: Floats = (spread + np.sqrt(spread * spread + np.float32(0.3))) * np.float32(
        0.5
    )  # bends towards saturation, never beyond
    return air, air - above


def _wind(
    network: Network, large: Synoptic, sun: _Sun, noise: _Noise
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Speed [m/s] and the direction it comes from [°]: the large scale, gusts of hours, a little more by day."""
    gust = 0.7 + 0.06 * np.abs(large.poleward)  # rough air where the flow is strong
    east = large.east + gust * noise.of(Purpose.WIND_EAST, 1.3, 3.0)
    north = np.float32(np.copysign(1, network.latitude)) * large.poleward + gust * noise.of(
        Purpose.WIND_NORTH, 1.3, 3.0
    )
    exposure = _column(places(network).exposure)
    speed = _tenths(exposure * (0.8 + 0.5 * sun.heat) * np.sqrt(east * east + north * north))
    tens = np.rint(np.arctan2(-east, -north) * np.float32(18 / np.pi)).astype(np.float64)  # -18 to 18
    direction = np.where(speed == 0, 0.0, 10 * np.where(tens <= 0, tens + 36, tens))
    return speed, direction


def _rain(large: Synoptic, noise: _Noise) -> NDArray[np.float64]:
    """Rain of the hour [mm]: none unless front, cloud and chance together pass a threshold."""
    wet = 1.3 * large.rain + 1.6 * large.cloud + noise.of(Purpose.RAIN, 0.75, 2.5) - 1.8
    return _tenths(0.7 * np.square(np.maximum(wet, 0)))


def _tenths(values: Floats) -> NDArray[np.float64]:
    """Rounded to 0.1, each the double next to its decimal; adding 0.0 makes -0.0 plain zero."""
    rounded: NDArray[np.float64] = np.rint(values * np.float32(10)).astype(np.float64) / 10 + 0.0
    return rounded


def _column(values: NDArray[np.float64]) -> Floats:
    return values.astype(np.float32)[:, None]  # (S, 1)


def _row(values: NDArray[np.float64]) -> Floats:
    return values.astype(np.float32)[None, :]  # (1, hours)
