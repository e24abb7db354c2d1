import tomllib
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from daycast.errors import ConfigError, SourceError
from daycast.sources.batch import PROBLEM_SCHEMA, READING_KEYS, SourceBatch
from daycast.sources.files import csv_table
from daycast.sources.files.csv import CsvSource
from daycast.stations import STATION_SCHEMA
from daycast.variables import BUILT_IN, Variable

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
SOIL = Variable("soil_moisture_pct", "soil moisture", "vol%", 0.0, 100.0)
MINIMAL = {
    "name": "roof",
    "files": "*.csv",
    "station": {"constant": "roof"},
    "time": {"column": "time", "daily": True},  # many tests need nothing but a day
    "columns": {"air_temperature_c": "t"},
}


def source(folder: Path, **settings) -> CsvSource:
    return CsvSource.model_validate(MINIMAL | settings, context={"folder": folder})


def deliver(folder: Path, text: str, since=None, until=FOREVER, variables=BUILT_IN, **settings) -> SourceBatch:
    (folder / "a.csv").write_text(text)
    [batch] = source(folder, **settings).fetch(since, until, variables, ())
    return batch


def times(batch: SourceBatch) -> list[str | None]:
    return batch.readings["observed_at"].dt.strftime("%Y-%m-%d %H:%M:%S").to_list()


def problems(batch: SourceBatch) -> list[tuple[int, str, str | None, str]]:
    """Of rows and of values, by row."""
    assert batch.problems.schema == batch.bad_values.schema == PROBLEM_SCHEMA
    return pl.concat([batch.problems, batch.bad_values]).sort("row_number", maintain_order=True).rows()


def test_a_configuration_as_a_user_writes_it_is_read_in_daycast_s_units(tmp_path):
    table = tomllib.loads("""
        kind = "csv"
        name = "garden"
        files = ["data/*.csv"]
        separator = ";"
        decimal = ","
        missing = ["NA", -9999]
        timezone = "Europe/Berlin"
        reporting_delay = "15min"
        station = { column = "station" }
        time = { column = "timestamp", format = "%d.%m.%Y %H:%M" }
        [columns]
        air_temperature_c = { column = "temp_f", unit = "°F" }
        wind_from_deg = { column = "wd", unit = "compass" }
        soil_moisture_pct = "SM"
    """)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text(
        "timestamp;station;temp_f;wd;SM;remark\n"
        "01.07.2024 14:30; north ;77,0;NNW;21,5;fine\n"
        "01.07.2024 14:40;north;NA;calm;-9999,0;\n"
    )
    garden = CsvSource.model_validate(table, context={"folder": tmp_path})
    variables = BUILT_IN | {SOIL.name: SOIL}
    [batch] = garden.fetch(None, FOREVER, variables, ())
    assert batch.origin == "data/a.csv"
    assert batch.complete
    assert batch.receipt == "assumed"
    assert problems(batch) == []
    assert batch.readings.schema == READING_KEYS | dict.fromkeys(variables, pl.Float64())
    assert times(batch) == ["2024-07-01 12:30:00", "2024-07-01 12:40:00"]
    assert batch.readings["received_at"][0] == datetime(2024, 7, 1, 12, 45, tzinfo=UTC)
    assert batch.readings["station_id"].to_list() == ["north", "north"]
    assert batch.readings["air_temperature_c"].to_list() == [pytest.approx(25.0), None]
    assert batch.readings["wind_from_deg"].to_list() == [337.5, None]
    assert batch.readings["soil_moisture_pct"].to_list() == [21.5, None]
    assert batch.readings["dew_point_c"].to_list() == [None, None]
    assert batch.raw.columns == ["timestamp", "station", "temp_f", "wd", "SM", "remark"]
    assert batch.raw.row(0) == ("01.07.2024 14:30", " north ", "77,0", "NNW", "21,5", "fine")


def test_files_come_in_order_each_once_and_folders_may_be_left(tmp_path):
    (tmp_path / "conf").mkdir()
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text("time,t\n2024-01-01,1\n")
    several = source(tmp_path / "conf", files=["../*.csv", "../a.csv", str(tmp_path / "b.csv")])
    assert [batch.origin for batch in several.fetch(None, FOREVER, BUILT_IN, ())] == ["../a.csv", "../b.csv"]


def test_a_glob_without_files_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "a.csv").write_text("time,t\n")
    with pytest.raises(SourceError, match=r"no file matches 'b\*\.csv'"):
        source(tmp_path, files=["a.csv", "b*.csv"]).fetch(None, FOREVER, BUILT_IN, ())


def test_a_header_alone_is_a_batch_without_rows(tmp_path):
    batch = deliver(tmp_path, "time,t\n")
    assert batch.readings.shape == (0, 3 + len(BUILT_IN))
    assert batch.readings.schema["observed_at"] == pl.Datetime("us", "UTC")
    assert batch.complete


def test_rows_received_after_until_are_held_back_and_so_are_their_problems(tmp_path):
    text = "time,t\n2024-01-01T00:00Z,x\n2024-01-01T01:00Z,1\n2024-01-01T02:00Z,y\n"
    until = datetime(2024, 1, 1, 1, 10, tzinfo=UTC)
    batch = deliver(tmp_path, text, until=until, reporting_delay="10min")
    assert times(batch) == ["2024-01-01 00:00:00", "2024-01-01 01:00:00"]
    assert batch.raw["t"].to_list() == ["x", "1"]
    assert [problem[2] for problem in problems(batch)] == ["x"]
    assert not batch.complete
    assert batch.waiting == 1
    on_its_way = deliver(tmp_path, text, until=until, reporting_delay="15min")
    assert (times(on_its_way), on_its_way.waiting) == (["2024-01-01 00:00:00"], 1)


def test_rows_received_up_to_since_are_not_delivered_again(tmp_path):
    text = "time,t\n2024-01-01T00:00Z,0\nlater,5\n2024-01-01T01:00Z,1\n2024-01-01T02:00Z,y\n"
    batch = deliver(tmp_path, text, since=datetime(2024, 1, 1, 1, tzinfo=UTC))
    assert batch.raw["t"].to_list() == ["5", "y"]
    assert [problem[:3] for problem in problems(batch)] == [(0, "time", "later"), (1, "t", "y")]
    assert not batch.complete  # the whole file, read without `since`, still has rows to bring


def test_a_file_that_was_seen_is_not_read_and_another_mapping_makes_it_unseen(tmp_path):
    first = deliver(tmp_path, "time,t,u\n2024-01-01,1,2\n")
    assert list(source(tmp_path).fetch(None, FOREVER, BUILT_IN, {first.fingerprint})) == []
    for change in (
        {"columns": {"air_temperature_c": "u"}},
        {"columns": {"air_temperature_c": {"column": "t", "unit": "K"}}},
        {"timezone": "Asia/Tokyo"},
        {"missing": ["1"]},
        {"reporting_delay": "1h"},
        {"station": {"constant": "cellar"}},
        {"name": "cellar"},
    ):
        assert len(list(source(tmp_path, **change).fetch(None, FOREVER, BUILT_IN, {first.fingerprint}))) == 1
    (tmp_path / "a.csv").write_text("time,t,u\n2024-01-01,1,3\n")
    assert len(list(source(tmp_path).fetch(None, FOREVER, BUILT_IN, {first.fingerprint}))) == 1


def test_two_files_of_equal_content_differ_where_their_names_are_the_stations(tmp_path):
    for name in ("log_north_1.csv", "log_south_1.csv"):
        (tmp_path / name).write_text("time,t\n2024-01-01,1\n")
    named = source(tmp_path, station={"file_name": r"log_(.+?)_\d"})
    batches = list(named.fetch(None, FOREVER, BUILT_IN, ()))
    assert [batch.readings["station_id"].item() for batch in batches] == ["north", "south"]
    assert len({batch.fingerprint for batch in batches}) == 2


def test_a_file_name_without_its_station_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"a\.csv: the name does not match"):
        deliver(tmp_path, "time,t\n", station={"file_name": r"log_(.+)"})


def test_text_where_a_number_belongs_is_a_problem_and_markers_are_not(tmp_path):
    rows = ["1.5", "abc", "nan", "inf", "1e999", "-9999.0", "", " 2 ", "--", "1,5", "NA"]
    text = "time;t\n" + "".join(f"2024-01-01T{hour:02}:00;{value}\n" for hour, value in enumerate(rows))
    batch = deliver(tmp_path, text, separator=";", missing=["-9999", "--", "NA"])
    assert batch.readings["air_temperature_c"].to_list() == [1.5, *[None] * 6, 2.0, *[None] * 3]
    assert problems(batch) == [
        (row, "t", value, "no finite number" + hint)
        for row, value, hint in [
            (1, "abc", ""),
            (2, "nan", ""),
            (3, "inf", ""),
            (4, "1e999", ""),
            (9, "1,5", ': set decimal = ","'),
        ]
    ]


def test_a_single_marker_may_be_a_number(tmp_path):
    batch = deliver(tmp_path, "time,t\n2024-01-01,-9999\n", missing=-9999)
    assert batch.readings["air_temperature_c"].to_list() == [None]
    assert problems(batch) == []


def test_a_point_is_no_decimal_comma(tmp_path):
    batch = deliver(tmp_path, "time;t\n2024-01-01;1.500\n2024-01-02;-0,5\n", separator=";", decimal=",")
    assert batch.readings["air_temperature_c"].to_list() == [None, -0.5]
    way_out = 'set decimal = ".", or thousands = "." if it marks thousands'
    assert problems(batch) == [(0, "t", "1.500", f"no finite number: {way_out}")]


def test_a_word_that_is_no_point_of_the_compass_is_a_problem_and_calm_is_not(tmp_path):
    text = "time,wd\n2024-01-01,sw\n2024-01-02,C\n2024-01-03,upwards\n"
    batch = deliver(tmp_path, text, columns={"wind_from_deg": {"column": "wd", "unit": "compass"}})
    assert batch.readings["wind_from_deg"].to_list() == [225.0, None, None]
    assert problems(batch) == [(2, "wd", "upwards", "no point of the compass")]


def test_a_row_without_station_is_kept_as_a_problem(tmp_path):
    text = "s,time,t\nNA,2024-01-01,1\n,2024-01-01,2\nx,2024-01-01,3\n"
    batch = deliver(tmp_path, text, station="s", missing="NA")
    assert batch.readings["station_id"].to_list() == [None, None, "x"]
    assert problems(batch) == [(0, "s", "NA", "no station"), (1, "s", None, "no station")]


def test_iso_times_are_local_unless_they_name_their_offset(tmp_path):
    written = [
        "2024-01-01T12:00",
        "2024-01-01 12:00:30",
        "2024-01-01T12:00:00.000Z",
        "2024-01-01T12:00:00-05:00",
        "2024-01-01 12:00+0530",
        "2024-01-01 12:00:00 UTC",
        "2024-01-01",
    ]
    batch = deliver(tmp_path, "time,t\n" + "".join(f"{time},1\n" for time in written), timezone="Asia/Shanghai")
    assert problems(batch) == []
    assert times(batch) == [
        "2024-01-01 04:00:00",
        "2024-01-01 04:00:30",
        "2024-01-01 12:00:00",
        "2024-01-01 17:00:00",
        "2024-01-01 06:30:00",
        "2024-01-01 12:00:00",
        "2023-12-31 16:00:00",
    ]


@pytest.mark.parametrize(
    ("time_format", "written", "expected"),
    [
        ("%Y%m%d%H", "2024070114", "2024-07-01 12:00:00"),
        ("%m/%d/%y %I:%M %p", "07/01/24 02:05 PM", "2024-07-01 12:05:00"),
        ("%d.%m.%Y %H:%M %z", "01.07.2024 14:00 +0300", "2024-07-01 11:00:00"),
        ("%s", "1719835200", "2024-07-01 12:00:00"),  # date -u -d @1719835200
    ],
)
def test_a_format_says_how_times_are_written(tmp_path, time_format, written, expected):
    time = {"column": "time", "format": time_format}
    batch = deliver(tmp_path, f"time,t\n{written},1\n", time=time, timezone="Europe/Berlin")
    assert times(batch) == [expected]
    assert problems(batch) == []


def test_a_time_that_cannot_be_read_keeps_its_row_with_the_reason(tmp_path):
    text = "time,t\n01.13.2024 00:00,1\n,2\n31.03.2024 02:30,3\n01.01.2024 24:30,4\n"
    time = {"column": "time", "format": "%d.%m.%Y %H:%M"}
    batch = deliver(tmp_path, text, until=datetime(2000, 1, 1, tzinfo=UTC), time=time, timezone="Europe/Berlin")
    assert times(batch) == [None] * 4
    assert batch.readings["received_at"].to_list() == [None] * 4
    assert problems(batch) == [
        (0, "time", "01.13.2024 00:00", "no time in the form %d.%m.%Y %H:%M"),
        (1, "time", None, "no time"),
        (2, "time", "31.03.2024 02:30", "02:30 does not exist in Europe/Berlin on that day"),
        (3, "time", "01.01.2024 24:30", "no time in the form %d.%m.%Y %H:%M"),
    ]


def test_a_time_in_parts_is_read_and_its_faults_are_problems(tmp_path):
    text = (
        "y,m,d,h,min,t\n"
        "2024,2,29,09,5,1\n"
        "2023,2,29,9,5,1\n"
        "2024,13,1,0,0,1\n"
        "2024,1,1,24,5,1\n"
        "2024,x,1,0,0,1\n"
        "2024,,1,0,0,1\n"
    )
    parts = {"year": "y", "month": "m", "day": "d", "hour": "h", "minute": "min"}
    batch = deliver(tmp_path, text, time=parts, timezone="Asia/Shanghai")
    assert times(batch) == ["2024-02-29 01:05:00", *[None] * 5]
    assert [(row, value) for row, _, value, _ in problems(batch)] == [
        (1, "2023 2 29 9 5"),
        (2, "2024 13 1 0 0"),
        (3, "2024 1 1 24 5"),
        (4, "2024 x 1 0 0"),
        (5, "2024 1 0 0"),
    ]
    assert problems(batch)[0][1::2] == ("y, m, d, h, min", "no time in the form %Y %m %d %H %M")


def test_parts_without_minutes_are_on_the_hour(tmp_path):
    parts = {"year": "y", "month": "m", "day": "d", "hour": "h"}
    assert times(deliver(tmp_path, "y,m,d,h,t\n2024,12,31,23,1\n", time=parts)) == ["2024-12-31 23:00:00"]


def test_a_row_with_more_fields_than_the_header_is_a_problem_and_keeps_them(tmp_path):
    batch = deliver(tmp_path, "time,t\n2024-01-01,1\n2024-01-02,1,5\n2024-01-03\n")
    [(row, _, value, reason)] = problems(batch)
    assert (row, value) == (1, "5")
    assert reason.startswith("more fields than the header has: is the separator right")
    assert "(a decimal comma) in quotation marks?" in reason
    assert batch.raw.row(1) == ("2024-01-02", "1", "5")
    assert batch.readings["air_temperature_c"].to_list() == [1.0, 1.0, None]


def test_rows_that_a_quotation_mark_swallowed_are_a_problem(tmp_path):
    batch = deliver(tmp_path, 'time,t,remark\n2024-01-01,1,"a\n2024-01-02,2,b"\n2024-01-03,3,c\n')
    [(row, column, value, reason)] = problems(batch)
    assert (row, column, value) == (0, "remark", "a\n2024-01-02,2,b")
    assert "quotation mark" in reason


def test_columns_named_like_daycast_s_own_do_no_harm(tmp_path):
    text = "station_id,observed_at,received_at,time,t,row,text,wall,row_number\nx,y,z,2024-01-01,bad,1,2,3,4\n"
    batch = deliver(tmp_path, text)
    assert batch.readings["station_id"].to_list() == ["roof"]
    assert times(batch) == ["2024-01-01 00:00:00"]
    assert problems(batch) == [(0, "t", "bad", "no finite number")]


def test_a_missing_column_names_the_file_and_what_it_has(tmp_path):
    with pytest.raises(SourceError, match=r"^a\.csv has no column 't' .*it has: time, T2$"):
        deliver(tmp_path, "time,T2\n")


def test_an_unknown_variable_is_refused_before_any_file_is_read(tmp_path):
    with pytest.raises(ConfigError, match=r"'roof': 'air_temp_c' is not a variable \(did you mean 'air_temperature_c'"):
        source(tmp_path, columns={"air_temp_c": "t"}).fetch(None, FOREVER, BUILT_IN, ())


def test_a_unit_that_cannot_be_is_refused_before_any_file_is_read(tmp_path):
    columns = {"air_temperature_c": {"column": "t", "unit": "hPa"}}
    with pytest.raises(ConfigError, match="source 'roof': unit 'hPa' of air_temperature_c"):
        source(tmp_path, columns=columns).fetch(None, FOREVER, BUILT_IN, ())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"timezone": "Asia/Shangai"}, "did you mean 'Asia/Shanghai'"),
        ({"reporting_delay": "soon"}, "'soon' is no duration"),
        ({"reporting_delay": -60}, "reporting_delay"),
        ({"settle": "-5s"}, "'-5s' is no duration"),
        ({"station": {}}, "exactly one of column, file_name and constant"),
        ({"station": {"column": "a", "constant": "b"}}, "exactly one of column, file_name and constant"),
        ({"station": {"file_name": "log_.+"}}, "exactly one group"),
        ({"station": {"file_name": "log_(.+"}}, "is not a regular expression"),
        ({"time": {"column": "time", "format": "%H:%M"}}, "not a date and time format"),
        ({"time": {"column": "time", "format": "%Q"}}, "not a date and time format"),
        ({"time": {"year": "y"}}, "month"),
        ({"separator": ";;"}, "';;' is not a separator"),
        ({"columns": {}}, "columns"),
        ({"colums": {"air_temperature_c": "t"}}, "colums"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(tmp_path, setting, message):
    with pytest.raises(ValidationError, match=message):
        source(tmp_path, **setting)


def test_without_a_station_list_there_are_no_stations(tmp_path):
    assert source(tmp_path).stations().schema == STATION_SCHEMA
    assert source(tmp_path).stations().is_empty()


def test_a_station_list_may_name_its_columns_and_leave_others_out(tmp_path):
    (tmp_path / "s.csv").write_text("id;lat;longitude\nx;52.5;NA\ny;-33,9;18.4\n".replace(",", "."))
    listed = {"file": "s.csv", "separator": ";", "station": "id", "latitude": "lat"}
    stations = source(tmp_path, station_list=listed, missing="NA").stations()
    assert stations.schema == STATION_SCHEMA
    assert stations.rows() == [("x", None, 52.5, None, None), ("y", None, -33.9, 18.4, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("station_id,latitude\nx,91\n", "station 'x' has latitude '91'"),
        ("station_id,latitude\nx,north\n", "station 'x' has latitude 'north'"),
        ("station_id\nx\nx\n", "lists station 'x' more than once"),
        ("station\nx\n", "no column 'station_id'"),
        ("station_id,name\nx,y\n", "no column 'alt'"),
    ],
)
def test_a_station_list_that_cannot_be_is_refused(tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    listed = {"file": "s.csv"} | ({"elevation_m": "alt"} if "alt" in message else {})
    with pytest.raises(SourceError, match=message):
        source(tmp_path, station_list=listed).stations()


def test_a_station_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"s\.csv cannot be read: No such file"):
        source(tmp_path, station_list={"file": "s.csv"}).stations()


# encodings


NAMED = {"station": "station", "time": "time", "columns": {"air_temperature_c": "t"}}


def deliver_bytes(folder: Path, content: bytes, **settings) -> SourceBatch:
    (folder / "a.csv").write_bytes(content)
    [batch] = source(folder, **settings).fetch(None, FOREVER, BUILT_IN, ())
    return batch


def named(*stations: str, remark: str = "") -> str:
    rows = "".join(f"{station},2024-01-01T{hour:02d}:00,{hour},{remark}\n" for hour, station in enumerate(stations))
    return f"station,time,t,remark\n{rows}"


def test_one_bad_byte_does_not_split_a_station_and_its_row_is_refused_with_the_reason(tmp_path):
    good = named(*["Zürich"] * 5).encode()
    at = good.index("ü".encode())
    batch = deliver_bytes(tmp_path, good[:at] + b"\xfc" + good[at + 2 :], **NAMED)
    [(row, column, value, reason)] = problems(batch)
    assert (row, column, value) == (0, "station", "Z�rich")
    assert reason == "has bytes that are not utf-8: they were damaged, or the file's encoding must be set"
    assert batch.readings["station_id"][1:].to_list() == ["Zürich"] * 4


def test_a_bad_byte_in_a_number_or_time_is_one_problem_and_in_a_column_nobody_reads_none(tmp_path):
    text = named(*["Zürich"] * 3).encode()
    batch = deliver_bytes(tmp_path, text.replace(b",1,", b",\xb1,").replace(b"T02", b"T0\xb2"), **NAMED)
    assert [(row, column) for row, column, _, _ in problems(batch)] == [(1, "t"), (2, "time")]
    assert problems(deliver_bytes(tmp_path, text.replace(b"2,\n", b"2,\xb2\n"), **NAMED)) == []


def test_a_file_of_western_windows_is_read_as_that_without_a_word(tmp_path):
    text = named("Zürich", "Malmö", "Zürich", remark="5 °C – kühl")
    batch = deliver_bytes(tmp_path, text.encode("cp1252"), **NAMED)
    assert batch.readings["station_id"].to_list() == ["Zürich", "Malmö", "Zürich"]
    assert problems(batch) == []


def test_stations_in_an_encoding_that_nobody_declared_are_refused_and_declared_ones_are_read(tmp_path):
    content = named("Москва", "Москва").encode("cp1251")
    assert [column for _, column, _, _ in problems(deliver_bytes(tmp_path, content, **NAMED))] == ["station"] * 2
    declared = deliver_bytes(tmp_path, content, encoding="cp1251", **NAMED)
    assert declared.readings["station_id"].to_list() == ["Москва"] * 2
    assert problems(declared) == []


def test_remarks_in_any_encoding_do_no_harm(tmp_path):
    assert problems(deliver_bytes(tmp_path, named("a", "b", remark="тест").encode("cp1251"), **NAMED)) == []


def test_an_encoding_is_part_of_the_reading_and_none_declared_changes_no_fingerprint(tmp_path):
    plain, western = (
        deliver_bytes(tmp_path, named("Zürich").encode(), **NAMED, **more) for more in ({}, {"encoding": "cp1252"})
    )
    assert plain.fingerprint != western.fingerprint
    assert plain.fingerprint == "f1c23ae7c44cec946706a857b1fc64845398ed39e70676d64ff82cf7b23cd2a7"


def test_a_station_list_has_its_own_encoding_and_no_garbled_station(tmp_path):
    (tmp_path / "s.csv").write_bytes("station_id,latitude,longitude\nМосква,55,37\n".encode("cp1251"))
    with pytest.raises(SourceError, match=r"s\.csv lists station '�+', which has bytes .* set station_list.encoding"):
        source(tmp_path, station_list={"file": "s.csv"}).stations()
    listed = source(tmp_path, station_list={"file": "s.csv", "encoding": "cp1251"}).stations()
    assert listed["station_id"].to_list() == ["Москва"]


# times beyond the calendar


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(
    "written",
    [
        "0001-01-01",
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00Z",
        "0000-00-00 00:00:00",
        "-0001-01-01T00:00",
        "-9999-12-31T23:59:59+14:00",
        "0999-12-31T23:59",
        "9999-12-31T23:59:59.999999",
        "10000-01-01T00:00",
        "262143-01-01 00:00",
    ],
)
def test_a_time_of_a_year_that_never_was_costs_its_row_and_no_other(tmp_path, zone, written):
    text = f"time,t\n2024-07-01T12:00,1\n{written},2\n2024-07-01T13:00,3\n"
    batch = deliver(tmp_path, text, timezone=zone)
    [(row, column, value, reason)] = problems(batch)
    assert (row, column, value) == (1, "time", written)
    assert reason in {"no time between the years 1000 and 9000", "no time in the form ISO 8601"}
    assert batch.readings["observed_at"].is_null().to_list() == [False, True, False]


def test_an_empty_date_says_which_years_there_are(tmp_path):
    batch = deliver(tmp_path, "time,t\n0001-01-01T00:00:00,2\n", timezone="Europe/Berlin")
    assert problems(batch) == [(0, "time", "0001-01-01T00:00:00", "no time between the years 1000 and 9000")]


@pytest.mark.parametrize(
    ("time_format", "written"), [("%s", "-99999999999"), ("%s", "9" * 17), ("%d.%m.%Y %H:%M", "01.01.0001 00:00")]
)
def test_a_format_may_bring_such_a_year_too(tmp_path, time_format, written):
    settings = {"time": {"column": "time", "format": time_format}, "timezone": "Europe/Berlin"}
    [(_, _, value, _)] = problems(deliver(tmp_path, f"time,t\n{written},2\n", **settings))
    assert value == written


# files that are read in batches


def in_batches(folder: Path, monkeypatch, rows: int = 25, seen=(), **settings) -> list[SourceBatch]:
    """A file of `rows` hours, ten a piece."""
    monkeypatch.setattr(csv_table, "_MAX_ROWS", 10)
    hours = pl.datetime_range(datetime(2024, 1, 1), datetime(2024, 3, 1), "1h", eager=True)[:rows]  # noqa: DTZ001
    (folder / "a.csv").write_text("time,t\n" + "".join(f"{hour:%Y-%m-%dT%H:%M},{n}\n" for n, hour in enumerate(hours)))
    return list(source(folder, **settings).fetch(None, FOREVER, BUILT_IN, seen))


def test_a_large_file_comes_in_batches_and_a_run_that_was_killed_goes_on_where_it_was(tmp_path, monkeypatch):
    chunks = in_batches(tmp_path, monkeypatch)
    assert [chunk.readings.height for chunk in chunks] == [10, 10, 5]
    assert [chunk.origin for chunk in chunks] == ["a.csv from line 2", "a.csv from line 12", "a.csv from line 22"]
    assert sum(chunk.readings["air_temperature_c"].sum() for chunk in chunks) == sum(range(25))
    assert len({chunk.fingerprint for chunk in chunks}) == 3
    seen = {chunk.fingerprint for chunk in chunks}
    assert in_batches(tmp_path, monkeypatch, seen=seen) == []
    for left in chunks:
        [again] = in_batches(tmp_path, monkeypatch, seen=seen - {left.fingerprint})
        assert again.fingerprint == left.fingerprint


def test_a_large_file_is_moved_once_its_last_batch_was_ingested_in_whichever_run(tmp_path, monkeypatch):
    moved = {"after": {"move_to": "done"}, "settle": "0s", "files": "in/*.csv"}
    (tmp_path / "in").mkdir()
    monkeypatch.setattr(csv_table, "_MAX_ROWS", 10)
    (tmp_path / "in/a.csv").write_text("time,t\n" + "".join(f"2024-01-01T{hour:02d}:00,1\n" for hour in range(24)))
    first, second, _ = source(tmp_path, **moved).fetch(None, FOREVER, BUILT_IN, ())
    for chunk in (first, second):
        chunk.finish()
    assert (tmp_path / "in/a.csv").exists()
    [last] = source(tmp_path, **moved).fetch(None, FOREVER, BUILT_IN, {first.fingerprint, second.fingerprint})
    last.finish()
    assert (tmp_path / "done/a.csv").exists()


def test_the_hour_that_comes_twice_is_told_apart_across_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_table, "_MAX_ROWS", 2)
    rows = "".join(f"2024-10-27T{clock},1\n" for clock in ("01:00", "02:00", "02:00", "03:00"))
    (tmp_path / "a.csv").write_text("time,t\n" + rows)
    chunks = list(source(tmp_path, timezone="Europe/Berlin").fetch(None, FOREVER, BUILT_IN, ()))
    assert [times(chunk) for chunk in chunks] == [
        ["2024-10-26 23:00:00", "2024-10-27 00:00:00"],
        ["2024-10-27 01:00:00", "2024-10-27 02:00:00"],
    ]
    [again] = source(tmp_path, timezone="Europe/Berlin").fetch(None, FOREVER, BUILT_IN, {chunks[0].fingerprint})
    assert times(again) == times(chunks[1])  # a run that was killed in between knows what came before


@pytest.mark.parametrize(
    "cell",
    ['{"a": 1, "b": [1, 2]}', '"{""a"": 1}"', '"[1, 2]"', "{'a': 1}", '"a ""quoted"" word"', '[{"x": [1, {"y": 2}]}]'],
)
def test_a_nested_value_costs_itself_or_is_one_line(tmp_path, cell):
    good = "".join(f"2024-01-01T{hour:02d}:00,1\n" for hour in range(5))
    told, batch = "", None
    try:
        batch = deliver(tmp_path, f"time,t\n{good}2024-01-01T06:00,{cell}\n")
    except SourceError as error:
        told = str(error)
    if batch is None:
        assert told.startswith("a.csv ")
        assert "\n" not in told
    else:
        assert {row for row, *_ in problems(batch)} == {5}
        assert batch.raw.select(pl.struct(pl.all()).struct.json_encode()).height == 6


# local times in files with one value a row, or one column a station


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_hour_that_comes_twice_is_told_apart_for_each_variable_and_station(tmp_path, newest_first):
    clocks = [("01:00", 1), ("02:00", 2), ("02:00", 3), ("03:00", 4)]
    expected = ["2024-10-26 23:00:00", "2024-10-27 00:00:00", "2024-10-27 01:00:00", "2024-10-27 02:00:00"]
    rows = list(reversed(clocks)) if newest_first else clocks
    text = "".join(f"2024-10-27 {clock},{name},{value}\n" for clock, value in rows for name in ("T", "U"))
    tidy = deliver(
        tmp_path,
        f"time,what,value\n{text}",
        timezone="Europe/Berlin",
        time="time",
        tidy={"variable": "what", "value": "value"},
        columns={"air_temperature_c": "T", "relative_humidity_pct": "U"},
    )
    assert "later_at" not in tidy.readings.columns
    by_value = {
        row["air_temperature_c"]: row["observed_at"] for row in tidy.readings.to_dicts() if row["air_temperature_c"]
    }
    assert [f"{by_value[value]:%Y-%m-%d %H:%M:%S}" for _, value in clocks] == expected
    table = "".join(f"2024-10-27 {clock},{value},{value}\n" for clock, value in rows)
    wide = {"air_temperature_c": {"a": "A", "b": "B"}}
    (tmp_path / "a.csv").write_text(f"time,A,B\n{table}")
    settings = {"name": "x", "files": "*.csv", "time": {"columns": [1]}, "timezone": "Europe/Berlin", "wide": wide}
    [batch] = CsvSource.model_validate(settings, context={"folder": tmp_path}).fetch(None, FOREVER, BUILT_IN, ())
    assert sorted(set(times(batch))) == expected
    assert "later_at" not in batch.readings.columns


@pytest.mark.parametrize(
    ("name", "encoding"), [("Псков", "cp1251"), ("Псков", "koi8-r"), ("Łódź", "cp1250"), ("東京", "shift_jis")]
)
def test_letters_in_cells_that_are_not_utf8_propose_their_encoding(tmp_path, name, encoding):
    batch = deliver_bytes(tmp_path, named(*[name] * 5).encode(encoding), **NAMED)
    [reason] = set(batch.problems["reason"])
    assert reason.startswith("has bytes that are not utf-8: they were damaged, or the file's encoding must be set: ")
    assert f'"{encoding}" ({name})' in reason
    assert deliver_bytes(tmp_path, named(name).encode(encoding), **NAMED, encoding=encoding).problems.is_empty()


@pytest.mark.parametrize(
    ("name", "encoding", "seen"),
    [("Köln", "cp850", "K”ln"), ("Zürich", "mac_roman", "ZŸrich"), ("Köln", "cp1252", "Köln")],
)
def test_a_guessed_encoding_is_told_where_station_names_depend_on_it(tmp_path, name, encoding, seen):
    batch = deliver_bytes(tmp_path, named(*[name] * 5).encode(encoding), **NAMED)
    [doubt] = batch.doubts
    assert doubt.startswith(f"station {seen!r} was read as cp1252, which is a guess, because the file is not UTF-8")
    assert 'set encoding = "cp1252" if it is right; if it is garbled, set encoding' in doubt
    assert (f'"{encoding}" ({name})' in doubt) == (encoding != "cp1252")
    assert deliver_bytes(tmp_path, named(name).encode("cp1252"), **NAMED, encoding="cp1252").doubts == ()


def test_a_guessed_encoding_is_not_told_where_no_name_depends_on_it(tmp_path):
    plain = "station,time,t,Bemerkung\nA,2025-06-01T01:00,1,Köln\n".encode("cp1252")
    assert deliver_bytes(tmp_path, plain, **NAMED).doubts == ()
    assert deliver_bytes(tmp_path, named("Köln").encode(), **NAMED).doubts == ()
