"""Every layout that can be declared: written from known values, read back equal; and what is said where it was not declared."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from daycast.errors import ConfigError, SourceError
from daycast.sources.batch import SourceBatch
from daycast.sources.files import csv_table
from daycast.sources.files.csv import CsvSource
from daycast.variables import BUILT_IN

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
START = datetime(2025, 6, 1, tzinfo=UTC)
AIR, PRESSURE, RAIN, WIND = "air_temperature_c", "station_pressure_hpa", "precipitation_mm", "wind_from_deg"
PLAIN = {"station": {"constant": "roof"}, "time": "time", "columns": {AIR: "t"}}


def read(folder: Path, text: str | bytes, **settings) -> list[SourceBatch]:
    (folder / "a.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    source = CsvSource.model_validate({"name": "a", "files": "a.csv"} | settings, context={"folder": folder})
    return list(source.fetch(None, FOREVER, BUILT_IN, ()))


def values(batches: list[SourceBatch], *names: str) -> list[tuple]:
    """Hour of the first of June 2025 and values, row by row; stations in front if there are several."""
    readings = pl.concat(batch.readings for batch in batches)
    assert [batch.problems.rows() + batch.bad_values.rows() for batch in batches] == [[]] * len(batches)
    several = ["station_id"] if readings["station_id"].n_unique() > 1 else []
    return readings.select(*several, pl.col("observed_at").dt.hour().cast(pl.Int64), *names).rows()


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("A title\ntime,t\n2025-06-01T01:00,5\n", {"lines_before_header": 1}),
        ("A title\n\n\ntime,t\n2025-06-01T01:00,5\n", {"lines_before_header": 2}),
        ('"a ""title"", quoted"\r\ntime,t\r\nTS,C\r\n,Avg\r\n2025-06-01T01:00,5\r\n',
         {"lines_before_header": 1, "lines_after_header": 2}),
        ("time,t\n(UTC),(C)\n2025-06-01T01:00,5\n", {"lines_after_header": 1}),
        ("# made by a logger\n# twice, t\ntime,t\n2025-06-01T01:00,5\n# battery changed, time,t\n", {"comment": "#"}),
        ("% columns:\n%time, t\n%\n2025-06-01T01:00,5\n", {"comment": "%", "header_in_comment": True}),
        ("// t, pressure\n// time, t, pressure\n// more\n2025-06-01T01:00,5,\n",
         {"comment": "//", "header_in_comment": True}),
        ("#time t\n#utc  C\n2025-06-01T01:00   5\n", {"comment": "#", "header_in_comment": True, "separator": "whitespace"}),
        ("  time \t t\n  2025-06-01T01:00     5 \n", {"separator": "whitespace"}),
        ("2025-06-01T01:00,5\n", {"names": ["time", "t"]}),
        ("no header\nyear C\n2025-06-01T01:00|5\n",
         {"names": ["time", "t"], "separator": "|", "lines_before_header": 1, "lines_after_header": 1}),
        ("time            t     flag\n2025-06-01T01:00    5a b c\n", {"widths": [16, 5]}),
        ("2025-06-01T01:00    5\n", {"widths": [16, 5], "names": ["time", "t"]}),
        ("°°time          °   t°\n  2025-06-01T01:00  5°\n",
         {"widths": [18, 3], "names": ["time", "t"], "lines_after_header": 0, "lines_before_header": 1}),
        ('"time\n(UTC)",t\n2025-06-01T01:00,5\n', {"time": "time (UTC)"}),
    ],
)  # fmt: skip
def test_a_header_and_its_rows_are_found_where_they_are_declared(tmp_path, text, settings):
    assert values(read(tmp_path, text, **PLAIN | settings), AIR) == [(1, 5.0)]


def test_of_repeated_names_the_position_says_which(tmp_path):
    text = "time,value,value,value\n2025-06-01T01:00,5,950,0.2\n2025-06-01T02:00,6,951,0.4\n"
    columns = {AIR: 2, PRESSURE: {"column": 3}, RAIN: 4}
    expected = [(1, 5.0, 950.0, 0.2), (2, 6.0, 951.0, 0.4)]
    assert values(read(tmp_path, text, **PLAIN | {"columns": columns}), AIR, PRESSURE, RAIN) == expected
    assert values(read(tmp_path, text, **PLAIN | {"columns": columns, "time": 1}), AIR, PRESSURE, RAIN) == expected
    with pytest.raises(SourceError, match=r"more than one column 'value'.*give its position, 2, 3, 4"):
        read(tmp_path, text, **PLAIN | {"columns": {AIR: "value"}})
    with pytest.raises(SourceError, match=r"no column 'column 9'"):
        read(tmp_path, text, **PLAIN | {"columns": {AIR: 9}})
    with pytest.raises(SourceError, match="column 1 is called 'time'; give either its position or its name"):
        read(tmp_path, text, **PLAIN | {"columns": {AIR: 1}})


def test_a_file_without_names_is_read_by_position(tmp_path):
    text = "# x\n7;roof;2025-06-01T01:00;5,5\n8;yard;2025-06-01T01:00;6\n"
    settings = {
        "names": [],
        "comment": "#",
        "separator": ";",
        "decimal": ",",
        "station": 2,
        "time": 3,
        "columns": {AIR: 4},
    }
    assert values(read(tmp_path, text, **settings), AIR) == [("roof", 1, 5.5), ("yard", 1, 6.0)]


@pytest.mark.parametrize(
    ("cell", "column", "expected"),
    [
        ("123", {"factor": 0.1}, 12.3),
        ("54", {"unit": "°F", "factor": 0.5, "offset": 5}, 0.0),
        ("53s", {"strip": ["s", "*"]}, 53.0),
        ("53 s*", {"strip": ["s", "*"]}, 53.0),
        ("70.3 °F", {"strip": "°F", "unit": "°F"}, (70.3 - 32) / 1.8),
        ("T", {"zero": "T"}, 0.0),
        ("Ts", {"zero": "T", "strip": "s"}, 0.0),
        ("-1", {"zero": -1, "factor": 0.1}, 0.0),
        ("-1.0", {"zero": -1}, 0.0),
        ("99", {"missing": [99]}, None),
        ("99.0", {"missing": [99]}, None),
        ("Ms", {"missing": "M", "strip": "s"}, None),
        ("NA", {"zero": "NA"}, 0.0),  # what a column says wins over what the source says
        ("NA", {}, None),
        ("s", {"strip": "s"}, None),  # a mark without a number
    ],
)
def test_a_cell_may_hold_more_than_a_number(tmp_path, cell, column, expected):
    settings = PLAIN | {"missing": "NA", "columns": {AIR: {"column": "t", **column}}}
    [(_, value)] = values(read(tmp_path, f"time,t\n2025-06-01T01:00,{cell}\n", **settings), AIR)
    assert value == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("cell", "way_out"),
    [(cell, "") for cell in ("s53", "T", "5 3", "1,5", "1,0132", "1,013,2.5")]
    + [
        ("53x", ': set strip = ["s", "x"]'),
        ("12 °C", ': set strip = ["s", "°C"], and unit = "°C" if the whole column is in it'),
        ("\u22121.5 K", ': set strip = ["s", "K"], and unit = "K" if the whole column is in it'),
    ],
)
def test_a_mark_that_was_not_declared_costs_the_value_and_not_the_row(tmp_path, cell, way_out):
    settings = PLAIN | {"thousands": ",", "columns": {AIR: {"column": "t", "strip": ["s"]}, RAIN: "r"}}
    [batch] = read(tmp_path, f'time,t,r\n2025-06-01T01:00,"{cell}",0.2\n', **settings)
    assert batch.problems.is_empty()
    assert batch.bad_values.rows() == [(0, "t", cell, f"no finite number{way_out}")]
    assert batch.readings.select(AIR, RAIN).rows() == [(None, 0.2)]


@pytest.mark.parametrize(
    ("cell", "thousands", "decimal", "value"),
    [("1,013.2", ",", ".", 1013.2), ("1.013,2", ".", ",", 1013.2), ("1'013.25", "'", ".", 1013.25), ("1,012", ",", ".", 1012.0),
     ("998.7", ",", ".", 998.7), ("1 013,2", " ", ",", 1013.2), ("1\u202f013,2", "\u202f", ",", 1013.2)],
)  # fmt: skip
def test_thousands_are_read_where_they_stand_between_groups_of_three(tmp_path, cell, thousands, decimal, value):
    settings = PLAIN | {"thousands": thousands, "decimal": decimal, "columns": {PRESSURE: "p"}}
    assert values(read(tmp_path, f'time,p\n2025-06-01T01:00,"{cell}"\n', **settings), PRESSURE) == [(1, value)]


TIDY = (
    "when;site;what;much;in\n"
    "2025-06-01T01:00;a;temp;50;°F\n2025-06-01T01:00;a;rain;0.1;in\n2025-06-01T01:00;a;volt;3.6;V\n"
    "2025-06-01T02:00;b; temp ;11;°C\n2025-06-01T02:00;b;;1;\n"
)
TIDY_SETTINGS = {
    "separator": ";",
    "station": "site",
    "time": "when",
    "tidy": {"variable": "what", "value": "much", "unit": "in"},
    "columns": {AIR: "temp", RAIN: {"column": "rain", "zero": ["T"]}},
}


def test_one_value_a_row_goes_where_its_variable_says_in_its_own_unit(tmp_path):
    [batch] = read(tmp_path, TIDY, **TIDY_SETTINGS)
    assert values([batch], AIR, RAIN) == [
        ("a", 1, pytest.approx(10.0), None),
        ("a", 1, None, 2.54),
        ("b", 2, 11.0, None),
    ]
    assert batch.raw.height == 3
    assert batch.left_out == 2
    assert batch.doubts == (
        "rows whose what is '', 'volt' are left out: map them in columns, or list them in tidy.ignore",
    )
    [quiet] = read(tmp_path, TIDY, **TIDY_SETTINGS | {"tidy": TIDY_SETTINGS["tidy"] | {"ignore": ["volt", ""]}})
    assert (quiet.left_out, quiet.doubts) == (2, ())


def test_a_unit_of_a_row_that_is_not_known_costs_its_value(tmp_path):
    [batch] = read(tmp_path, TIDY.replace("°F", "furlong").replace("rain;0.1", "rain;wet"), **TIDY_SETTINGS)
    assert batch.readings[AIR].to_list() == [None, None, 11.0]
    reason = "no unit of air_temperature_c; possible are °C, C, degC, °F, F, degF, K"
    assert batch.bad_values.rows() == [(0, "in", "furlong", reason), (1, "much", "wet", "no finite number")]


@pytest.mark.parametrize(
    ("units", "declared", "expected"),
    [
        (["°F", "", "°F"], {}, [10.0, None, 10.0]),
        (["", "", "K"], {}, [None, None, -223.15]),
        (["°F", "", "°C"], {"unit": "°F"}, [10.0, 10.0, 50.0]),  # what is declared holds without a unit
        (["°C", "", "degC"], {}, [50.0, 50.0, 50.0]),  # all others are in daycast's own
        (["", "", ""], {}, [50.0, 50.0, 50.0]),
    ],
)
def test_a_row_without_a_unit_beside_others_in_a_different_one_costs_its_value(tmp_path, units, declared, expected):
    rows = "".join(f"2025-06-01T0{hour}:00;a;temp;50;{unit}\n" for hour, unit in enumerate(units))
    others = "2025-06-01T05:00;a;rain;0.1;in\n2025-06-01T06:00;a;temp;;\n"  # of another variable; without a value
    settings = TIDY_SETTINGS | {"columns": {AIR: {"column": "temp", **declared}, RAIN: "rain"}}
    [batch] = read(tmp_path, "when;site;what;much;in\n" + rows + others, **settings)
    assert batch.readings[AIR].to_list()[:3] == [None if one is None else pytest.approx(one) for one in expected]
    reason = "no unit, though other rows of 'temp' have one: declare what holds without, "
    reason += 'air_temperature_c = { column = "temp", '
    lost = [row for row, value in enumerate(expected) if value is None]
    assert batch.bad_values.rows() == [(row, "in", None, reason + 'unit = "…" }') for row in lost]


@pytest.mark.parametrize(
    ("cell", "settings", "way_out"),
    [
        ("1.013,2", {"decimal": ","}, 'set thousands = "."'),
        ("1,013.2", {}, 'set thousands = ","'),
        ("1.013,2", {}, 'set decimal = "," and thousands = "."'),
        ("1 013,25", {"decimal": ","}, 'set thousands = " "'),
        ("1'013.25", {}, 'set thousands = "\'"'),
        ("1013,2", {}, 'set decimal = ","'),
        ("1.013", {"decimal": ","}, 'set decimal = ".", or thousands = "." if it marks thousands'),
        ("101,325,000", {}, 'set thousands = ","'),
        ("1013,2 hPa", {"columns": {PRESSURE: {"column": "p", "strip": "hPa"}}}, 'set decimal = ","'),
    ],
)
def test_a_number_with_other_marks_names_the_settings(tmp_path, cell, settings, way_out):
    given = PLAIN | {"columns": {PRESSURE: "p"}} | settings
    [batch] = read(tmp_path, f'time,p\n2025-06-01T01:00,"{cell}"\n', **given)
    assert batch.bad_values.rows() == [(0, "p", cell, f"no finite number: {way_out}")]


def test_a_bad_cell_of_a_file_with_one_column_a_station_is_told_by_its_column(tmp_path):
    wide = {AIR: {"roof": "Roof C", "yard": "Yard F"}, RAIN: {"roof": 4}}
    text = "time,Roof C,Yard F,Roof rain\n2025-06-01T01:00,5,?,wet\n2025-06-01T02:00,?,\xff,\n"
    [batch] = read(tmp_path, text.encode("latin-1"), time="time", wide=wide, encoding="utf-8")
    told = [(row, column, value) for row, column, value, _ in batch.bad_values.rows()]
    assert told == [(0, "column 4", "wet"), (1, "Roof C", "?"), (2, "Yard F", "?"), (3, "Yard F", "\ufffd")]


WIDE = "time,Roof C,Yard F,Roof rain\n2025-06-01T01:00,5,50,0.2\n2025-06-01T02:00,,59,x\n"


def test_one_column_a_station_becomes_a_row_a_station(tmp_path):
    wide = {AIR: {"roof": "Roof C", "north yard": 3}, RAIN: {"stations": {"roof": "Roof rain"}, "zero": "x"}}
    batches = read(tmp_path, WIDE, time="time", wide=wide)
    assert values(batches, AIR, RAIN) == [
        ("roof", 1, 5.0, 0.2), ("roof", 2, None, 0.0), ("north yard", 1, 50.0, None), ("north yard", 2, 59.0, None)
    ]  # fmt: skip
    fahrenheit = {AIR: {"stations": {"yard": "Yard F"}, "unit": "°F", "missing": 59}}
    assert values(read(tmp_path, WIDE, time="time", wide=fahrenheit), AIR) == [(1, pytest.approx(10.0)), (2, None)]


def test_what_is_wrong_in_a_file_with_one_column_a_station_is_told_by_station(tmp_path):
    [batch] = read(tmp_path, WIDE + "soon,1,2,3\n", time="time", wide={RAIN: {"roof": "Roof rain", "yard": "Yard F"}})
    assert batch.bad_values.rows() == [(1, "Roof rain", "x", "no finite number")]
    assert [(row, column) for row, column, *_ in batch.problems.rows()] == [(2, "time"), (5, "time")]
    assert batch.raw.row(1, named=True) == {"time": "2025-06-01T02:00", "station": "roof", RAIN: "x"}


def test_a_large_file_with_one_column_a_station_comes_in_smaller_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_table, "_MAX_ROWS", 4)
    rows = "".join(f"2025-06-01T{hour:02d}:00,{hour},{hour + 1}\n" for hour in range(8))
    batches = read(tmp_path, "time,a,b\n" + rows, time="time", wide={AIR: {"x": "a", "y": "b"}})
    assert [len(batch.readings) for batch in batches] == [4] * 4
    read_back = sorted(values(batches, AIR))
    assert read_back == [("x", hour, float(hour)) for hour in range(8)] + [("y", hour, hour + 1.0) for hour in range(8)]


@pytest.mark.parametrize(
    ("station", "width", "ids"),
    [
        ("station", 5, ["05480", "05480", "A12", "123456", "00000"]),
        ("station", None, ["5480", "5480.0", "A12", "123456", "0"]),
    ],
)
def test_a_width_gives_back_the_zeros_that_spreadsheets_take(tmp_path, station, width, ids):
    rows = "".join(
        f"2025-06-01T0{hour}:00,{name},1\n" for hour, name in enumerate(["5480", "5480.0", "A12", "123456", "0"])
    )
    settings = PLAIN | {"station": station} | ({"station_width": width} if width else {})
    [batch] = read(tmp_path, f"time,station,t\n{rows}", **settings)
    assert batch.readings["station_id"].to_list() == ids


def test_the_station_list_has_the_same_width(tmp_path):
    (tmp_path / "list.csv").write_text("station_id,latitude\n5480,51.5\n00044,52.9\n")
    source = {"name": "a", "files": "a.csv", "station_width": 5, "station_list": {"file": "list.csv"}} | PLAIN
    stations = CsvSource.model_validate(source, context={"folder": tmp_path}).stations()
    assert stations["station_id"].to_list() == ["05480", "00044"]
    (tmp_path / "list.csv").write_text("station_id\n5480\n05480\n")
    with pytest.raises(SourceError, match="lists station '05480' more than once"):
        CsvSource.model_validate(source, context={"folder": tmp_path}).stations()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Garden north\n\ntime,t\n2025-06-01T01:00,5\n", r"line 3 has them: set lines_before_header = 2$"),
        ("# logger 7\n#time,t\n2025-06-01T01:00,5\n", r'line 2 has them: set comment = "#", header_in_comment = true$'),
        ("title\ntime;t\n2025-06-01T01:00;5\n", r'line 2 has them: set separator = ";", lines_before_header = 1$'),
        ("time t\n2025-06-01T01:00 5\n", r'line 1 has them: set separator = "whitespace"$'),
        ("2025-06-01T01:00,5\n2025-06-01T02:00,6\n", r"no column 'time', 't'; it has: 2025-06-01T01:00, 5$"),
    ],
)
def test_a_header_that_is_elsewhere_is_pointed_at(tmp_path, text, told):
    with pytest.raises(SourceError, match=told):
        read(tmp_path, text, **PLAIN)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"header_in_comment": True}, "header_in_comment needs comment"),
        ({"header_in_comment": True, "comment": "#", "names": ["a"]}, "give either names"),
        ({"names": ["a", "b"], "widths": [3]}, "2 names and 1 widths"),
        ({"names": ["a", "a"]}, "'a' more than once"),
        ({"widths": [0]}, "greater than or equal to 1"),
        ({"lines_before_header": -1}, "greater than or equal to 0"),
        ({"thousands": "."}, "thousands and decimal are both"),
        ({"station": None}, "station is missing"),
        ({"wide": {AIR: {"a": "b"}}}, "leave station out"),
        ({"wide": {AIR: {"column": "x", "stations": {"a": "b"}}}}, "wide has no column 'x'"),
        ({"station_width": 0}, "station_width"),
        ({"columns": {AIR: {"column": "t", "factor": 0}}}, "factor 0"),
        ({"columns": {WIND: {"column": "t", "factor": 10, "unit": "compass"}}}, "points of the compass are no numbers"),
        ({"columns": {AIR: 0}}, "column"),
        ({"columns": {AIR: True}}, "column"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(settings, told):
    with pytest.raises(ValidationError, match=told):
        CsvSource.model_validate({"name": "a", "files": "a.csv"} | PLAIN | settings)


@pytest.mark.parametrize(
    ("text", "settings", "told"),
    [
        ("time,t\n", {"lines_before_header": 5}, "a.csv has no header after 1 lines: are lines_before_header"),
        ("time,t\n1,2\n", {"comment": "#", "header_in_comment": True}, "no comment before its first row"),
    ],
)
def test_a_header_that_is_not_where_it_was_declared_is_one_line(tmp_path, text, settings, told):
    with pytest.raises(SourceError, match=told):
        read(tmp_path, text, **PLAIN | settings)


def test_a_quotation_mark_out_of_place_is_told_by_its_line_in_the_file(tmp_path):
    text = 'title\n# comment\ntime,t\nunit,C\n2025-06-01T01:00,5\n# comment\n2025-06-01T02:00,"5"x\n'
    with pytest.raises(SourceError, match=r"a\.csv line 7: a quotation mark"):
        read(tmp_path, text, **PLAIN | {"lines_before_header": 1, "lines_after_header": 1, "comment": "#"})


def test_settings_that_are_not_used_change_no_fingerprint(tmp_path):
    def fingerprint(**settings) -> str:
        [batch] = read(tmp_path, "time,t\n2025-06-01T01:00,5\n", **PLAIN | settings)
        return batch.fingerprint

    # made with the settings that there were before any layout could be declared
    assert fingerprint() == "843028745bc4d8698c540209c0a76d6e5d2fd822efdfe769e83a6e8d59947293"
    assert fingerprint(lines_before_header=0, names=None, comment=None, widths=[], tidy=None, wide={}) == fingerprint()
    assert fingerprint(columns={AIR: {"column": "t", "factor": 1, "zero": []}}) == fingerprint()
    assert fingerprint(comment="#") != fingerprint()
    assert fingerprint(columns={AIR: {"column": "t", "factor": 0.1}}) != fingerprint()


# Any layout that can be declared, written from a known frame, is read back equal.

HEADERS = {
    "utf-8": "температура °C",
    "utf-16-le": "температура °C",
    "cp1251": "температура",
    "shift_jis": "気温(℃)",
    None: "Température",
}
TENTHS = st.none() | st.integers(-400, 12000)
FRAMES = st.dictionaries(
    st.sampled_from(["7", "roof", "north"]), st.lists(st.tuples(TENTHS, TENTHS), min_size=1, max_size=4), min_size=1
)
LAYOUTS = st.fixed_dictionaries(
    {
        "shape": st.sampled_from(["plain", "tidy", "wide"]),
        "separator": st.sampled_from([",", ";", "\t", "|", "whitespace"]),
        "decimal": st.sampled_from([".", ","]),
        "thousands": st.booleans(),
        "tenths": st.booleans(),
        "mark": st.sampled_from(["", "s", "°C"]),
        "encoding": st.sampled_from(list(HEADERS)),
        "before": st.integers(0, 3),
        "after": st.integers(0, 2),
        "comment": st.sampled_from([None, "#", "//"]),
        "header": st.sampled_from(["names", "positions", "given", "commented", "none"]),
        "fixed": st.booleans(),
        "line_end": st.sampled_from(["\n", "\r\n"]),
    }
)


@given(FRAMES, LAYOUTS)
def test_any_layout_that_can_be_declared_is_read_back_equal(tmp_path_factory, frame, layout):
    rows = [
        (station, START + timedelta(hours=hour), *pair)
        for station, pairs in frame.items()
        for hour, pair in enumerate(pairs)
    ]
    text, settings = written(rows, layout)
    batches = read(tmp_path_factory.mktemp("layout"), text, **settings)
    assert [batch.problems.rows() + batch.bad_values.rows() for batch in batches] == [[]] * len(batches)
    readings = pl.concat(batch.readings for batch in batches)
    assert long(readings) == sorted(
        (station, at, name, pytest.approx(tenths / 10))
        for station, at, *pair in rows
        for name, tenths in zip([AIR, PRESSURE], pair, strict=True)
        if tenths is not None
    )


def long(readings: pl.DataFrame) -> list[tuple]:
    return sorted(readings.unpivot([AIR, PRESSURE], index=["station_id", "observed_at"]).drop_nulls("value").rows())


def written(rows: list[tuple], layout: dict) -> tuple[bytes, dict]:
    """The rows as a file in this layout, and the settings that declare it."""
    header, cells, settings = shaped(rows, layout)
    separator = {"whitespace": "  "}.get(layout["separator"], layout["separator"])
    width = 2 + max(len(cell) for line in [header, *cells] for cell in line)
    quote = not layout["fixed"] and layout["separator"] != "whitespace"

    def line(fields: list[str]) -> str:
        if layout["fixed"]:
            return "".join(field.rjust(width) for field in fields)
        return separator.join(f'"{field}"' if quote and {separator, " "} & set(field) else field for field in fields)

    comment = layout["comment"]
    lines = ["title; of the, file"] * layout["before"]
    settings |= {"lines_before_header": layout["before"], "lines_after_header": layout["after"]}
    if layout["header"] == "commented" and comment and not layout["fixed"]:
        lines += [f"{comment} about", f"{comment} {line(header)}", comment]
        settings |= {"header_in_comment": True}
    elif layout["header"] in {"none", "given"}:
        settings |= {"names": header if layout["header"] == "given" else []}
        settings = settings if layout["header"] == "given" else by_position(settings, header)
    else:
        lines += [*([f"{comment} about"] if comment else []), line(header)]
        settings = by_position(settings, header) if layout["header"] == "positions" else settings
    lines += ["units, of; columns"] * layout["after"]
    for number, fields in enumerate(cells):
        lines += [line(fields), *([f"{comment} remark"] if comment and number % 2 else [])]
    settings |= {"comment": comment} if comment else {}
    settings |= {"widths": [width] * len(header)} if layout["fixed"] else {}
    settings |= {"encoding": layout["encoding"]} if layout["encoding"] else {}
    text = layout["line_end"].join([*lines, ""])
    return text.encode(layout["encoding"] or "cp1252"), settings


def shaped(rows: list[tuple], layout: dict) -> tuple[list[str], list[list[str]], dict]:
    """Header, cells and settings of the rows in the shape of this layout."""
    air = HEADERS[layout["encoding"]].replace(" ", "_")
    column = {"factor": 0.1} if layout["tenths"] else {}
    column |= {"strip": layout["mark"]} if layout["mark"] and layout["encoding"] != "shift_jis" else {}
    thousands = {".": ",", ",": "."}[layout["decimal"]] if layout["thousands"] else None
    settings = {
        "separator": layout["separator"],
        "decimal": layout["decimal"],
        "thousands": thousands,
        "missing": "NA",
        "time": "time",
    }

    def cell(tenths: int | None) -> str:
        if tenths is None:
            return "NA"
        number = f"{tenths:,}" if layout["tenths"] else f"{tenths / 10:,.1f}"
        number = number.translate(str.maketrans({",": thousands or "", ".": layout["decimal"]}))
        return number + (layout["mark"] if "strip" in column else "")

    times = [f"{at:%Y-%m-%dT%H:%M}" for _, at, *_ in rows]
    if layout["shape"] == "plain":
        settings |= {
            "station": "site",
            "columns": {AIR: {"column": air, **column}, PRESSURE: {"column": "p", **column}},
        }
        cells = [[at, row[0], cell(row[2]), cell(row[3])] for at, row in zip(times, rows, strict=True)]
        return ["time", "site", air, "p"], cells, settings
    if layout["shape"] == "tidy":
        settings |= {
            "station": "site",
            "columns": {AIR: {"column": air, **column}, PRESSURE: {"column": "p", **column}},
        }
        settings |= {"tidy": {"variable": "what", "value": "value"}}
        both = zip(times, rows, strict=True)
        cells = [
            [at, row[0], what, cell(value)] for at, row in both for what, value in zip([air, "p"], row[2:], strict=True)
        ]
        return ["time", "site", "what", "value"], cells, settings
    stations = list(dict.fromkeys(row[0] for row in rows))
    by_key = {(row[0], at): row[2:] for at, row in zip(times, rows, strict=True)}
    names = [f"{station}_{what}" for station in stations for what in (air, "p")]
    for name, what in ((AIR, air), (PRESSURE, "p")):
        settings.setdefault("wide", {})[name] = column | {
            "stations": {station: f"{station}_{what}" for station in stations}
        }
    cells = [
        [at, *(cell(value) for station in stations for value in by_key.get((station, at), (None, None)))]
        for at in sorted(set(times))
    ]
    return ["time", *names], cells, settings


def by_position(settings: dict, header: list[str]) -> dict:
    """The settings with positions in place of the names of columns."""
    at = {name: number for number, name in enumerate(header, 1)}
    settings = settings | {"time": at["time"]}
    if "wide" in settings:
        wide = {
            name: mapped | {"stations": {station: at[column] for station, column in mapped["stations"].items()}}
            for name, mapped in settings["wide"].items()
        }
        return settings | {"wide": wide}
    settings |= {"station": at["site"]}
    if "tidy" in settings:
        return settings | {"tidy": {key: at[column] for key, column in settings["tidy"].items()}}
    return settings | {
        "columns": {name: column | {"column": at[column["column"]]} for name, column in settings["columns"].items()}
    }


# Later headers

UNDER = "(later header)"


def under(batch: SourceBatch) -> list[tuple[int, str]]:
    """The rows under another header, and which."""
    return [(row, value) for row, column, value, _ in batch.problems.rows() if column == UNDER]


@pytest.mark.parametrize(
    ("text", "settings", "told"),
    [
        ("time,t,r\n2025-06-01T01:00,5,0\n\ntime,h,t\n2025-06-01T02:00,80,6\n", {},
         [(1, "line 4: time, h, t"), (2, "line 4: time, h, t")]),
        ("title\nTIME;t\nTS;C\n2025-06-01T01:00;5\ntitle\nTIME;h;t\nTS;%;C\n2025-06-01T02:00;80;6\n",
         {"separator": ";", "time": "TIME", "lines_before_header": 1, "lines_after_header": 1},
         [(2, "line 6: TIME, h, t"), (3, "line 6: TIME, h, t"), (4, "line 6: TIME, h, t")]),
        ("# time t\n2025-06-01T01:00 5\n# battery changed\n# time h t\n2025-06-01T02:00 80 6\n",
         {"comment": "#", "header_in_comment": True, "separator": "whitespace"}, [(1, "line 4: time, h, t")]),
        ("time       t    h\n2025-06-01 5    80\ntime       h    t\n2025-06-02 81   6\n",
         {"widths": [11, 5, 5], "time": {"column": "time", "daily": True}},
         [(1, "line 3: time, h, t"), (2, "line 3: time, h, t")]),
        ('"time","t"\n2025-06-01T01:00,5\n"Zeit","h","t"\n2025-06-01T02:00,80,6\n', {}, []),  # shares one name only
        ("date,clock,t,h\n2025-06-01,01:00,5,80\ndate,clock,h,t\n2025-06-01,02:00,81,6\n",
         {"time": {"columns": ["date", "clock"]}}, [(1, "line 3: date, clock, h, t"), (2, "line 3: date, clock, h, t")]),
    ],
)  # fmt: skip
def test_rows_under_another_header_are_refused_with_its_line_and_names(tmp_path, text, settings, told):
    [batch] = read(tmp_path, text, **PLAIN | settings)
    assert under(batch) == told
    reasons = {reason for _, column, _, reason in batch.problems.rows() if column == UNDER}
    assert all("cut the file before that line" in reason for reason in reasons)
    assert all(batch.readings.row(row) == (None,) * batch.readings.width for row, _ in told)


@pytest.mark.parametrize(
    "text",
    [
        "time,t,r\n2025-06-01T01:00,5,0\ntime,t,r\n2025-06-01T02:00,6,0\n",  # the same once more
        "time,t,r\n2025-06-01T01:00,5,0\ntime,t,h\n2025-06-01T02:00,6,80\n",  # what is read stands where it stood
        "time,t,r\n2025-06-01T01:00,5,0\nNA,NA,NA\n2025-06-01T02:00,6,0\n",
        "time,t,r\n2025-06-01T01:00,5,0\nt,,\n2025-06-01T02:00,6,0\n",
    ],
)
def test_a_header_that_says_the_same_and_text_that_is_none_changes_nothing(tmp_path, text):
    [batch] = read(tmp_path, text, **PLAIN)
    assert under(batch) == []
    assert batch.readings[AIR].to_list()[::2] == [5.0, 6.0]


def test_the_first_header_once_more_is_read_again_and_chunks_go_on_under_theirs(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_table, "_MAX_ROWS", 2)
    rows = [f"2025-06-01T{hour:02d}:00,{hour},{hour}" for hour in range(9)]
    text = "\n".join(["time,t,h", *rows[:3], "time,h,t", *rows[3:7], "time,t,h", *rows[7:], ""])
    batches = read(tmp_path, text, **PLAIN)
    assert len(batches) > 3
    refused = [batch.raw["time"][row][-5:] for batch in batches for row, _ in under(batch)]
    assert refused == ["time", "03:00", "04:00", "05:00", "06:00"]
    assert {value for batch in batches for _, value in under(batch)} == {"line 5: time, h, t"}


def test_a_later_header_of_a_file_with_one_column_a_station_is_found(tmp_path):
    text = "time,a,b\n2025-06-01T01:00,1,2\ntime,b,a\n2025-06-01T02:00,2,1\n"
    [batch] = read(tmp_path, text, time="time", wide={AIR: {"x": "a", "y": "b"}})
    assert under(batch) == [(row, "line 3: time, b, a") for row in (1, 2, 4, 5)]


@pytest.mark.parametrize("cell", ["\u22121.5", "\u22121,5", "-1.5"])
def test_a_typographic_minus_is_one(tmp_path, cell):
    settings = PLAIN | {"decimal": "," if "," in cell else "."}
    assert values(read(tmp_path, f'time,t\n2025-06-01T01:00,"{cell}"\n', **settings), AIR)[0][1] == -1.5


def test_a_typographic_minus_alone_is_no_number(tmp_path):
    [batch] = read(tmp_path, "time,t\n2025-06-01T01:00,\u2212\n2025-06-01T02:00,1\u2212\n", **PLAIN)
    assert batch.readings[AIR].to_list() == [None, None]
    assert len(batch.bad_values) == 2


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        ({"strip": ["°C", "°F"]}, "'°F'"),
        ({"strip": "°F"}, "'°F'"),
        ({"strip": ["°C", "°F"], "unit": "°F"}, "'°C'"),
        ({"strip": "F"}, "'F'"),
        ({"strip": " K"}, "' K'"),
    ],
)
def test_no_other_unit_is_cut_off(tmp_path, column, wrong):
    settings = PLAIN | {"columns": {AIR: {"column": "t", **column}}}
    with pytest.raises(
        ConfigError, match=f"strip of {AIR} cuts off {wrong}, and its numbers are read in .*leave {wrong} out"
    ):
        read(tmp_path, "time,t\n2025-06-01T01:00,20 °C\n2025-06-01T02:00,70 °F\n", **settings)


def test_the_unit_of_a_rate_is_cut_off_with_or_without_its_time(tmp_path):
    column = {"column": "t", "unit": "in/min", "cell_method": "rate", "strip": ["in", "in/min"]}
    [batch] = read(
        tmp_path, "time,t\n2025-06-01T01:00,1 in\n2025-06-01T02:00,2 in/min\n", **(PLAIN | {"columns": {RAIN: column}})
    )
    assert batch.readings[RAIN].to_list() == pytest.approx([1524, 3048])


@pytest.mark.parametrize(
    "column",
    [
        {"strip": ["°C", "C"]},
        {"strip": "°F", "unit": "°F"},
        {"strip": "°F", "factor": 0.5556, "offset": -17.8},
        {"strip": ["F", "s"], "unit": "°C"},  # flags
    ],
)
def test_the_unit_of_the_column_and_flags_are_cut_off(tmp_path, column):
    settings = PLAIN | {"columns": {AIR: {"column": "t", **column}}}
    mark = column["strip"] if isinstance(column["strip"], str) else column["strip"][0]
    [(_, value)] = values(read(tmp_path, f"time,t\n2025-06-01T01:00,50 {mark}\n", **settings), AIR)
    assert value == pytest.approx(50 if mark != "°F" else 10, abs=0.1)


BLANKS = PLAIN | {"separator": "whitespace", "columns": {AIR: "t", RAIN: "r"}}


@pytest.mark.parametrize(
    ("rows", "short"),
    [
        (["2025-06-01T01:00 12 0", "2025-06-01T02:00    1", "2025-06-01T03:00 13 0"], {1: "2 of 3"}),
        (["  2025-06-01T01:00\t0.2", "", "2025-06-01T02:00 13 0 "], {0: "2 of 3"}),
        (["2025-06-01T01:00", "2025-06-01T02:00", "2025-06-01T03:00"], dict.fromkeys(range(3), "1 of 3")),
    ],
)
def test_between_blanks_a_row_with_fewer_fields_is_refused(tmp_path, rows, short):
    [batch] = read(tmp_path, "\n".join(["time t r", *rows, ""]), **BLANKS)
    assert dict(batch.problems.select("row_number", "reason").iter_rows()) == {
        row: f"fewer fields than the header: {count}, and nothing tells which is missing: set widths, or have it marked (missing)"
        for row, count in short.items()
    }
    assert batch.problems["value"][0] == " ".join(rows[min(short)].split())
    at = list(short)
    assert batch.readings.select(AIR, RAIN)[at].null_count().row(0) == (len(at), len(at))
    assert batch.doubts == ()


def test_between_blanks_rows_under_a_later_header_are_told_once(tmp_path):
    text = "time t r\n2025-06-01T01:00 12 0\ntime r\n2025-06-01T02:00 1\n"
    [batch] = read(tmp_path, text, **BLANKS)
    assert batch.problems.filter(pl.col("row_number") == 2)["reason"].str.contains("names the columns").to_list() == [
        True
    ]


def test_widths_take_a_blank_cell_for_one(tmp_path):
    text = "time             t    r\n2025-06-01T01:00      1.5\n"
    [batch] = read(tmp_path, text, **(BLANKS | {"widths": [16, 5, 4]}))
    assert (batch.readings.select(AIR, RAIN).row(0), len(batch.problems)) == ((None, 1.5), 0)


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        (
            "time,t,r\n2025-06-01T01:00,12,0\n\n2025-06-01T02:00,1\n2025-06-01T03:00,13,0\n2025-06-01T04:00,1\n",
            "2 rows have fewer fields than the header, first line 4: 2 of 3",
        ),
        (
            'time,t,r\n2025-06-01T01:00,"12\n",0\n2025-06-01T02:00,"1,5"\n2025-06-01T03:00,13,0\n',
            "1 row has fewer fields than the header, first line 4: 2 of 3",
        ),
    ],
)
def test_behind_a_separator_some_short_rows_are_counted_and_kept(tmp_path, text, doubt):
    [batch] = read(tmp_path, text, **(PLAIN | {"decimal": ",", "columns": {AIR: "t", RAIN: "r"}}))
    assert [one for one in batch.doubts if "fewer" in one] == [
        f"a.csv: {doubt}; the last ones are taken for empty, so see whether one is missing before them"
    ]
    assert "fewer" not in " ".join(batch.problems["reason"])


@pytest.mark.parametrize(
    "text",
    [
        "time,t,r\n2025-06-01T01:00,12\n2025-06-01T02:00,1\n",  # in no row
        "time,t,r\n2025-06-01T01:00,12,\n2025-06-01T02:00,1,0.2\n,,\n",  # empty, and there
        "time,t,r,\n2025-06-01T01:00,12,0\n2025-06-01T02:00,1,0.2,\n",  # a separator may end a line
        "# x\ntime,t,r\n# 5,6\n2025-06-01T01:00,12,\n2025-06-01T02:00,1,0.2\n",
    ],
)
def test_nothing_is_said_where_no_row_is_shorter_than_others(tmp_path, text):
    settings = PLAIN | {"comment": "#", "columns": {AIR: "t", RAIN: "r"}}
    [batch] = read(tmp_path, text, **settings)
    assert (batch.doubts, len(batch.problems)) == ((), 0)
