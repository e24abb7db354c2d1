import os
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from pydantic import ValidationError

from daycast import duckdb_extensions
from daycast.errors import ConfigError, SourceError
from daycast.sources import sql
from daycast.sources.batch import READING_KEYS, SourceBatch
from daycast.sources.sql import SqlSource
from daycast.variables import BUILT_IN

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC)
SECRET = "s3cr3t"  # noqa: S105 of no server
HOURS = "select timestamptz '2024-01-01' + i * interval 1 hour as seen, i as t from range({}) as hours(i) order by i"


def has_sqlite() -> bool:
    try:
        duckdb_extensions.load_extension(duckdb.connect(":memory:"), "sqlite_scanner")
    except duckdb.Error:
        return False
    return True


WITH_SQLITE = pytest.mark.skipif(
    not has_sqlite(), reason="pip install 'daycast[databases]': there is no sqlite_scanner for this DuckDB here"
)
MINIMAL = {
    "name": "plant",
    "station": {"constant": "plant"},
    "time": "seen",
    "columns": {"air_temperature_c": "t"},
}


def source(folder: Path, query: str, environment=None, **settings) -> SqlSource:
    context = {"folder": folder, "environment": environment or {}}
    return SqlSource.model_validate(MINIMAL | {"query": query} | settings, context=context)


def fetch(folder: Path, query: str, since=None, until=FOREVER, seen=(), **settings) -> list[SourceBatch]:
    return list(source(folder, query, **settings).fetch(since, until, BUILT_IN, seen))


def values(batches: list[SourceBatch]) -> list[float | None]:
    return [value for batch in batches for value in batch.readings["air_temperature_c"]]


def database(folder: Path) -> Path:
    path = folder / "plant.duckdb"
    with duckdb.connect(path) as con:
        con.execute("create table log (site text, seen timestamptz, stored timestamptz, t double)")
        con.executemany(
            "insert into log values (?, ?, ?, ?)",
            [
                ["a", MIDNIGHT + timedelta(hours=hour), MIDNIGHT + timedelta(hours=hour, minutes=10), float(hour)]
                for hour in range(4)
            ],
        )
    return path


def test_a_configuration_as_a_user_writes_it_is_read_in_daycast_s_units(tmp_path):
    database(tmp_path)
    table = tomllib.loads("""
        kind = "sql"
        name = "plant"
        query = '''
            select site, seen, stored, t * 9 / 5 + 32 as fahrenheit
            from plant.log
            where stored > $since and stored <= $until
            order by seen
        '''
        attach = { plant = { file = "plant.duckdb" } }
        received = "stored"
        look_back = "30min"
        station = "site"
        time = "seen"
        [columns]
        air_temperature_c = { column = "fahrenheit", unit = "°F" }
    """)
    plant = SqlSource.model_validate(table, context={"folder": tmp_path})
    assert plant.resumes
    [batch] = plant.fetch(None, FOREVER, BUILT_IN, ())
    assert batch.readings.schema == READING_KEYS | dict.fromkeys(BUILT_IN, pl.Float64())
    assert batch.readings["station_id"].to_list() == ["a"] * 4
    assert batch.readings["observed_at"][3] == MIDNIGHT + timedelta(hours=3)
    assert batch.readings["received_at"][3] == MIDNIGHT + timedelta(hours=3, minutes=10)
    assert values([batch]) == [pytest.approx(value) for value in (0.0, 1.0, 2.0, 3.0)]
    assert (batch.complete, batch.receipt) == (True, "stated")
    assert batch.raw.columns == ["site", "seen", "fahrenheit", "stored"]


# since and until


def test_since_lies_look_back_and_reporting_delay_before_the_last_ingest_and_until_is_now(tmp_path):
    query = "select $until as seen, epoch($until - $since) as t where $since is not null"
    [batch] = fetch(tmp_path, query, MIDNIGHT, MIDNIGHT + timedelta(hours=2), look_back="3h", reporting_delay="0s")
    assert values([batch]) == [5 * 3600.0]
    assert batch.readings["observed_at"].item() == MIDNIGHT + timedelta(hours=2)
    later = fetch(tmp_path, query, MIDNIGHT, MIDNIGHT + timedelta(hours=2), look_back="3h", reporting_delay="1h")
    assert later[0].raw["t"].to_list() == []  # its receipt, an hour after it was seen, lies beyond until
    assert not later[0].complete
    earlier = query.replace("$until as seen", "$until - interval 1 hour as seen")
    again = fetch(tmp_path, earlier, MIDNIGHT, MIDNIGHT + timedelta(hours=2), look_back="3h", reporting_delay="1h")
    assert values(again) == [6 * 3600.0]


def test_at_the_first_ingest_since_lies_before_all_that_was_measured(tmp_path):
    query = "select timestamptz '1801-01-01' as seen, 1 as t where timestamptz '1801-01-01' > $since"
    assert values(fetch(tmp_path, query)) == [1.0]


def test_moments_are_instants_whatever_zone_the_machine_keeps(tmp_path):
    code = f"""
from datetime import UTC, datetime
from daycast.sources.sql import SqlSource
from daycast.variables import BUILT_IN
query = "select timestamptz '2024-01-01 00:00' as seen, hour($until) as t"  # no offset: UTC is meant
plant = SqlSource.model_validate({MINIMAL} | {{"query": query}})
[delivery] = plant.fetch(None, datetime(2024, 1, 1, 7, tzinfo=UTC), BUILT_IN, ())
print(delivery.readings["observed_at"].dt.to_string().item(), delivery.readings["air_temperature_c"].item())
"""
    in_tokyo = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"TZ": "Asia/Tokyo"}, capture_output=True, text=True, check=True
    )
    assert in_tokyo.stdout == "2024-01-01 00:00:00.000000+00:00 7.0\n"


@pytest.mark.parametrize(
    ("query", "resumes"),
    [
        ("select now() as seen, 1 as t where now() > $since", True),
        ("select now() as seen, 1 as t where now() < $until", False),
        ("select '$since' as t -- $since", False),
    ],
)
def test_a_query_resumes_where_it_asks_for_what_is_new(tmp_path, query, resumes):
    assert source(tmp_path, query).resumes is resumes


def test_what_a_query_without_since_answers_is_cut_to_the_span(tmp_path):
    since, until = MIDNIGHT + timedelta(hours=2), MIDNIGHT + timedelta(hours=4)
    [batch] = fetch(tmp_path, HOURS.format(9), since, until, look_back="0s")
    assert values([batch]) == [3.0, 4.0]
    assert (batch.complete, batch.waiting) == (False, 4)


def test_what_a_query_with_since_answers_is_taken_however_old_its_hours_are(tmp_path):
    query = HOURS.format(9).replace("order by", "where $since < now() order by")
    assert values(fetch(tmp_path, query, MIDNIGHT + timedelta(hours=6), look_back="0s")) == [float(i) for i in range(9)]


def test_a_row_with_a_stated_receipt_is_left_out_where_it_was_ingested_before(tmp_path):
    database(tmp_path)
    settings = {"attach": {"plant": "plant.duckdb"}, "received": "stored"}
    since = MIDNIGHT + timedelta(hours=2, minutes=10)
    assert values(fetch(tmp_path, "from plant.log order by seen", since, look_back="0s", **settings)) == [3.0]
    assert values(fetch(tmp_path, "from plant.log order by seen", since, look_back="1h", **settings)) == [2.0, 3.0]


def test_a_row_without_its_receipt_is_a_problem(tmp_path):
    [batch] = fetch(tmp_path, "select now() as seen, 1 as t, null::timestamptz as r", received="r")
    assert batch.problems.rows() == [(0, "r", None, "no time")]


def test_the_time_may_be_the_receipt_too(tmp_path):
    query = "select unnest([timestamptz '2024-01-01', null]) as seen, 1 as t"
    [batch] = fetch(tmp_path, query, received="seen")
    assert batch.readings["received_at"].to_list() == [MIDNIGHT, None]
    assert batch.problems.rows() == [(1, "seen", None, "no time")]


def test_a_row_without_a_time_has_no_receipt_either(tmp_path):
    [batch] = fetch(tmp_path, "select null::timestamptz as seen, 1 as t, now() as r", received="r")
    assert batch.readings["received_at"].to_list() == [None]
    assert batch.problems.rows() == [(0, "seen", None, "no time")]


# batches


def test_a_long_answer_comes_in_batches_and_what_was_seen_is_not_delivered_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sql, "CHUNK_ROWS", 4096)
    batches = fetch(tmp_path, HOURS.format(10_000))
    assert [batch.readings.height for batch in batches] == [4096, 4096, 1808]
    assert values(batches) == [float(i) for i in range(10_000)]
    assert [batch.origin for batch in batches][1:] == ["plant from row 4,097", "plant from row 8,193"]
    known = {batch.fingerprint for batch in batches}
    assert len(known) == 3
    assert fetch(tmp_path, HOURS.format(10_000), seen=known) == []
    assert [batch.origin for batch in fetch(tmp_path, HOURS.format(10_001), seen=known)] == ["plant from row 8,193"]


def test_equal_rows_read_in_another_way_are_not_the_same_batch(tmp_path):
    query = "select timestamp '2024-01-01' as seen, 300 as t, 'x' as s"
    changes = [
        {},
        {"columns": {"air_temperature_c": {"column": "t", "unit": "K"}}},
        {"timezone": "Asia/Tokyo"},
        {"reporting_delay": "1h"},
        {"missing": 300},
        {"station": {"constant": "y"}},
    ]
    assert len({fetch(tmp_path, query, **change)[0].fingerprint for change in changes}) == len(changes)
    assert fetch(tmp_path, query)[0].fingerprint == fetch(tmp_path, query + " limit 1")[0].fingerprint


def test_an_answer_without_rows_gives_no_batch(tmp_path):
    assert fetch(tmp_path, "select now() as seen, 1 as t where false") == []


def test_the_reason_of_a_failure_is_found_when_only_the_interruption_was_told():
    with duckdb.connect() as con:
        query = "select case when i = $last then error('row broke') else i end as t from range($last + 1) as r(i)"
        assert "row broke" in sql.find_reason(con, query, {"last": 250_000})
        assert sql.find_reason(con, "select 1", {}) == "it was interrupted"


def test_a_query_that_fails_midway_keeps_the_batches_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sql, "CHUNK_ROWS", 100_000)
    query = HOURS.format(300_000).replace("i as t", "case when i = 250000 then error('row\\nbroke') else i end as t")
    batches = source(tmp_path, query.replace(" order by i", "")).fetch(None, FOREVER, BUILT_IN, ())
    assert next(batches).readings.height == 100_000
    with pytest.raises(SourceError, match=r"^source 'plant': .*row.*$") as caught:
        list(batches)
    assert "\n" not in str(caught.value)


# what the answer holds


def test_types_of_databases_are_read(tmp_path):
    query = """
        select 7::hugeint as site, timestamp '2024-01-01' as seen, 21.25::decimal(6, 2) as t,
               'se'::enum('n', 'se') as wd, 'inf'::double as p
        union all select 8, timestamp 'infinity', null, null, 'nan'::double
        order by site
    """
    columns = {
        "air_temperature_c": "t",
        "wind_from_deg": {"column": "wd", "unit": "compass"},
        "station_pressure_hpa": "p",
    }
    [batch] = fetch(tmp_path, query, station="site", columns=columns)
    read = batch.readings.select("station_id", "air_temperature_c", "wind_from_deg", "station_pressure_hpa")
    assert read.rows() == [("7", 21.25, 135.0, None), ("8", None, None, None)]
    assert batch.readings["observed_at"].to_list() == [MIDNIGHT, None]
    assert batch.bad_values.rows() == [(0, "p", "inf", "no finite number")]
    assert batch.problems.rows() == [
        (1, "seen", "9223372036854775807", "no time between the years 1000 and 9000"),
    ]
    kept = batch.raw.select(pl.struct(pl.all()).struct.json_encode()).to_series()
    assert '"seen":null' in kept[1]  # refused rows are kept as JSON, which has no infinity


def test_a_column_of_nulls_is_missing_whatever_its_type(tmp_path):
    [batch] = fetch(tmp_path, "select null as seen, null as t, null as s", station="s")
    assert batch.problems.rows() == [(0, "s", None, "no station"), (0, "seen", None, "no time")]


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("1 as t", r"the query's answer has no column 'seen'; it has: t"),
        ("now() as seen, 1 as t, 2 as t", "more than one column 't'"),
        ("current_date as seen, 1 as t", "column 'seen' is of type Date"),
        ("now() as seen, [1] as t", r"column 't' is of type List\(Int32\), but air_temperature_c needs numbers"),
        ("now() as seen, true as t", "column 't' is of type Boolean"),
        ("now() as seen, interval 1 day as t", "source 'plant': .*interval"),
        ("now() as seen, t from nowhere", "source 'plant': Catalog Error: Table with name nowhere does not exist"),
        ("now() as seen, t from 'nothing.parquet'", "source 'plant': IO Error: No files found"),
    ],
)
def test_an_answer_that_cannot_be_read_is_refused_in_one_line(tmp_path, select, message):
    with pytest.raises(SourceError, match=message) as caught:
        fetch(tmp_path, f"select {select}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("select", "settings", "way_out"),
    [
        ("'2025-06-01 01:00' as seen, 1 as t", {}, "; write seen::timestamp as seen in the query, or ::timestamptz if"),
        (
            "1.5::double as seen, 1 as t",
            {},
            '; write cast(seen as bigint) as seen in the query, and set time.epoch = "s" if',
        ),
        (
            "1.5::double as seen, 1 as t",
            {"time": {"column": "seen", "epoch": "s"}},
            "; write cast(seen as bigint) as seen",
        ),
        (
            "'1' as seen, 1 as t",
            {"time": {"column": "seen", "epoch": "ms"}},
            "; write seen::bigint as seen in the query, or",
        ),
        ("current_date as seen, 1 as t", {}, "; write cast(seen as timestamp) as seen in the query"),
        ("now() as seen, 'x'::blob as t", {}, "; write try_cast(t::varchar as double) as t in the query"),
        ("now() as seen, [1] as t", {}, "; write try_cast(t as double) as t in the query"),
        (
            'now() as seen, true as "a ""b"',
            {"columns": {"air_temperature_c": 'a "b'}},
            '; write try_cast("a ""b" as double)',
        ),
    ],
)
def test_a_column_of_another_type_is_refused_with_what_to_write_in_the_query(tmp_path, select, settings, way_out):
    with pytest.raises(SourceError) as caught:
        fetch(tmp_path, f"select {select}", **settings)
    assert way_out in str(caught.value)


# what a query may do


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "it has 0 statements"),
        ("select 1; select 2", "it has 2 statements"),
        ("selec 1", "the query cannot be read: Parser Error: syntax error at or near"),
        ("copy (select 1) to 'x.csv'", "must be a select statement, but it is COPY"),
        ("insert into plant.log values (1)", "but it is INSERT"),
        ("create table x as select 1", "but it is CREATE"),
        ("attach 'x.duckdb'", "but it is ATTACH"),
        ("install httpfs", "but it is LOAD"),
        ("set threads = 1", "but it is SET"),
        ("select $from", r"the query has the parameter \$from: there are only \$since and \$until"),
        ("select ?", r"the query has the parameter \$1"),
    ],
)
def test_a_query_that_does_more_than_read_is_refused_by_the_settings(tmp_path, query, message):
    with pytest.raises(ValidationError, match=message):
        source(tmp_path, query)


def test_files_in_a_query_are_found_in_the_folder_of_the_configuration(tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    pl.DataFrame({"seen": [MIDNIGHT], "t": [1.5]}).write_parquet(tmp_path / "a.parquet")
    assert values(fetch(tmp_path, "from 'a.parquet'")) == [1.5]
    assert values(fetch(tmp_path, f"from read_parquet('{tmp_path}/*.parquet')")) == [1.5]
    assert list((tmp_path / "cwd").iterdir()) == []


def test_nothing_is_installed_behind_the_operator_s_back(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SourceError, match="httpfs") as caught:
        fetch(tmp_path, "from 'https://127.0.0.1:1/a.parquet'")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / ".duckdb").exists()


# databases


def test_an_attached_file_is_read_and_cannot_be_written(tmp_path):
    path = database(tmp_path)
    assert values(fetch(tmp_path, "from plant.log order by seen", attach={"plant": path.name})) == [0.0, 1.0, 2.0, 3.0]
    with (
        sql.open_databases({"plant": sql.Attachment(file=path.name)}, tmp_path, {}, "plant") as con,
        pytest.raises(duckdb.Error, match="read-only"),
    ):
        con.execute("delete from plant.log")


def test_an_attached_file_is_let_go_when_the_reader_stops_early(tmp_path, monkeypatch):
    path = database(tmp_path)
    monkeypatch.setattr(sql, "CHUNK_ROWS", 1)
    batches = source(tmp_path, "from plant.log", attach={"plant": path.name}).fetch(None, FOREVER, BUILT_IN, ())
    next(batches)
    batches.close()
    with duckdb.connect(path) as con:  # would be refused while another connection reads it
        con.execute("delete from log")


def test_a_file_that_is_not_there_or_no_database_is_named(tmp_path):
    with pytest.raises(
        SourceError, match=r"source 'plant': database 'p' is the file .*missing\.duckdb, which does not exist"
    ):
        fetch(tmp_path, "from p.log", attach={"p": "missing.duckdb"})
    (tmp_path / "text.duckdb").write_text("no database" * 1000)
    with pytest.raises(SourceError, match=r"source 'plant': database 'p' cannot be read: .*text\.duckdb"):
        fetch(tmp_path, "from p.log", attach={"p": {"file": "text.duckdb"}})


def test_a_variable_that_holds_no_address_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match="'p' is reached through the environment variable PLANT_DSN, which is not set"
    ):
        fetch(tmp_path, "from p.log", attach={"p": {"postgres_env": "PLANT_DSN"}})


@pytest.mark.parametrize(
    ("setting", "extension"),
    [("postgres_env", "postgres_scanner"), ("mysql_env", "mysql_scanner"), ("file", "sqlite_scanner")],
)
def test_without_an_extension_the_error_tells_how_to_install_it(tmp_path, monkeypatch, setting, extension):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(duckdb_extensions, "find_spec", lambda _: None)
    with closing(sqlite3.connect(tmp_path / "PLANT_DSN")) as con:
        con.execute("create table log (id integer)")
    address = {"PLANT_DSN": f"host=127.0.0.1 password={SECRET}"}
    with pytest.raises(SourceError, match=rf"needs DuckDB's extension {extension}.*'daycast\[databases\]'") as caught:
        fetch(tmp_path, "from p.log", environment=address, attach={"p": {setting: "PLANT_DSN"}})
    assert SECRET not in str(caught.value)


def weewx(folder: Path, *rows: tuple[float | None, ...]) -> Path:
    """A database as WeeWX makes it, with some of its columns: dateTime, usUnits, interval, outTemp, rain."""
    path = folder / "weewx.sdb"
    with closing(sqlite3.connect(path)) as con, con:
        columns = "`interval` INTEGER NOT NULL, `outTemp` REAL, `rain` REAL"
        con.execute(
            f"create table archive (`dateTime` INTEGER NOT NULL PRIMARY KEY, `usUnits` INTEGER NOT NULL, {columns})"
        )
        con.executemany("insert into archive values (?, ?, ?, ?, ?)", rows)
    return path


ARCHIVE = "select *, 'roof' as site, to_timestamp(dateTime) as seen from w.archive"


@WITH_SQLITE
def test_a_file_of_sqlite_is_recognised_read_and_cannot_be_written(tmp_path):
    weewx(tmp_path, (1_767_225_600, 17, 5, 3.5, 0.2), (1_767_225_900, 17, 5, None, 0.0))
    columns = {"air_temperature_c": "outTemp", "precipitation_mm": "rain"}
    table = {"attach": {"w": "weewx.sdb"}, "station": {"column": "site"}, "time": "seen", "columns": columns}
    where = "where dateTime > epoch($since)::bigint and dateTime <= epoch($until)::bigint order by seen"
    [batch] = fetch(tmp_path, f"{ARCHIVE} {where}", **table)
    assert batch.readings.select("station_id", "observed_at", *columns).rows() == [
        ("roof", datetime(2026, 1, 1, tzinfo=UTC), 3.5, 0.2),
        ("roof", datetime(2026, 1, 1, 0, 5, tzinfo=UTC), None, 0.0),
    ]
    attached = {"w": sql.Attachment(file="weewx.sdb")}
    with sql.open_databases(attached, tmp_path, {}, "roof") as con, pytest.raises(duckdb.Error, match="read-only"):
        con.execute("delete from w.archive")


@WITH_SQLITE
def test_sqlite_is_read_while_its_owner_has_a_write_under_way(tmp_path):
    path = weewx(tmp_path, (1_767_225_600, 17, 5, 3.5, 0.2))
    with closing(sqlite3.connect(path, isolation_level=None)) as owner:
        owner.execute("pragma journal_mode = wal")
        owner.execute("begin immediate")
        owner.execute("insert into archive values (1767225900, 17, 5, 99.0, 0.0)")
        table = {
            "attach": {"w": "weewx.sdb"},
            "station": {"column": "site"},
            "time": "seen",
            "columns": {"air_temperature_c": "outTemp"},
        }
        assert values(fetch(tmp_path, ARCHIVE, **table)) == [3.5]


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (  # the forms that DuckDB 1.5.5 with PostgreSQL 15 writes
            'IO Error: Unable to connect to Postgres at "{}": connection to server at "10.0.0.1" failed: no "x"\n',
            'connection to server at "…" failed: no "…"',
        ),
        (
            'IO Error: Unable to connect to Postgres at "{}": missing "=" after "s3cr3t" in connection info string\n',
            'missing "…" after "…" in connection info string',
        ),
        (  # and with MariaDB 10.11
            "IO Error: Failed to connect to MySQL database with parameters \"{}\": Unknown host 's3cr3t'. Attempted host: s3cr3t",
            "Unknown host '…'",
        ),
        ("IO Error: s3cr3t went wrong", ""),
    ],
)
def test_no_part_of_an_address_is_shown_when_a_server_cannot_be_reached(answer, shown):
    address = f"host=10.0.0.1 password={SECRET}"
    assert sql._reason(answer.format(address), address) == shown


def test_no_address_is_shown_when_a_query_fails(tmp_path):
    address = f"host=10.0.0.1 password={SECRET}"
    plant = source(
        tmp_path, "select 1", {"PLANT_DSN": address}, attach={"p": {"postgres_env": "PLANT_DSN"}, "q": "q.duckdb"}
    )
    assert plant._without_secrets(f"lost {address}!") == "lost (its address)!"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"attach": {"p": {}}}, "exactly one of file, postgres_env and mysql_env"),
        ({"attach": {"p": {"file": "a", "postgres_env": "B"}}}, "exactly one of file, postgres_env and mysql_env"),
        ({"attach": {'p" (x': "a"}}, "attach"),
        ({"station": {"file_name": "(.+)"}}, "station.file_name needs files"),
        ({"look_back": "soon"}, "'soon' is no duration"),
        ({"files": "*.csv"}, "files"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(tmp_path, setting, message):
    with pytest.raises(ValidationError, match=message):
        source(tmp_path, "select 1", **setting)


def test_an_unknown_variable_is_refused_before_anything_is_asked(tmp_path):
    with pytest.raises(ConfigError, match="'plant': 'air_temp' is not a variable"):
        source(tmp_path, "select 1", columns={"air_temp": "t"}).fetch(None, FOREVER, BUILT_IN, ())


def test_positions_come_from_a_station_list(tmp_path):
    (tmp_path / "s.csv").write_text("station_id,latitude,longitude\nx,52.5,13.4\n")
    assert source(tmp_path, "select 1").stations().is_empty()
    listed = source(tmp_path, "select 1", station_list={"file": "s.csv"})
    assert listed.stations().rows() == [("x", None, 52.5, 13.4, None)]


@WITH_SQLITE
@pytest.mark.parametrize("odd", ["", "abc"])
def test_a_value_of_another_type_in_sqlite_is_refused_with_a_query_that_reads_it(tmp_path, odd):
    with closing(sqlite3.connect(tmp_path / "log.db")) as con, con:
        con.execute("create table log (seen text, t real)")
        con.executemany("insert into log values (?, ?)", [("2025-06-01 01:00", 1.5), ("2025-06-01 02:00", odd)])
    with pytest.raises(SourceError, match="Mismatch Type Error") as caught:
        fetch(tmp_path, "select seen::timestamp as seen, t from p.log", attach={"p": "log.db"})
    assert "write try_cast(t as double) as t in the query, and read from sqlite_query(" in str(caught.value)
    inner = "sqlite_query('p', 'select seen, cast(t as text) as t from log')"
    query = f"select seen::timestamp as seen, try_cast(t as double) as t from {inner}"
    assert values(fetch(tmp_path, query, attach={"p": "log.db"})) == [1.5, None]
