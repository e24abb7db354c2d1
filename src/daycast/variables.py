"""The glossary of measured quantities: name, unit, physical limits, and how readings become an hourly value.

The limits are beyond anything a working sensor on Earth's surface reports: a value outside them is an encoding or unit error,
not weather. They lie outside the records kept by the WMO World Weather & Climate Extremes Archive (https://wmo.asu.edu/content/world-meteorological-organization-global-weather-climate-extremes-archive).
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Variable:
    """One measured quantity; `name` ends in its unit. See `BUILT_IN` for those that need no configuration."""

    name: str
    label: str
    unit: str
    valid_min: float  # in `unit`; a reading below is an error, not weather
    valid_max: float  # in `unit`; a reading above is an error, not weather
    cell_method: Literal["point", "sum", "mean", "maximum"] = (
        "point"  # CF: the value at the hour, or the sum, mean or maximum of the hour that ends there
    )
    circular: bool = False  # a direction: 359° and 1° are neighbours
    target: bool = True  # False: an input of the model that is not forecast
    saturates_at: float | None = None  # forecasts are capped here, though a sensor may report more
    trace: float = 0.0  # forecasts below this become zero

    @property
    def outside(self) -> str:
        """The words for a value beyond the limits, such as `outside -95 to 65 °C`."""
        return f"outside {self.valid_min:g} to {self.valid_max:g} {self.unit}"

    def is_outside(self, value: float) -> bool:
        """Whether a value is beyond the limits."""
        return not self.valid_min <= value <= self.valid_max


_BUILT_IN = (
    Variable("air_temperature_c", "air temperature", "°C", -95.0, 65.0),
    Variable("dew_point_c", "dew point", "°C", -100.0, 45.0),
    Variable("relative_humidity_pct", "relative humidity", "%", 0.0, 110.0, saturates_at=100.0),
    Variable("sea_level_pressure_hpa", "sea-level pressure", "hPa", 850.0, 1100.0),
    Variable("station_pressure_hpa", "station pressure", "hPa", 400.0, 1100.0),
    Variable("wind_speed_m_s", "wind speed", "m/s", 0.0, 120.0),
    Variable("wind_gust_m_s", "wind gust", "m/s", 0.0, 150.0, cell_method="maximum"),
    Variable("wind_from_deg", "wind direction", "°", 0.0, 360.0, circular=True, target=False),
    Variable("precipitation_mm", "precipitation", "mm", 0.0, 350.0, cell_method="sum", trace=0.05),
)
BUILT_IN: dict[str, Variable] = {variable.name: variable for variable in _BUILT_IN}
_IF_MAPPED = (Variable("altimeter_setting_hpa", "altimeter setting", "hPa", 850.0, 1100.0, target=False),)
# need no declaration either, and are variables of a network only if one of its sources maps them
IF_MAPPED: dict[str, Variable] = {variable.name: variable for variable in _IF_MAPPED}


def flag_column(variable: str) -> str:
    """The column of `observations` that holds the quality flag of `variable`."""
    return f"{variable}_flag"


def check_column(variable: str) -> str:
    """The column of `observations` that names the check which set the flag of `variable`; null if no check objected."""
    return f"{variable}_check"
