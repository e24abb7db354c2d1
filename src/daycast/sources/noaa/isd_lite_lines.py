"""The lines of ISD-Lite: fixed columns of whole numbers, most of them tenths.

Format: NOAA, Integrated Surface Data - Lite, Format Documentation, 20 June 2006,
https://www.ncei.noaa.gov/pub/data/noaa/isd-lite/isd-lite-format.txt
"""

import polars as pl

from daycast.sources.noaa.station_year import TRACE_MM, Reports, instant, is_of_another_year
from daycast.sources.tables.problems import Complaint

_LENGTH = 61  # characters of a line
_MISSING = -9999
_TRACE = -1
_CALM = 0  # the direction of calm air; wind from the north is 360
_TIME_LENGTH = 13  # "2024 01 31 23"
_WIDTH = 6  # characters of every further field
_FIELDS = (
    "air_temperature_c",  # in tenths, as all but the direction
    "dew_point_c",
    "sea_level_pressure_hpa",
    "wind_from_deg",
    "wind_speed_m_s",
    "sky condition",  # not used
    "precipitation_mm",  # of the hour that ends then
    "precipitation of 6 h",  # not used: it counts hours again
)


def read_isd_lite(lines: pl.Series, year: int | None) -> Reports:
    """The reports in `lines` of one station, all of which should be of `year`; their times are UTC, on the hour."""
    text = lines.str.strip_chars_end()
    time = text.str.slice(0, _TIME_LENGTH)
    observed = pl.select(instant(pl.lit(time) + " 00", "%Y %m %d %H %M")).to_series()
    numbers = _numbers(text)
    malformed = (text.str.len_chars() != _LENGTH) | numbers.select(pl.any_horizontal(pl.all().is_null())).to_series()
    no_time = ~malformed & observed.is_null()
    other_year = is_of_another_year(observed, year)
    return Reports(
        values=_values(numbers).insert_column(0, observed.alias("observed_at")),
        raw=lines.to_frame("line"),
        complaints=[
            Complaint("line", malformed, lines, f"no line of ISD-Lite, which has 12 numbers on {_LENGTH} characters"),
            Complaint("line", no_time, time, "no such time"),
            Complaint("line", other_year, time, f"not of {year}, which the file is named after"),
        ],
    )


def _numbers(text: pl.Series) -> pl.DataFrame:
    """_FIELDS as whole numbers, null where there is none; each stands at the right of its columns."""
    fields = (
        text.str.slice(_TIME_LENGTH + _WIDTH * index, _WIDTH)
        .str.strip_chars_start()
        .cast(pl.Int32, strict=False)
        .alias(name)
        for index, name in enumerate(_FIELDS)
    )
    return pl.DataFrame(list(fields))


def _values(numbers: pl.DataFrame) -> pl.DataFrame:
    """The variables [daycast's units], null where missing."""
    tenths = pl.col("air_temperature_c", "dew_point_c", "sea_level_pressure_hpa", "wind_speed_m_s")
    rain, direction = pl.col("precipitation_mm"), pl.col("wind_from_deg")
    present = numbers.with_columns(pl.when(pl.all() != _MISSING).then(pl.all()))
    return present.select(
        _from_tenths(tenths),
        pl.when(direction != _CALM).then(direction).cast(pl.Float64),
        pl.when(rain == _TRACE).then(TRACE_MM).otherwise(_from_tenths(rain)).alias("precipitation_mm"),
    )


def _from_tenths(number: pl.Expr) -> pl.Expr:
    """Rounded because polars multiplies by 0.1, and 61 tenths should be the same 6.1 as any other source's."""
    return (number / 10).round(1)
