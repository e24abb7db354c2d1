"""The thresholds of the checks, by variable. The configuration can change each of them ([quality]).

Analysts see SUSPECT values and models still read them; models do not read FAIL values. So a FAIL threshold lies beyond any
weather that an hourly network sees, and a SUSPECT threshold lies where faults are more common than weather. The numbers below
name these sources where they rest on them:

- WMO-305: Guide on the Global Data-Processing System (1993), page VI.21: air temperature changes by at most 4 °C from one hour to
  the next, dew point by 4 °C, pressure by 3 hPa; within three hours by 9 °C, 8 °C and 9 hPa. These limits make a forecaster look
  again; they are too tight to flag a value on their own.
- MADIS: NOAA's surface quality control (https://madis.ncep.noaa.gov/madis_sfc_qc_notes.shtml): from one hour to the next at most
  35 °F (19.4 °C), humidity 50 %, altimeter setting 10 hPa. Values beyond these fail.
- HadISD: Dunn et al. 2012 (doi 10.5194/cp-8-1649-2012), Table 4: longest runs of equal values, at a resolution of 0.1 (of 1): air
  temperature and wind speed 24 (40), dew point 48 (80), pressure 72 (120); wind direction 24 at 1°, 48 at 10°
  (https://hadisd.blogspot.com/2017/02). Longer runs fail. Most are longer than the hours that daycast looks back.
- QARTOD: the list of checks, each with a suspect and a fail threshold (https://ioos.noaa.gov/project/qartod/).
- Beijing: measured here. With these limits each check flags about 1 % of the values at most, in three years at twelve sites
  (doi 10.24432/C5RK5G) and in NOAA's ISD-Lite for a coast in Norway (011080) and a canyon mouth in Utah (725755), both as
  published and rounded to whole units, °F, inHg and knots.
"""

from dataclasses import dataclass, fields, replace

from daycast.errors import ConfigError
from daycast.quality.flags import LOOK_BACK_HOURS


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of one variable, in its unit unless the comment says otherwise. None switches a check off.

    Raises ConfigError if a flat_hours threshold is not a whole number from 2 to LOOK_BACK_HOURS + 1.
    """

    rate_of_change: float | None = None  # largest difference from at least one of the last three hours
    spike_suspect: float | None = None  # largest difference from both the hour before and the hour after
    spike_fail: float | None = None
    spike_between_at_or_below: float | None = None  # a spike counts only if both sides are at or below this
    flat_hours_suspect: float | None = None  # number of equal hourly values in a row, the last one included
    flat_hours_fail: float | None = None
    flat_hours_whole: float | None = None  # the same for whole numbers, which coarse sensors repeat; suspect only
    flat_exempt_at_or_below: float | None = None  # values that may last for days: no rain, calm
    flat_exempt_at_or_above: float | None = None  # the same at the upper end: saturated air
    wind_at_least_m_s: float | None = None  # rate_of_change, spike and flat line skip hours with less wind
    climatology_deviations: float | None = None  # in standard deviations from the mean of the station's past months
    neighbour_difference: float | None = None  # largest difference from the closest neighbour

    def __post_init__(self) -> None:
        """Refuse run lengths that do not fit into the look-back window."""
        for field in fields(self):
            hours = getattr(self, field.name)
            if field.name.startswith("flat_hours") and hours is not None and hours not in range(2, LOOK_BACK_HOURS + 2):
                raise ConfigError(
                    f"{field.name} is {hours:g}: give whole hours from 2 to {LOOK_BACK_HOURS + 1}, or switch it off"
                )


# Unless a comment says otherwise, a flat_hours threshold is so long that at most about 1 % of the values of those series
# (in °F, inHg or knots) lie in such runs. Runs of 24 equal fractional values hardly occur (dew point in °F: 0.02 %). Whole
# numbers repeat for longer and prove less.
_PRESSURE = Limits(
    rate_of_change=8.0,  # between WMO-305's 3 hPa and MADIS's 10
    spike_suspect=5.0,  # the nose of a thunderstorm is 1 to 5 hPa high and gone within the hour
    spike_fail=12.0,  # up and down again, each beyond MADIS
    flat_hours_suspect=9,
    flat_hours_fail=24,
    flat_hours_whole=25,  # whole hPa in quiet weather: 0.7 % in Norway
    climatology_deviations=6.0,  # an Atlantic storm reaches 5; a tropical cyclone becomes suspect, and models still read it
)
DEFAULTS: dict[str, Limits] = {
    "air_temperature_c": Limits(
        rate_of_change=12.0,  # Beijing had real gust fronts of 10 to 11 °C; MADIS fails at 19.4
        spike_suspect=6.0,  # WMO-305: 4 °C one way; no value in Beijing left by 6 and returned
        spike_fail=15.0,  # twice what a thunderstorm does, both ways
        flat_hours_suspect=10,
        flat_hours_fail=24,  # HadISD
        flat_hours_whole=22,
        climatology_deviations=6.0,  # with one month of history, 0.6 % of the hours on a mild Norwegian coast exceed 5
        neighbour_difference=12.0,  # a cold pool is 10 °C colder than the slopes, rarely colder than every neighbour
    ),
    "dew_point_c": Limits(
        rate_of_change=15.0,  # dry fronts of 15 to 20 °C are real; MADIS fails at 19.4
        spike_suspect=7.0,  # the dew point varies more than the air temperature
        spike_fail=18.0,  # the one case in Beijing fell to -43 °C for an hour while eleven sites stayed at -20
        flat_hours_suspect=10,
        flat_hours_fail=24,
        flat_hours_whole=18,
        climatology_deviations=6.0,
        neighbour_difference=12.0,
    ),
    "relative_humidity_pct": Limits(
        rate_of_change=50.0,  # MADIS
        spike_suspect=30.0,
        spike_fail=70.0,  # a pulse of foehn takes 60 % and gives it back
        flat_hours_suspect=8,  # at the usual resolution, whole per cent
        flat_hours_fail=24,
        flat_exempt_at_or_above=95.0,  # fog, as an aged sensor reports it
    ),
    # 10 hPa in 100 km is the gradient of a hurricane.
    "sea_level_pressure_hpa": replace(_PRESSURE, neighbour_difference=10.0),
    "station_pressure_hpa": _PRESSURE,
    "altimeter_setting_hpa": replace(_PRESSURE, neighbour_difference=10.0),
    "wind_speed_m_s": Limits(
        rate_of_change=12.0,  # a squall, as a mean of ten minutes, adds about 10; none in Beijing
        spike_suspect=10.0,
        spike_fail=30.0,  # no squall rises from calm to hurricane strength and falls back
        flat_hours_suspect=8,
        flat_hours_fail=24,
        flat_hours_whole=10,
        flat_exempt_at_or_below=1.0,  # calm, and cup anemometers that barely turn
    ),
    "wind_gust_m_s": Limits(
        spike_suspect=20.0,  # a downburst is one hour's gust: suspected at most
        flat_hours_suspect=10,
        flat_hours_fail=24,
        flat_hours_whole=12,
        flat_exempt_at_or_below=3.0,
    ),
    "wind_from_deg": Limits(
        spike_suspect=75.0,  # a turn by a quarter and back while wind blows: 0.9 % at the canyon, the most of any series
        flat_hours_suspect=15,  # a canyon holds one of 36 directions for 12 hours in 3 % of all hours, for 15 in 0.4 %
        wind_at_least_m_s=2.0,  # in less wind, vanes stand still or wander
    ),
    "precipitation_mm": Limits(
        spike_suspect=20.0,  # dry, a cloudburst, dry again: Beijing had two, so it is never more than suspect
        spike_between_at_or_below=0.0,
        flat_hours_suspect=6,  # rain steady to a tenth; gauges that tip by whole millimetres may repeat for longer
        flat_hours_fail=12,
        flat_hours_whole=12,
        flat_exempt_at_or_below=1.0,
    ),
}
