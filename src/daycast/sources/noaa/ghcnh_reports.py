"""From the lines of a GHCNh file to reports, whose values are in daycast's units already.

Format: NOAA, GHCNh documentation 1.1.0 (10 March 2026), section III and table 1,
https://www.ncei.noaa.gov/oa/global-historical-climatology-network/hourly/doc/ghcnh_DOCUMENTATION.pdf
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from daycast.sources.noaa.ghcnh_columns import has_right_width, read_columns
from daycast.sources.noaa.ghcnh_precipitation import last_of_each_hour, total_of_report
from daycast.sources.noaa.ghcnh_quality import is_bad, without_words
from daycast.sources.noaa.ghcnh_times import TIME_COLUMNS, observed_at, written_time
from daycast.sources.noaa.station_year import Reports, StationYear, is_of_another_year
from daycast.sources.tables.problems import Complaint
from daycast.sources.tables.text_values import parse_number
from daycast.sources.tables.units import says_no_direction

COLUMNS = {  # by variable
    "air_temperature_c": "temperature",
    "dew_point_c": "dew_point_temperature",
    "relative_humidity_pct": "relative_humidity",
    "sea_level_pressure_hpa": "sea_level_pressure",
    "station_pressure_hpa": "station_level_pressure",
    "wind_speed_m_s": "wind_speed",
    "wind_gust_m_s": "wind_gust",  # missing where no gust was worth a word
    "wind_from_deg": "wind_direction",
    "precipitation_mm": "precipitation",  # of the past hour; those of 3 to 24 hours would count hours again
}
_DIRECTION, _RAIN = COLUMNS["wind_from_deg"], COLUMNS["precipitation_mm"]
_CODES = ("measurement_code", "quality_code", "report_type", "source_code")
_MISSING = (-9999.0, -999.9, 9999.0, 9999.9, 99999.0)
_NO_DIRECTION = (0.0, 999.0)  # calm, variable
_CALM_OR_VARIABLE = ("C", "V")  # measurement codes of the wind


@dataclass(frozen=True)
class _Table:
    """The rows of a file, cut into columns: `text` as it came, `number` what is one in it."""

    line: pl.Series
    misshapen: pl.Series  # has not as many fields as the header, so that any of them may be another's
    text: pl.DataFrame
    number: pl.DataFrame


def read_ghcnh(lines: pl.Series, piece: StationYear, bad_codes: Mapping[str, tuple[str, ...]]) -> Reports:
    """The reports in `lines`, the first of which is the header; times are UTC, of any minute.

    Missing is a value with one of the `bad_codes`, and the direction of calm or variable wind. Rows without any of COLUMNS are
    left out: a file has a row for whatever was reported. Raises SourceError for what is no such file.
    """
    table = _read_table(lines, piece.origin)
    observed = table.text.select(observed_at()).to_series()
    values = pl.select(observed, *(_value(table, variable, bad_codes) for variable in COLUMNS))
    rain = last_of_each_hour(pl.col("precipitation_mm"), pl.col("observed_at"))
    return Reports(
        values=values.with_columns(precipitation_mm=rain),
        raw=table.line.to_frame("line"),
        complaints=[
            Complaint("line", table.misshapen, table.line, "has not as many fields as the header"),
            *_complaints_about_keys(table, observed, piece),
            *_complaints_about_values(table),
        ],
    )


def _read_table(lines: pl.Series, origin: str) -> _Table:
    codes = [f"{column}_{code}" for column in COLUMNS.values() for code in _CODES]
    text = read_columns(lines, ["station"], [*TIME_COLUMNS, *COLUMNS.values(), *codes], origin)
    misshapen = ~has_right_width(lines)
    says = misshapen | text.select(pl.any_horizontal(pl.col(*COLUMNS.values()).is_not_null())).to_series()
    text = text.filter(says)
    number = text.select(parse_number(pl.col(column), ".").alias(column) for column in COLUMNS.values())
    return _Table(lines.slice(1).filter(says), misshapen.filter(says), text, number)


def _value(table: _Table, variable: str, bad_codes: Mapping[str, tuple[str, ...]]) -> pl.Series:
    column = COLUMNS[variable]
    measurement, quality, report, source = (pl.col(f"{column}_{code}") for code in _CODES)
    number = pl.lit(table.number[column])
    good = ~pl.lit(table.misshapen) & ~number.is_in(_MISSING) & ~is_bad(quality, source, bad_codes)
    value: pl.Expr = pl.when(good).then(number)
    if column == _DIRECTION:
        known = ~number.is_in(_NO_DIRECTION) & ~without_words(measurement).is_in(_CALM_OR_VARIABLE).fill_null(
            value=False
        )
        value = pl.when(known).then(value)
    if column == _RAIN:
        value = total_of_report(value, measurement, report)
    return table.text.select(value.alias(variable)).to_series()


def _complaints_about_keys(table: _Table, observed: pl.Series, piece: StationYear) -> list[Complaint]:
    station, written = table.text["station"], table.text.select(written_time()).to_series()
    stranger = station.ne_missing(pl.Series([piece.station])) & ~table.misshapen
    other_year = is_of_another_year(observed, piece.year) & ~table.misshapen
    return [
        Complaint("STATION", stranger, station, f"not {piece.station}, which the file is named after"),
        Complaint("DATE", observed.is_null() & ~table.misshapen, written, "no such time"),
        Complaint("DATE", other_year, written, f"not of {piece.year}, which the file is named after"),
    ]


def _complaints_about_values(table: _Table) -> list[Complaint]:
    complaints = []
    for column in COLUMNS.values():
        text = table.text[column]
        unreadable = text.is_not_null() & table.number[column].is_null() & ~table.misshapen
        if column == _DIRECTION:
            unreadable &= ~table.text.select(says_no_direction(pl.col(column)).fill_null(value=False)).to_series()
        complaints.append(Complaint(column, unreadable, text, "no finite number"))
    return complaints
