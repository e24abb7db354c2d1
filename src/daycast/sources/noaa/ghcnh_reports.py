"""From the lines of a GHCNh file to reports, whose values are already in daycast's units.

Format and codes: NOAA, GHCNh documentation 1.1.0 (10 March 2026), sections III and VI, tables 1 and 3,
https://www.ncei.noaa.gov/oa/global-historical-climatology-network/hourly/doc/ghcnh_DOCUMENTATION.pdf Condition codes of
precipitation from older sources: NOAA, Integrated Surface Dataset format document,
https://www.ncei.noaa.gov/pub/data/noaa/isd-format-document.pdf

Order: columns, times, quality codes, precipitation, and at the end `read_ghcnh`, which puts them together.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Annotated

import polars as pl
from pydantic import BeforeValidator, StringConstraints

from daycast.errors import SourceError, listed
from daycast.features.hourly import full_hour_after
from daycast.sources.batch import Problem
from daycast.sources.noaa.station_years import TRACE_MM, Reports, StationYear, instant, is_of_another_year
from daycast.sources.tables.short_forms import list_if_bare
from daycast.sources.tables.units import says_no_direction
from daycast.sources.tables.values import parse_number, strip_missing

_SEPARATOR = "|"
_ALSO = {"station_id": "station"}  # the name in format 1.0: the name in format 1.1


def split_fields(line: str) -> list[str]:
    """The names in a header, or the fields of a row, without surrounding blanks."""
    return [field.strip() for field in line.split(_SEPARATOR)]


def column_names(header: str) -> list[str]:
    """The names of the columns, in lower case and as format 1.1 spells them."""
    folded = [name.casefold() for name in split_fields(header)]
    return [_ALSO.get(name, name) for name in folded]


def read_columns(lines: pl.Series, needed: Collection[str], wanted: Collection[str], origin: str) -> pl.DataFrame:
    """The columns `needed` and `wanted` of the table in `lines`, whose first line is the header: text, null where empty.

    A wanted column that does not exist is null. Each line is a row; quotation marks mean nothing, because remarks are full
    of them. Raises SourceError naming `origin` and a needed column that does not exist, or any column that exists twice.
    """
    header = column_names(lines[0])
    names = [*needed, *wanted]
    lacking = [name for name in needed if name not in header]
    if lacking:
        raise SourceError(
            f"{origin} is not a GHCNh file: it has no column {lacking[0]!r} in its header {listed(split_fields(lines[0]))}"
        )
    repeated = [name for name in names if header.count(name) > 1]
    if repeated:
        raise SourceError(f"{origin} has more than one column {repeated[0]!r}; so it is unclear which one is meant")
    table = _table(lines, [header.index(name) for name in names if name in header], len(header))
    absent = [pl.lit(None, pl.String).alias(name) for name in names if name not in header]
    existing = [strip_missing(pl.col(f"c{header.index(name)}"), ()).alias(name) for name in names if name in header]
    return table.select(existing).with_columns(absent).select(names)


def has_right_width(lines: pl.Series) -> pl.Series:
    """Which lines after the header have as many fields as the header."""
    separators = lines.str.count_matches(_SEPARATOR, literal=True)
    return separators.slice(1) == separators[0]


def _table(lines: pl.Series, positions: list[int], width: int) -> pl.DataFrame:
    """The columns c0, c1 … at these positions, under a header of our own, in which no name stands twice."""
    header = _SEPARATOR.join(f"c{index}" for index in range(width))
    text = pl.concat([pl.Series("line", [header]), lines.slice(1)]).str.join("\n").item()
    return pl.read_csv(
        text.encode(),
        separator=_SEPARATOR,
        quote_char=None,
        infer_schema=False,
        truncate_ragged_lines=True,
        columns=[f"c{index}" for index in sorted(set(positions))],
    )


TIME_COLUMNS = ("date", "year", "month", "day", "hour", "minute")


def written_time() -> pl.Expr:
    """The time as it is written."""
    parts = pl.concat_str(TIME_COLUMNS[1:], separator=" ", ignore_nulls=True)
    return pl.coalesce("date", parts)


def observed_at() -> pl.Expr:
    """The instant (UTC_TIME) as a column "observed_at", null if the columns show none.

    It is a date in ISO 8601 or, in files of all years, its parts; always UTC.
    """
    from_date = instant(pl.col("date").str.strip_suffix("Z"), "%Y-%m-%dT%H:%M:%S")
    parts = pl.concat_str(TIME_COLUMNS[1:], separator=" ")
    return pl.coalesce(from_date, instant(parts, "%Y %m %d %H %M")).alias("observed_at")


ANY_SOURCE = "any"
_SUSPECT_OR_ERRONEOUS = "2367"
_FAILED_A_CHECK = ascii_lowercase  # a letter for each check that is applied to all sources
# the same in format 1.0; its C and U are not listed, because they mean good values in older codes
_FAILED_A_CHECK_BEFORE = "DEFHKLNSTVW"
_OLD_NETWORKS = ("220", "221", "222", "223", "347", "348")
_REMOVED = "5"  # in old networks; elsewhere it means that every check was passed
_HOURLY_PRECIPITATION = "382"
_NOT_OF_ONE_HOUR = "XNYKOZMDQRA"  # in that network: beyond extremes, or a total of several hours

Codes = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]$")], ...], BeforeValidator(list_if_bare)
]
QualityCodes = dict[Annotated[str, StringConstraints(pattern=rf"^(\d+|{ANY_SOURCE})$")], Codes]

BAD_QUALITY_CODES: Mapping[str, tuple[str, ...]] = {
    ANY_SOURCE: tuple(_SUSPECT_OR_ERRONEOUS + _FAILED_A_CHECK + _FAILED_A_CHECK_BEFORE),
    **dict.fromkeys(_OLD_NETWORKS, (_REMOVED,)),
    _HOURLY_PRECIPITATION: tuple(_NOT_OF_ONE_HOUR),
}


def is_bad(quality: pl.Expr, source: pl.Expr, codes: Mapping[str, tuple[str, ...]]) -> pl.Expr:
    """True if any code in `quality` is one of ANY_SOURCE's codes, or of those of the value's `source`; False without a code.

    NOAA, or the source it had the value from, found these values wrong. What a code means depends on the source. Words may
    follow a code, as in "7-Erroneous".
    """
    code = without_words(quality).fill_null("")
    bad = [
        (pl.lit(value=True) if of == ANY_SOURCE else source == of) & code.str.contains(f"[{''.join(letters)}]")
        for of, letters in codes.items()
        if letters
    ]
    return pl.any_horizontal(pl.lit(value=False), *bad).fill_null(value=False)


def without_words(code: pl.Expr) -> pl.Expr:
    """The code alone if words follow it after a hyphen; null if there is none."""
    return code.str.extract(r"^\s*([^-\s]+)")


_TRACE = ("2", "T")
_CODES_NOT_OF_ONE_HOUR = tuple("145678IJg")  # not measured, accumulated, deleted, missing, incomplete
_SPECIAL = r"(?i)FM-?16|SPECI"  # report types


def total_of_report(amount: pl.Expr, measurement: pl.Expr, report: pl.Expr) -> pl.Expr:
    """The precipitation [mm] that a report states for about the last hour; null if it is of another time.

    A routine report states what fell since the last routine one. A special report between the two states what fell so far,
    so adding it would count rain twice. Code 3, which the older format calls the begin of an accumulation, is kept: whole
    networks write it with all of their rain.
    """
    code = without_words(measurement)
    accumulated = code.is_in(_CODES_NOT_OF_ONE_HOUR) | measurement.str.contains("accum", literal=True)
    special = report.str.contains(_SPECIAL)
    elsewhere = (accumulated | special).fill_null(value=False)
    trace = code.is_in(_TRACE).fill_null(value=False) & amount.is_not_null()
    return pl.when(elsewhere.not_()).then(pl.when(trace).then(TRACE_MM).otherwise(amount))


def last_of_each_hour(amount: pl.Expr, observed_at: pl.Expr) -> pl.Expr:
    """`amount` where it is the last one in (h - 1 h, h], null elsewhere; all rows are of one station.

    Reports of several networks in one hour state the same rain, and hourly totals are the sum of what we hand over.
    """
    last = pl.when(amount.is_not_null()).then(observed_at).max().over(full_hour_after(observed_at))
    return pl.when(observed_at == last).then(amount)


COLUMNS = {  # by variable
    "air_temperature_c": "temperature",
    "dew_point_c": "dew_point_temperature",
    "relative_humidity_pct": "relative_humidity",
    "sea_level_pressure_hpa": "sea_level_pressure",
    "station_pressure_hpa": "station_level_pressure",
    "wind_speed_m_s": "wind_speed",
    "wind_gust_m_s": "wind_gust",  # missing if no gust was worth reporting
    "wind_from_deg": "wind_direction",
    "precipitation_mm": "precipitation",  # of the past hour; totals of 3 to 24 hours would count hours again
}
_DIRECTION, _RAIN = COLUMNS["wind_from_deg"], COLUMNS["precipitation_mm"]
_CODES = ("measurement_code", "quality_code", "report_type", "source_code")
_MISSING = (-9999.0, -999.9, 9999.0, 9999.9, 99999.0)
_NO_DIRECTION = (0.0, 999.0)  # calm, variable
_CALM_OR_VARIABLE = ("C", "V")  # measurement codes of the wind


@dataclass(frozen=True)
class _Table:
    """The rows of a file in columns: `text` as written, `number` with the text that is a number."""

    line: pl.Series
    misshapen: pl.Series  # has more or fewer fields than the header, so any value may be of another column
    text: pl.DataFrame
    number: pl.DataFrame


def read_ghcnh(lines: pl.Series, station_year: StationYear, bad_codes: Mapping[str, tuple[str, ...]]) -> Reports:
    """The reports in `lines`, the first of which is the header; times are UTC, at any minute.

    A value with one of the `bad_codes` counts as missing, and so does the direction of calm or variable wind. Rows without a
    value in any of COLUMNS are left out: a file has a row for whatever was reported. Raises SourceError for what is no such
    file.
    """
    table = _read_table(lines, station_year.origin)
    observed = table.text.select(observed_at()).to_series()
    values = pl.select(observed, *(_value(table, variable, bad_codes) for variable in COLUMNS))
    rain = last_of_each_hour(pl.col("precipitation_mm"), pl.col("observed_at"))
    return Reports(
        values=values.with_columns(precipitation_mm=rain),
        raw=table.line.to_frame("line"),
        problems=[
            Problem("line", table.misshapen, table.line, "has not as many fields as the header"),
            *_key_problems(table, observed, station_year),
        ],
        bad_values=_bad_values(table),
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


def _key_problems(table: _Table, observed: pl.Series, station_year: StationYear) -> list[Problem]:
    station, written = table.text["station"], table.text.select(written_time()).to_series()
    stranger = station.ne_missing(pl.Series([station_year.station])) & ~table.misshapen
    other_year = is_of_another_year(observed, station_year.year) & ~table.misshapen
    return [
        Problem("STATION", stranger, station, f"not {station_year.station}, which the file is named after"),
        Problem("DATE", observed.is_null() & ~table.misshapen, written, "no such time"),
        Problem("DATE", other_year, written, f"not of {station_year.year}, which the file is named after"),
    ]


def _bad_values(table: _Table) -> list[Problem]:
    problems = []
    for column in COLUMNS.values():
        text = table.text[column]
        unreadable = text.is_not_null() & table.number[column].is_null() & ~table.misshapen
        if column == _DIRECTION:
            unreadable &= ~table.text.select(says_no_direction(pl.col(column)).fill_null(value=False)).to_series()
        problems.append(Problem(column, unreadable, text, "no finite number"))
    return problems
