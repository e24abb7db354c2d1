"""How far a value may go before a check doubts it, by variable; every number can be set in the configuration.

SUSPECT is shown to analysts and still read by models, FAIL is not: a threshold of FAIL lies beyond any weather an hourly
network sees, one of SUSPECT where weather is rarer than faults. Published sources, named below where a number rests on them:

- WMO-305: Guide on the Global Data-Processing System (1993), page VI.21: between two hours air temperature moves up to 4 °C, dew
  point 4 °C, pressure 3 hPa; in three hours 9 °C, 8 °C, 9 hPa. Meant for a forecaster who looks again: too tight to flag alone.
- MADIS: NOAA's surface quality control (https://madis.ncep.noaa.gov/madis_sfc_qc_notes.shtml): between two hours up to 35 °F
  (19.4 °C), humidity 50 %, altimeter setting 10 hPa. Meant as outright failures.
- HadISD: Dunn et al. 2012 (doi 10.5194/cp-8-1649-2012), Table 4: so many equal values in a row are too many, in steps of 0.1 (1):
  air temperature and wind speed 24 (40), dew point 48 (80), pressure 72 (120); wind directions in steps of 1° 24, of 10° 48
  (https://hadisd.blogspot.com/2017/02). Meant as failures, most beyond the hours looked back on here.
- QARTOD: which checks there are, and that each has a threshold of suspicion and one of failure
  (https://ioos.noaa.gov/project/qartod/).
- Beijing: what these limits doubt of three years at twelve sites (doi 10.24432/C5RK5G), and of NOAA's ISD-Lite for a coast in
  Norway (011080) and a canyon mouth in Utah (725755), as they are and rounded to whole units, °F, inHg and knots: about 1 % a
  check at most.
"""

from dataclasses import dataclass, fields, replace

from daycast.errors import ConfigError
from daycast.quality.flags import LOOK_BACK_HOURS


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of one variable, in its unit where not said otherwise; None switches a check off.

    Raises ConfigError where a run of equal hours is not a whole number that fits in the hours looked back on.
    """

    rate_of_change: float | None = None  # further than this from each of the last three hours
    spike_suspect: float | None = None  # further than this from the hours on both sides, which agree
    spike_fail: float | None = None
    spike_between_at_or_below: float | None = None  # count a spike only where both sides are no higher than this
    flat_hours_suspect: float | None = None  # so many equal hourly values in a row, the last one included
    flat_hours_fail: float | None = None
    flat_hours_whole: float | None = None  # of a whole number, which coarse sensors repeat: so many, and only suspect
    flat_exempt_at_or_below: float | None = None  # values that may last for days: no rain, calm
    flat_exempt_at_or_above: float | None = None  # the same at the upper end: saturated air
    wind_at_least_m_s: float | None = None  # step, spike and flat line look only at hours of such wind
    climatology_deviations: float | None = None  # standard deviations from the mean of the station's own past months
    neighbour_difference: float | None = None  # further than this from each neighbour

    def __post_init__(self) -> None:
        """Refuse runs that no window can show."""
        for field in fields(self):
            hours = getattr(self, field.name)
            if field.name.startswith("flat_hours") and hours is not None and hours not in range(2, LOOK_BACK_HOURS + 2):
                raise ConfigError(
                    f"{field.name} is {hours:g}: give whole hours from 2 to {LOOK_BACK_HOURS + 1}, or switch it off"
                )


# Flat lines, where nothing else is said: so many hours that of those series, in °F, inHg or knots, about 1 % at most lies in such
# runs; 24 equal values with a fraction hardly occur (a dew point in °F: 0.02 %). Whole numbers last longer, and prove less.
_PRESSURE = Limits(
    rate_of_change=8.0,  # between WMO-305's 3 hPa and MADIS's 10
    spike_suspect=5.0,  # the nose of a thunderstorm is 1 to 5 hPa high and gone within the hour
    spike_fail=12.0,  # there and back: beyond MADIS both ways
    flat_hours_suspect=9,
    flat_hours_fail=24,
    flat_hours_whole=25,  # whole hPa in quiet weather: 0.7 % in Norway
    climatology_deviations=6.0,  # an Atlantic storm reaches 5; a tropical cyclone is suspected, and stays
)
DEFAULTS: dict[str, Limits] = {
    "air_temperature_c": Limits(
        rate_of_change=12.0,  # gust fronts of 10 to 11 °C were real in Beijing; MADIS fails at 19.4
        spike_suspect=6.0,  # WMO-305's 4 °C one way; nothing in Beijing left and came back by 6
        spike_fail=15.0,  # twice what a thunderstorm does, both ways
        flat_hours_suspect=10,
        flat_hours_fail=24,  # HadISD
        flat_hours_whole=22,
        climatology_deviations=6.0,  # with one month to go by, a mild coast in Norway went beyond 5 in 0.6 % of all hours
        neighbour_difference=12.0,  # a cold pool below its slopes is 10 °C colder, seldom than every neighbour
    ),
    "dew_point_c": Limits(
        rate_of_change=15.0,  # dry fronts of 15 to 20 °C are real; MADIS fails at 19.4
        spike_suspect=7.0,  # moves more than air: a little wider
        spike_fail=18.0,  # the one in Beijing fell to -43 °C for an hour while eleven sites stayed at -20
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
        flat_hours_suspect=8,  # in whole per cent, the usual resolution
        flat_hours_fail=24,
        flat_exempt_at_or_above=95.0,  # fog, as an aged sensor shows it
    ),
    # 10 hPa in 100 km is the gradient of a hurricane.
    "sea_level_pressure_hpa": replace(_PRESSURE, neighbour_difference=10.0),
    "station_pressure_hpa": _PRESSURE,
    "wind_speed_m_s": Limits(
        rate_of_change=12.0,  # a squall, as a mean of ten minutes, adds about 10; none in Beijing
        spike_suspect=10.0,
        spike_fail=30.0,  # no squall rises from calm to the strength of a hurricane and back
        flat_hours_suspect=8,
        flat_hours_fail=24,
        flat_hours_whole=10,
        flat_exempt_at_or_below=1.0,  # calm, and cups that just turn
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
        wind_at_least_m_s=2.0,  # below, vanes stand still or wander
    ),
    "precipitation_mm": Limits(
        spike_suspect=20.0,  # dry, a cloudburst, dry again: two in Beijing, so never more than suspected
        spike_between_at_or_below=0.0,
        flat_hours_suspect=6,  # rain that is steady to the tenth; gauges that tip by whole millimetres may be
        flat_hours_fail=12,
        flat_hours_whole=12,
        flat_exempt_at_or_below=1.0,
    ),
}
