import io
import math
import tomllib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from daycast.errors import ConfigError, SourceError
from daycast.sources.batch import PROBLEM_SCHEMA, READING_KEYS, SourceBatch
from daycast.sources.files import parquet
from daycast.sources.files.parquet import ParquetSource, read_chunks
from daycast.variables import BUILT_IN, Variable

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
MINIMAL = {
    "name": "lake",
    "files": "*.parquet",
    "station": {"constant": "roof"},
    "time": "time",
    "columns": {"air_temperature_c": "t"},
}
NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)


def source(folder: Path, **settings) -> ParquetSource:
    return ParquetSource.model_validate(MINIMAL | settings, context={"folder": folder})


def deliver(folder: Path, table: dict | pl.DataFrame, since=None, until=FOREVER, **settings) -> SourceBatch:
    pl.DataFrame(table).write_parquet(folder / "a.parquet")
    [batch] = source(folder, **settings).fetch(since, until, BUILT_IN, ())
    return batch


def wall_clock(*texts: str) -> pl.Series:
    """Times without a zone."""
    return pl.Series(texts).str.to_datetime("%Y-%m-%d %H:%M")


def values(batch: SourceBatch) -> list[float | None]:
    return batch.readings["air_temperature_c"].to_list()


def instants(batch: SourceBatch) -> list[str | None]:
    return batch.readings["observed_at"].dt.strftime("%Y-%m-%d %H:%M:%S%.f").to_list()


def as_json(batch: SourceBatch) -> list[str]:
    """The rows as they are kept when they are refused."""
    return batch.raw.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_list()


def test_a_configuration_as_a_user_writes_it_is_read_in_daycast_s_units(tmp_path):
    table = tomllib.loads("""
        kind = "parquet"
        name = "lake"
        files = "lake/*.parquet"
        timezone = "Europe/Berlin"
        reporting_delay = "15min"
        missing = -999
        settle = "0s"
        after = { move_to = "done" }
        station = "site"
        time = "stamp"
        [columns]
        air_temperature_c = { column = "kelvin", unit = "K" }
        wind_from_deg = { column = "wd", unit = "compass" }
    """)
    (tmp_path / "lake").mkdir()
    pl.DataFrame(
        {
            "site": [7, 8, 9],
            "stamp": wall_clock("2024-07-01 14:00", "2024-07-01 15:00", "2024-01-01 01:00"),
            "kelvin": [300.15, -999.0, None],
            "wd": [" sse ", "calm", ""],
            "remark": ["a", "b", "c"],
        }
    ).write_parquet(tmp_path / "lake" / "a.parquet")
    lake = ParquetSource.model_validate(table, context={"folder": tmp_path})
    [batch] = lake.fetch(None, FOREVER, BUILT_IN, ())
    assert (batch.origin, batch.complete, batch.receipt) == ("lake/a.parquet", True, "assumed")
    assert batch.readings.schema == READING_KEYS | dict.fromkeys(BUILT_IN, pl.Float64())
    assert batch.readings["station_id"].to_list() == ["7", "8", "9"]
    assert instants(batch) == ["2024-07-01 12:00:00", "2024-07-01 13:00:00", "2024-01-01 00:00:00"]
    assert batch.readings["received_at"][0] == NOON + timedelta(minutes=15)
    assert values(batch) == [pytest.approx(27.0), None, None]
    assert batch.readings["wind_from_deg"].to_list() == [157.5, None, None]
    assert batch.problems.is_empty()
    assert batch.problems.schema == PROBLEM_SCHEMA
    assert batch.raw.columns == ["site", "stamp", "kelvin", "wd"]  # only what is needed is read
    assert not lake.resumes


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize(
    ("zone", "expected"), [(None, "10:30"), ("UTC", "12:30"), ("Asia/Tokyo", "03:30"), ("Etc/GMT-2", "10:30")]
)
def test_a_timestamp_without_a_zone_is_local_and_one_with_a_zone_is_that_instant(tmp_path, unit, zone, expected):
    time = wall_clock("2024-07-01 12:30").cast(pl.Datetime(unit)).dt.replace_time_zone(zone)
    batch = deliver(tmp_path, {"time": time, "t": [1.0]}, timezone="Europe/Berlin")
    assert instants(batch) == [f"2024-07-01 {expected}:00"]


def test_the_nights_of_the_clock_change_are_read_as_they_were_lived(tmp_path):
    wall = wall_clock("2024-03-31 02:30", "2024-10-27 02:30", "2024-10-27 02:30")
    batch = deliver(tmp_path, {"time": wall, "t": [1.0, 2.0, 3.0]}, timezone="Europe/Berlin")
    assert instants(batch) == [None, "2024-10-27 00:30:00", "2024-10-27 01:30:00"]
    assert batch.problems.rows() == [
        (0, "time", "2024-03-31 02:30:00.000000", "02:30 does not exist in Europe/Berlin on that day")
    ]


@pytest.mark.parametrize(("epoch", "count"), [("s", 1719835200), ("ms", 1719835200000)])
@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64])
def test_whole_numbers_are_times_where_the_configuration_says_so(tmp_path, epoch, count, dtype):
    time = pl.Series([count, None, 2**62], dtype=dtype)
    batch = deliver(tmp_path, {"time": time, "t": [1.0, 2.0, 3.0]}, time={"column": "time", "epoch": epoch})
    assert instants(batch) == ["2024-07-01 12:00:00", None, None]  # date -u -d @1719835200
    assert batch.problems.rows() == [
        (1, "time", None, "no time"),
        (2, "time", str(2**62), "no time between the years 1000 and 9000"),
    ]


@pytest.mark.parametrize(
    ("time", "epoch", "message"),
    [
        ([1719835200], None, r'column .time. is of type Int64, not a timestamp; .* add epoch = "s" or "ms"'),
        ([date(2024, 7, 1)], None, "is of type Date, but a time must be a timestamp"),
        (["2024-07-01 12:00"], None, "is of type String, but a time must be a timestamp"),
        ([NOON], "s", r"not of the whole numbers that time.epoch = 's' announces"),
        ([1719835200.0], "s", "is of type Float64, not of the whole numbers"),
    ],
)
def test_a_column_that_holds_no_times_is_refused_by_its_type(tmp_path, time, epoch, message):
    with pytest.raises(SourceError, match=message):
        deliver(tmp_path, {"time": time, "t": [1.0]}, time={"column": "time", "epoch": epoch})


def test_a_time_that_no_calendar_can_write_keeps_its_row_as_a_problem(tmp_path):
    infinity = pl.Series([2**63 - 1, 0], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    batch = deliver(tmp_path, {"time": infinity, "t": [1.0, 2.0]})
    assert instants(batch) == [None, "1970-01-01 00:00:00"]
    assert batch.problems.rows() == [
        (0, "time", "9223372036854775807", "no time between the years 1000 and 9000"),
    ]
    assert as_json(batch) == ['{"time":null,"t":1.0}', '{"time":"1970-01-01T00:00:00+00:00","t":2.0}']


def test_nan_is_missing_and_infinity_is_a_problem(tmp_path):
    given = [1.5, math.nan, None, math.inf, -math.inf, -9999.0]
    batch = deliver(tmp_path, {"time": [NOON] * 6, "t": given}, missing=[-9999])
    assert values(batch) == [1.5, None, None, None, None, None]
    assert batch.bad_values.rows() == [(3, "t", "inf", "no finite number"), (4, "t", "-inf", "no finite number")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (pl.Series([21, None], dtype=pl.Int16), [21.0, None]),
        (pl.Series([21.5, None], dtype=pl.Float32), [21.5, None]),
        (pl.Series([Decimal("21.25"), None], dtype=pl.Decimal(6, 2)), [21.25, None]),
        (pl.Series([None, None], dtype=pl.Null), [None, None]),
    ],
)
def test_numbers_of_any_type_are_read(tmp_path, given, expected):
    batch = deliver(tmp_path, {"time": [NOON] * 2, "t": given})
    assert values(batch) == expected
    assert batch.problems.is_empty()


def test_numbers_written_as_text_are_problems_and_kept_as_they_came(tmp_path):
    batch = deliver(tmp_path, {"time": [NOON] * 2, "t": ["21.5", None]})
    assert values(batch) == [None, None]
    assert batch.bad_values.rows() == [(0, "t", "21.5", "text where a number belongs")]
    assert batch.raw["t"].to_list() == ["21.5", None]


@pytest.mark.parametrize("given", [[True], [b"x"], [[1.0]], [{"a": 1}], [date(2024, 1, 1)], [timedelta(1)]])
def test_a_column_that_can_hold_no_numbers_is_refused_by_its_type(tmp_path, given):
    with pytest.raises(SourceError, match=r"^a\.parquet: column 't' is of type \w+.*, but air_temperature_c needs"):
        deliver(tmp_path, {"time": [NOON], "t": given})


def test_numbers_are_no_points_of_the_compass_and_neither_is_any_word(tmp_path):
    columns = {"wind_from_deg": {"column": "wd", "unit": "compass"}}
    numbers = deliver(tmp_path, {"time": [NOON], "wd": [90.0]}, columns=columns)
    assert numbers.bad_values.rows() == [(0, "wd", "90.0", "no point of the compass")]
    words = pl.Series(["NE", "up", "VRB"], dtype=pl.Categorical)
    batch = deliver(tmp_path, {"time": [NOON] * 3, "wd": words}, columns=columns)
    assert batch.readings["wind_from_deg"].to_list() == [45.0, None, None]
    assert batch.bad_values.rows() == [(1, "wd", "up", "no point of the compass")]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["north", " s ", "", None], ["north", "s", None, None]),
        (pl.Series(["a", "b", None, "a"], dtype=pl.Categorical), ["a", "b", None, "a"]),
        ([10, None, 7, 0], ["10", None, "7", "0"]),
    ],
)
def test_stations_are_words_or_whole_numbers_and_a_row_without_one_is_a_problem(tmp_path, ids, expected):
    batch = deliver(tmp_path, {"time": [NOON] * 4, "t": [1.0] * 4, "s": ids}, station="s")
    assert batch.readings["station_id"].to_list() == expected
    unknown = [index for index, station in enumerate(expected) if station is None]
    assert [(row, column, reason) for row, column, _, reason in batch.problems.rows()] == [
        (row, "s", "no station") for row in unknown
    ]


def test_a_station_is_no_fraction(tmp_path):
    with pytest.raises(
        SourceError, match="column 's' is of type Float64, but a station must be text or a whole number"
    ):
        deliver(tmp_path, {"time": [NOON], "t": [1.0], "s": [1.5]}, station="s")


def test_a_station_may_stand_in_the_name_of_the_file(tmp_path):
    for name in ("log_north.parquet", "log_south.parquet"):
        pl.DataFrame({"time": [NOON], "t": [1.0]}).write_parquet(tmp_path / name)
    named = list(source(tmp_path, station={"file_name": "log_(.+)[.]"}).fetch(None, FOREVER, BUILT_IN, ()))
    assert [batch.readings["station_id"].item() for batch in named] == ["north", "south"]
    assert len({batch.fingerprint for batch in named}) == 2


def test_rows_beyond_the_span_are_held_back_with_their_problems(tmp_path):
    hours = [NOON + timedelta(hours=hour) for hour in range(4)]
    table = {"time": hours, "t": ["a", "b", "c", "d"]}
    since, until = NOON + timedelta(minutes=30), NOON + timedelta(hours=2, minutes=10)
    batch = deliver(tmp_path, table, since=since, until=until, reporting_delay="30min")
    assert instants(batch) == ["2024-07-01 13:00:00"]
    assert batch.raw["t"].to_list() == ["b"]
    assert [(row, value) for row, _, value, _ in batch.bad_values.rows()] == [(0, "b")]
    assert (batch.complete, batch.waiting) == (False, 1)  # "c" is on its way, "d" lies ahead


def test_a_file_is_not_complete_where_rows_that_came_before_since_were_left_out(tmp_path):
    table = {"time": [NOON, NOON + timedelta(hours=1)], "t": [1.0, 2.0]}
    batch = deliver(tmp_path, table, since=NOON)
    assert (values(batch), batch.complete, batch.waiting) == ([2.0], False, 0)


def test_a_file_that_was_seen_is_not_read_and_another_mapping_makes_it_unseen(tmp_path):
    first = deliver(tmp_path, {"time": [NOON], "t": [1.0], "u": [2.0]})
    assert list(source(tmp_path).fetch(None, FOREVER, BUILT_IN, {first.fingerprint})) == []
    for change in (
        {"columns": {"air_temperature_c": "u"}},
        {"columns": {"air_temperature_c": {"column": "t", "unit": "K"}}},
        {"timezone": "Asia/Tokyo"},
        {"missing": [1]},
        {"reporting_delay": "1h"},
        {"station": {"constant": "cellar"}},
    ):
        assert len(list(source(tmp_path, **change).fetch(None, FOREVER, BUILT_IN, {first.fingerprint}))) == 1


def test_a_declared_variable_is_read_as_it_is_and_its_unit_is_part_of_the_reading(tmp_path):
    pl.DataFrame({"time": [NOON], "sm": [21.5]}).write_parquet(tmp_path / "a.parquet")
    found = []
    for unit in ("vol%", "%"):
        soil = Variable("soil", "soil moisture", unit, 0.0, 100.0)
        declared = source(tmp_path, columns={"soil": "sm"})
        found += list(declared.fetch(None, FOREVER, BUILT_IN | {"soil": soil}, ()))
    assert [batch.readings["soil"].item() for batch in found] == [21.5, 21.5]
    assert found[0].fingerprint != found[1].fingerprint


def test_a_file_without_rows_is_a_batch_without_rows(tmp_path):
    schema = {"time": pl.Datetime("us", "UTC"), "t": pl.Float64}
    batch = deliver(tmp_path, pl.DataFrame(schema=schema))
    assert batch.readings.schema == READING_KEYS | dict.fromkeys(BUILT_IN, pl.Float64())
    assert (batch.readings.height, batch.complete) == (0, True)


def test_columns_named_like_daycast_s_own_do_no_harm(tmp_path):
    table = {name: ["x"] for name in ("station_id", "observed_at", "received_at", "reason", "given", "station")}
    batch = deliver(tmp_path, {**table, "time": [NOON], "t": [1.0]})
    assert (values(batch), batch.readings["station_id"].to_list()) == ([1.0], ["roof"])
    clash = deliver(
        tmp_path,
        {"observed_at": [NOON], "received_at": [1.0]},
        time="observed_at",
        columns={"dew_point_c": "received_at"},
    )
    assert clash.readings["dew_point_c"].to_list() == [1.0]
    assert instants(clash) == ["2024-07-01 12:00:00"]


def test_a_missing_column_names_the_file_and_what_it_has(tmp_path):
    with pytest.raises(SourceError, match=r"^a\.parquet has no column 't'.*; it has: time, T2$"):
        deliver(tmp_path, {"time": [NOON], "T2": [1.0]})


def test_what_is_no_parquet_file_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_text("time,t\n")
    with pytest.raises(SourceError, match=r"a\.parquet is not a Parquet file \(it begins with b'time,t"):
        list(source(tmp_path).fetch(None, FOREVER, BUILT_IN, ()))


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    pl.DataFrame({"time": [NOON], "t": [1.0]}).write_parquet(tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    with pytest.raises(SourceError, match=r"^a\.parquet is a damaged Parquet file: .+$") as caught:
        list(read_chunks(io.BytesIO(content[:20] + bytes(len(content) - 24) + b"PAR1"), ["time", "t"], "a.parquet"))
    assert "\n" not in str(caught.value)


def test_a_file_at_which_the_reader_panics_is_an_error_as_any_other(tmp_path, monkeypatch):
    def panic(*_, **__):
        raise pl.exceptions.PanicException("assertion failed")

    monkeypatch.setattr(pl, "scan_parquet", panic)
    with pytest.raises(SourceError, match=r"a\.parquet is a damaged Parquet file: assertion failed"):
        deliver(tmp_path, {"time": [NOON], "t": [1.0]})


def test_an_unknown_variable_is_refused_before_any_file_is_read(tmp_path):
    with pytest.raises(ConfigError, match="'lake': 'air_temp' is not a variable"):
        source(tmp_path, columns={"air_temp": "t"}).fetch(None, FOREVER, BUILT_IN, ())


def test_positions_come_from_a_station_list(tmp_path):
    (tmp_path / "s.csv").write_text("station_id,latitude,longitude\nx,52.5,13.4\n")
    assert source(tmp_path).stations().is_empty()
    assert source(tmp_path, station_list={"file": "s.csv"}).stations().rows() == [("x", None, 52.5, 13.4, None)]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"time": {"column": "time", "epoch": "us"}}, "epoch"),
        ({"time": {"column": "time", "format": "%s"}}, "format"),
        ({"missing": ["none"]}, "missing"),
        ({"timezone": "Europe/Berln"}, "did you mean 'Europe/Berlin'"),
        ({"columns": {}}, "columns"),
        ({"separator": ","}, "separator"),
        ({"received": "r"}, "received"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(tmp_path, setting, message):
    with pytest.raises(ValidationError, match=message):
        source(tmp_path, **setting)


def test_a_large_file_comes_in_batches_and_a_run_that_was_killed_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "CHUNK_ROWS", 10)
    hours = [NOON + timedelta(hours=hour) for hour in range(25)]
    pl.DataFrame({"time": hours, "t": list(map(float, range(25)))}).write_parquet(tmp_path / "a.parquet")
    chunks = list(source(tmp_path).fetch(None, FOREVER, BUILT_IN, ()))
    assert [values(chunk) for chunk in chunks] == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    seen = {chunk.fingerprint for chunk in chunks}
    assert list(source(tmp_path).fetch(None, FOREVER, BUILT_IN, seen)) == []
    [again] = source(tmp_path).fetch(None, FOREVER, BUILT_IN, seen - {chunks[1].fingerprint})
    assert values(again) == list(range(10, 20))


def test_the_hour_that_comes_twice_is_told_apart_by_a_run_that_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "CHUNK_ROWS", 2)
    wall = [datetime(2024, 10, 27, hour) for hour in (1, 2, 2, 3)]  # noqa: DTZ001 - the clocks of Berlin
    pl.DataFrame({"time": wall, "t": [1.0, 2.0, 3.0, 4.0]}).write_parquet(tmp_path / "a.parquet")
    berlin = source(tmp_path, timezone="Europe/Berlin")
    first, second = berlin.fetch(None, FOREVER, BUILT_IN, ())
    [again] = berlin.fetch(None, FOREVER, BUILT_IN, {first.fingerprint})
    expected = [datetime(2024, 10, 27, hour, tzinfo=UTC) for hour in (1, 2)]
    assert second.readings["observed_at"].to_list() == again.readings["observed_at"].to_list() == expected


def test_a_file_that_announces_more_rows_than_are_ever_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_MAX_ROWS", 3)
    with pytest.raises(SourceError, match=r"^a\.parquet announces 4 rows, and the limit is 3"):
        deliver(tmp_path, {"time": [NOON] * 4, "t": [1.0] * 4})


@pytest.mark.parametrize("nested", [[[1.0]], [{"x": 1.0}], pl.Series([None], dtype=pl.List(pl.Int64)), [[{"x": [1]}]]])
@pytest.mark.parametrize("column", ["time", "t", "s"])
def test_a_nested_column_is_one_line_or_a_problem_of_its_rows(tmp_path, column, nested):
    table = {"time": [NOON], "t": [1.0], "s": ["roof"]} | {column: nested}
    told, batch = "", None
    try:
        batch = deliver(tmp_path, table, station="s")
    except SourceError as error:
        told = str(error)
    if batch is None:
        assert told.startswith(f"a.parquet: column {column!r} is of type ")
        assert "\n" not in told
    else:
        assert batch.problems["column"].to_list() == [column]
        assert as_json(batch)
