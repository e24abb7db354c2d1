"""The queries of the guide for Home Assistant and InfluxDB, each on files as those programs make them."""

import re
import sqlite3
import tomllib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

from daycast.sources.sql import SqlSource
from daycast.variables import BUILT_IN

GUIDE = (Path(__file__).parents[2] / "src" / "daycast" / "guide" / "databases.md").read_text()
TABLES = [
    tomllib.loads(block)["sources"][0] for block in re.findall(r"^```toml\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
]
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
WITH_SQLITE = pytest.mark.skipif(
    find_spec("duckdb_extension_sqlite_scanner") is None, reason="pip install 'daycast[databases]'"
)
HOME_ASSISTANT = """
create table states_meta (metadata_id integer primary key, entity_id varchar(255));
create table states (
    state_id integer primary key, entity_id char(0), state varchar(255), attributes char(0), last_changed_ts float,
    last_updated_ts float, old_state_id integer, attributes_id integer, metadata_id integer
);
create table statistics_meta (
    id integer primary key, statistic_id varchar(255), source varchar(32), unit_of_measurement varchar(255), has_mean boolean,
    has_sum boolean, name varchar(255)
);
create table statistics (
    id integer primary key, created_ts float, metadata_id integer, start_ts float, mean float, mean_weight float, min float,
    max float, last_reset_ts float, state float, sum float
);
insert into states_meta values (1, 'sensor.garden_temperature'), (2, 'sensor.garden_humidity'), (3, 'light.kitchen');
insert into statistics_meta (id, statistic_id) values (4, 'sensor.garden_temperature'), (5, 'sensor.garden_rain_total');
"""


def source(name: str, folder: Path, **changes: object) -> SqlSource:
    return SqlSource.model_validate(
        next(table for table in TABLES if table["name"] == name) | changes, context={"folder": folder}
    )


def rows(of: SqlSource, since: datetime | None = None) -> list[tuple]:
    batches = list(of.fetch(since, NOON, BUILT_IN, ()))
    assert all(batch.problems.is_empty() for batch in batches)
    return pl.concat(batch.readings.select("station_id", "observed_at", *of.columns) for batch in batches).rows()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Home Assistant's own database, in its schema, with write-ahead logging as it has it."""
    with closing(sqlite3.connect(tmp_path / "home.db")) as con, con:
        con.execute("pragma journal_mode = wal")
        con.executescript(HOME_ASSISTANT)
        for back, temp, total in ((3, 10.5, 100.0), (2, 11.5, 100.4), (1, 12.5, 101.0)):
            start = (NOON - timedelta(hours=back)).timestamp()
            con.execute("insert into statistics (metadata_id, start_ts, mean) values (4, ?, ?)", (start, temp))
            con.execute("insert into statistics (metadata_id, start_ts, sum) values (5, ?, ?)", (start, total))
        for minutes, state, meta in (
            (30, "20.5", 1),
            (30, "55", 2),
            (20, "unavailable", 1),
            (10, "on", 3),
            (-10, "21", 1),
        ):
            moment = (NOON - timedelta(minutes=minutes)).timestamp()
            con.execute(
                "insert into states (state, last_updated_ts, metadata_id) values (?, ?, ?)", (state, moment, meta)
            )
    return tmp_path


@WITH_SQLITE
def test_the_statistics_of_home_assistant_are_hours_with_the_rise_of_the_rain(home):
    statistics = source("home", home, attach={"ha": "home.db"})
    seen = [("garden", NOON - timedelta(hours=back)) for back in (2, 1, 0)]
    first, second, third = rows(statistics)
    assert (*first[:3], first[4]) == (*seen[0], 10.5, None)
    assert (*second[:3], second[4]) == (*seen[1], 11.5, pytest.approx(0.4))
    assert (*third[:3], third[4]) == (*seen[2], 12.5, pytest.approx(0.6))


@WITH_SQLITE
def test_the_states_of_home_assistant_are_values_where_they_are_numbers(home):
    states = source("home-now", home, attach={"ha": "home.db"})
    assert rows(states) == [
        ("garden", NOON - timedelta(minutes=30), 20.5, 55.0),
        ("garden", NOON - timedelta(minutes=20), None, None),
    ]
    assert rows(states, since=NOON + timedelta(days=1) - timedelta(minutes=25)) == [
        ("garden", NOON - timedelta(minutes=20), None, None)
    ]


def test_annotated_csv_of_influxdb_2(tmp_path):
    (tmp_path / "influx").mkdir()
    head = (
        "#group,false,false,true,true,false,true,false,false\n"
        "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,string,double,double\n"
        "#default,_result,,,,,,,\n"
        ",result,table,_start,_stop,_time,station,rain,temperature\n"
    )
    span = "2026-05-31T00:00:00Z,2026-06-02T00:00:00Z"
    (tmp_path / "influx" / "a.csv").write_text(
        f"{head},,0,{span},2026-06-01T10:00:00Z,roof,0.2,11.5\n,,0,{span},2026-06-01T11:00:00Z,roof,,12\n\n"
        f"{head},,1,{span},2026-06-01T10:00:00.5Z,shed,0,9.25\n"
    )
    assert rows(source("influx", tmp_path)) == [
        ("roof", NOON - timedelta(hours=2), 11.5, 0.2),
        ("shed", NOON - timedelta(hours=2) + timedelta(seconds=0.5), 9.25, 0.0),
        ("roof", NOON - timedelta(hours=1), 12.0, None),
    ]


def test_line_protocol(tmp_path):
    (tmp_path / "influx").mkdir()
    nanoseconds = int(NOON.timestamp()) * 10**9
    (tmp_path / "influx" / "a.lp").write_text(
        f"weather,place=a\\ b,station=roof humidity=55i,temperature=11.5 {nanoseconds - 60 * 10**9}\n"
        f'weather,station=shed temperature=-2.5e-1,note="x, y" {nanoseconds}\n'
        f"cpu,host=a usage=3 {nanoseconds}\n"
        f"weather,station=shed humidity=50i {nanoseconds}\n"
    )
    assert sorted(rows(source("line-protocol", tmp_path)), key=str) == [
        ("roof", NOON - timedelta(minutes=1), 11.5),
        ("shed", NOON, -0.25),
        ("shed", NOON, None),
    ]
