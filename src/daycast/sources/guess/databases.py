"""The `[[sources]]` table for an SQLite database of a known program: WeeWX, or Home Assistant."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from daycast.errors import SourceError, listed
from daycast.sources.guess.columns import Mapped, find_variables

_SQLITE = b"SQLite format 3\x00"
_TABLES = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%' order by name"
_WEEWX = {  # by variable: a column of `archive`, and what is selected of it
    "air_temperature_c": ("outTemp", "if(usUnits = 1, (outTemp - 32) / 1.8, outTemp)"),
    "dew_point_c": ("dewpoint", "if(usUnits = 1, (dewpoint - 32) / 1.8, dewpoint)"),
    "relative_humidity_pct": ("outHumidity", "outHumidity"),
    "sea_level_pressure_hpa": ("barometer", "if(usUnits = 1, barometer * 33.86389, barometer)"),
    "station_pressure_hpa": ("pressure", "if(usUnits = 1, pressure * 33.86389, pressure)"),
    "wind_speed_m_s": ("windSpeed", "windSpeed * case usUnits when 1 then 0.44704 when 16 then 1 / 3.6 else 1 end"),
    "wind_gust_m_s": ("windGust", "windGust * case usUnits when 1 then 0.44704 when 16 then 1 / 3.6 else 1 end"),
    "wind_from_deg": ("windDir", "windDir"),
    "precipitation_mm": ("rain", "rain * case usUnits when 1 then 25.4 when 16 then 10 else 1 end"),
}
_WEEWX_QUERY = """select
    to_timestamp(dateTime) as observed,
    {columns}
from weewx.archive
where dateTime > epoch($since)::bigint and dateTime <= epoch($until)::bigint
order by dateTime
"""
_HOME_QUERY = """with hours as (
    select
        start_ts,
        statistic_id,
        mean,
        sum - lag(sum) over (partition by statistic_id order by start_ts) as rise
    from ha.statistics as s
    join ha.statistics_meta as m on m.id = s.metadata_id
    where start_ts > epoch($since) - 7200 and start_ts + 3600 <= epoch($until)
)
select
    to_timestamp(start_ts + 3600) as observed,
    {columns}
from hours
group by all
order by observed
"""


@dataclass(frozen=True)
class DatabaseTable:
    """Settings of a source of kind "sql", what is a guess about them, and the program whose database it is."""

    settings: dict[str, Any]
    doubts: dict[str, str]
    program: str


def is_sqlite(path: Path) -> bool:
    """Whether a file is an SQLite database. False for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def propose_database(path: Path, address: str) -> DatabaseTable:
    """The source that reads an SQLite database; `address` is its path in the configuration.

    Raises SourceError naming its tables if it is of no known program, and for one that cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)) as con:
            tables = {name: _columns(con, name) for (name,) in con.execute(_TABLES)}
            if {"dateTime", "usUnits"} <= {*tables.get("archive", ())}:
                return _weewx(tables["archive"], address)
            if {"start_ts", "mean"} <= {*tables.get("statistics", ())} and "statistics_meta" in tables:
                return _home_assistant(con, path, address)
    except sqlite3.Error as error:
        raise SourceError(f"{path.name} is an SQLite database that cannot be read: {error}") from None
    raise SourceError(
        f"{path.name} is an SQLite database of no program that daycast knows (tables: {listed(tables) or 'none'}): "
        '`daycast guide databases` shows how kind = "sql" reads it by a query'
    )


def _columns(con: sqlite3.Connection, table: str) -> list[str]:
    return [row[0] for row in con.execute("select name from pragma_table_info(?)", [table])]


def _weewx(columns: Sequence[str], address: str) -> DatabaseTable:
    selected = {name: expression for name, (column, expression) in _WEEWX.items() if column in columns}
    query = _WEEWX_QUERY.format(columns=",\n    ".join(f"{text} as {name}" for name, text in selected.items()))
    return _table("WeeWX", "weewx", query, {"weewx": address}, {name: name for name in selected}, {})


def _home_assistant(con: sqlite3.Connection, path: Path, address: str) -> DatabaseTable:
    """The table for the statistics whose ids are names of variables. Raises SourceError if there are none."""
    asked = (
        "select statistic_id, coalesce(unit_of_measurement, ''), coalesce(has_sum, 0) from statistics_meta order by 1"
    )
    units, sums = dict[str, str](), set[str]()
    for name, unit, has_sum in con.execute(asked):
        units[name] = unit
        sums |= {name} if has_sum else set()
    found = find_variables((name for name in units if name.startswith("sensor.")), units)
    if not found:
        raise SourceError(
            f"{path.name} is Home Assistant's database, and no statistic of it is named like weather ({listed(units)}): "
            "`daycast guide databases` has a query to write them into"
        )
    parts = [
        f"max({'rise' if one.column in sums else 'mean'}) filter (where statistic_id = '{_quoted(one.column)}') as {name}"
        for name, one in found.items()
    ]
    doubts = {f"columns.{name}": "; ".join([f"it is {one.column}", *one.doubts]) for name, one in found.items()}
    columns = {name: _mapped(name, one) for name, one in found.items()}
    query = _HOME_QUERY.format(columns=",\n    ".join(parts))
    return _table("Home Assistant", "home", query, {"ha": address}, columns, doubts)


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _mapped(name: str, found: Mapped) -> str | dict[str, Any]:
    settings = {key: value for key, value in found.settings.items() if key in {"unit", "factor"}}
    return {"column": name, **settings} if settings else name


def _table(
    program: str,
    name: str,
    query: str,
    attach: Mapping[str, str],
    columns: Mapping[str, Any],
    doubts: Mapping[str, str],
) -> DatabaseTable:
    settings = {
        "kind": "sql",
        "name": name,
        "query": query,
        "attach": dict(attach),
        "station": {"constant": name},
        "time": "observed",
        "columns": dict(columns),
    }
    return DatabaseTable(settings, {"station": "give it a name of its own", **doubts}, program)
