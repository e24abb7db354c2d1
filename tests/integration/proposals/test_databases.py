"""`daycast init --from` of the database of a known program: the query it writes reads what the program wrote.

The queries run on a copy of the tables in DuckDB's own format, because reading SQLite takes an extension.
"""

import sqlite3
import tomllib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from daycast.errors import SourceError
from daycast.settings import Settings
from daycast.steps.propose import propose_source
from integration import weewx

NOW = datetime(2026, 11, 2, tzinfo=UTC)
START = datetime(2026, 11, 1, tzinfo=UTC)
HOME_ASSISTANT = """
create table statistics_meta (
    id integer primary key, statistic_id varchar(255), unit_of_measurement varchar(255), has_mean boolean, has_sum boolean
);
create table statistics (id integer primary key, metadata_id integer, start_ts double, mean double, sum double);
"""


def copy_of(file: Path, copy: Path) -> Path:
    """The tables of an SQLite database as a DuckDB file."""
    with closing(sqlite3.connect(file)) as old, duckdb.connect(copy) as new:
        for name, statement in old.execute("select name, sql from sqlite_master where type = 'table'").fetchall():
            new.execute(statement.replace("`", '"'))
            for row in old.execute(f"select * from {name}").fetchall():
                new.execute(f"insert into {name} values ({', '.join('?' * len(row))})", row)
    return copy


def readings_of(table: dict[str, Any], file: Path) -> pl.DataFrame:
    (alias,) = table["attach"]
    changed = table | {"attach": {alias: str(copy_of(file, file.with_suffix(".duckdb")))}}
    settings = Settings.model_validate({"sources": [changed]}, context={"folder": file.parent})
    (batch,) = settings.sources[0].fetch(None, NOW, settings.glossary, ())
    assert batch.problems.is_empty()
    return batch.readings.sort("observed_at")


@pytest.mark.parametrize("units", [weewx.US, weewx.METRIC, weewx.METRIC_WX])
def test_of_weewx_all_variables_are_read_in_whichever_units_it_writes(tmp_path: Path, units: int):
    weewx.make_sqlite(tmp_path / "weewx.sdb", NOW, 1, units)
    moments = [NOW - timedelta(minutes=5 * back) for back in reversed(range(288))]
    (table,) = tomllib.loads(propose_source(tmp_path / "weewx.sdb", tmp_path, NOW))["sources"]
    assert table["attach"] == {"weewx": "weewx.sdb"}
    read = readings_of(table, tmp_path / "weewx.sdb")
    assert read["observed_at"].to_list() == moments
    for name, seen in weewx.weather(moments[72]).items():
        assert read[name][72] == pytest.approx(seen), name


def test_of_weewx_only_the_columns_that_there_are_are_selected(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "old.db")) as con, con:
        con.execute("create table archive (dateTime integer, usUnits integer, interval integer, outTemp real)")
        con.execute("insert into archive values (?, 17, 5, 4.5)", [int(START.timestamp())])
    (table,) = tomllib.loads(propose_source(tmp_path, tmp_path.parent, NOW))["sources"]  # the folder
    assert table["columns"] == {"air_temperature_c": "air_temperature_c"}
    assert table["attach"] == {"weewx": f"{tmp_path.name}/old.db"}
    assert readings_of(table, tmp_path / "old.db")["air_temperature_c"].to_list() == [4.5]


def home(file: Path, *sensors: tuple[str, str, bool]) -> Path:
    with closing(sqlite3.connect(file)) as con, con:
        con.executescript(HOME_ASSISTANT)
        for number, (name, unit, has_sum) in enumerate(sensors, 1):
            con.execute(
                "insert into statistics_meta values (?, ?, ?, ?, ?)", [number, name, unit, not has_sum, has_sum]
            )
            for hour in range(3):
                value = (None, 10.0 + hour) if has_sum else (50.0 + hour, None)
                at = START.timestamp() + 3600 * hour
                con.execute(
                    "insert into statistics (metadata_id, start_ts, mean, sum) values (?, ?, ?, ?)",
                    [number, at, *value],
                )
    return file


def test_of_home_assistant_the_statistics_named_like_weather_are_read_in_their_units(tmp_path: Path):
    sensors = [
        ("sensor.o'hara_temperature", "°F", False),
        ("sensor.rain_total", "mm", True),
        ("sensor.energy", "kWh", True),
    ]
    written = propose_source(home(tmp_path / "home-assistant_v2.db", *sensors), tmp_path, NOW)
    assert "# a guess: it is sensor.rain_total" in written
    (table,) = tomllib.loads(written)["sources"]
    assert sorted(table["columns"]) == ["air_temperature_c", "precipitation_mm"]
    read = readings_of(table, tmp_path / "home-assistant_v2.db")
    assert read["observed_at"].to_list() == [START + timedelta(hours=hour) for hour in (1, 2, 3)]
    assert read["air_temperature_c"].to_list() == pytest.approx([10.0, 10 + 5 / 9, 10 + 10 / 9])
    assert read["precipitation_mm"].to_list() == [None, 1.0, 1.0]


def test_a_home_without_weather_is_refused_with_what_it_has(tmp_path: Path):
    file = home(tmp_path / "home.db", ("sensor.energy", "kWh", True), ("sensor.power", "W", False))
    with pytest.raises(SourceError, match=r"no statistic of it is named like weather \(sensor.energy, sensor.power\)"):
        propose_source(file, tmp_path, NOW)
