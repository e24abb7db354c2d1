"""Files that are no known layout: what is guessed from names and values, and that guesses are marked as such."""

import gzip
import os
import sqlite3
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from daycast.errors import SourceError
from daycast.settings import Settings
from daycast.steps.propose import propose_source

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def propose(folder: Path, text: str, file: str = "data.csv", encoding: str = "utf-8") -> tuple[dict[str, Any], str]:
    """The settings that are proposed for a text, and how they are written."""
    (folder / file).write_text(text, encoding=encoding)
    written = propose_source(folder / file, folder, NOW)
    assert "[[sources]]" in written
    return tomllib.loads(written)["sources"][0], written


def guesses(written: str) -> list[str]:
    """The settings that are marked as guesses."""
    return [line.split(" = ")[0] for line in written.splitlines() if "# a guess: " in line]


TITLED = (
    "Wetterstation Garten\n\n"
    "Datum;Uhrzeit;Temperatur (°C);Luftdruck (hPa);Niederschlag (mm);Windgeschwindigkeit (km/h);Windrichtung\n"
    "13.03.2025;00:00;5,1;1.013,2;0,0;10,8;NW\n13.03.2025;01:00;4,9;1.013,4;0,2;9,0;NNW\n14.03.2025;00:00;4,9;1.013,4;0,2;9,0;NNW\n"
)


def test_a_title_day_and_clock_decimal_commas_thousands_and_compass_points(tmp_path: Path):
    source, written = propose(tmp_path, TITLED, encoding="cp1252")
    assert source["lines_before_header"] == 2
    assert (source["separator"], source["decimal"], source["thousands"]) == (";", ",", ".")
    assert source["time"] == {"columns": ["Datum", "Uhrzeit"], "format": "%d.%m.%Y %H:%M"}
    assert source["columns"] == {
        "air_temperature_c": "Temperatur (°C)",
        "station_pressure_hpa": "Luftdruck (hPa)",
        "wind_speed_m_s": {"column": "Windgeschwindigkeit (km/h)", "unit": "km/h"},
        "wind_from_deg": {"column": "Windrichtung", "unit": "compass"},
        "precipitation_mm": "Niederschlag (mm)",
    }
    assert guesses(written) == ["timezone", "station", "station_pressure_hpa"]
    assert "It reads 3 rows of station data from 2025-03-13 00:00 to 2025-03-14 00:00 UTC, and refuses 0." in written


@pytest.mark.parametrize(
    ("header", "row", "time"),
    [
        ("when,temp", "2025-03-13T00:00:00+01:00,5.1", "when"),
        ("ts,temp", "1741820400,5.1", {"column": "ts", "epoch": "s"}),
        ("stamp,temp", "13.03.2025 14:00:00,5.1", {"column": "stamp", "format": "%d.%m.%Y %H:%M:%S"}),
        ("stamp,temp", "2025031314,5.1", {"column": "stamp", "format": "%Y%m%d%H"}),
        ("stamp,temp", "3/13/2025 2:00 PM,5.1", {"column": "stamp", "format": "%m/%d/%Y %I:%M %p"}),
        ("stamp,temp", "3/13/2025 2:00PM,5.1", {"column": "stamp", "format": "%m/%d/%Y %I:%M%p"}),
        ("stamp,temp", "3/13/2025 2:00p,5.1", {"column": "stamp", "format": "%m/%d/%Y %I:%M%p"}),
        ("Date,Hour,temp", "2025-03-13,14,5.1", {"columns": ["Date", "Hour"], "format": "%Y-%m-%d %H"}),
        ("Year,DOY,HHMM,temp", "2025,72,30,5.1", {"columns": ["Year", "DOY", "HHMM"], "format": "%Y %j %H%M"}),
        ("YY,MM,DD,hh,mm,temp", "2025,03,13,14,30,5.1", {"year": "YY", "month": "MM", "day": "DD", "hour": "hh", "minute": "mm"}),
        ("Year,Month,Day,Time,temp", "2025,3,13,14:30,5.1",
         {"columns": ["Year", "Month", "Day", "Time"], "format": "%Y %m %d %H:%M"}),
    ],
)  # fmt: skip
def test_times_in_one_column_or_several(header: str, row: str, time: object, tmp_path: Path):
    assert propose(tmp_path, f"{header}\n{row}\n")[0]["time"] == time


@pytest.mark.parametrize(
    "format_",
    [
        "%d-%m-%y %H:%M", "%m-%d-%y %H:%M", "%y-%m-%d %H:%M", "%d.%m.%Y %H.%M", "%b %d %Y %H:%M", "%B %d, %Y %I:%M %p",
        "%A %d %B %Y %H:%M", "%d%b%Y %H:%M", "%Y%m%d %H%M", "%Y-%m-%d_%H:%M", "%Y/%m/%d-%H:%M:%S", "%d-%m-%Y %Hh%M",
        "%Y-%m-%d %Hh", "%d.%m.%y %H:%M Uhr", "%Y-%j %H:%M", "%a %b %d %H:%M:%S %Y", "%d/%m/%Y %H:%M:%S +0200",
    ],
)  # fmt: skip
def test_forms_of_a_time_in_one_column(format_: str, tmp_path: Path):
    hours = [datetime(2025, 7, 22, tzinfo=UTC) + timedelta(hours=7 * number) for number in range(24)]
    rows = "".join(f"{hour.strftime(format_)};{number}\n" for number, hour in enumerate(hours))
    source, written = propose(tmp_path, f"stamp;temp\n{rows}")
    assert source["time"] == {"column": "stamp", "format": format_.replace("+0200", "%z")}
    assert "It reads 24 rows" in written
    assert "time" not in guesses(written)


@pytest.mark.parametrize(("first", "second", "format_"), [("03/04", "04/04", "%d/%m"), ("03/04", "03/05", "%m/%d")])
def test_the_day_is_told_from_the_month_by_the_times_that_lie_closer_together(
    first: str, second: str, format_: str, tmp_path: Path
):
    source, written = propose(tmp_path, f"time,temp\n{first}/2025 00:00,5\n{second}/2025 00:00,6\n")
    assert source["time"]["format"] == f"{format_}/%Y %H:%M"
    assert "time" not in guesses(written)


def test_a_day_that_cannot_be_told_from_the_month_is_a_guess(tmp_path: Path):
    assert "time" in guesses(propose(tmp_path, "time,temp\n03/04/2025 00:00,5\n03/04/2025 01:00,6\n")[1])


@pytest.mark.parametrize(
    ("header", "zone", "is_guess"),
    [
        ("Time (UTC)", "UTC", False),
        ("Date Time, GMT-05:00", "-05:00", False),
        ("Time (UTC+5:30)", "+05:30", False),
        ("MST", "-07:00", True),
        ("Tid(norsk normaltid)", "+01:00", True),
        ("Time", "UTC", True),
    ],
)
def test_the_zone_is_what_the_time_column_says_or_a_guess(header: str, zone: str, is_guess: bool, tmp_path: Path):
    source, written = propose(tmp_path, f'"{header}",temp\n2025-03-13 00:00,5\n')
    assert source["timezone"] == zone
    assert ("timezone" in guesses(written)) == is_guess


def test_seconds_around_full_hours_are_a_tolerance(tmp_path: Path):
    rows = "".join(f"2025-03-13 {hour:02}:00:0{hour % 9},5\n" for hour in range(24))
    source, written = propose(tmp_path, f"time,temp\n{rows}")
    assert source["tolerance"] == "10s"
    assert "tolerance" in guesses(written)


@pytest.mark.parametrize(
    ("column", "cells", "expected", "is_guess"),
    [
        ("temp", ["61.2", "62.0"], {"unit": "°F"}, True),
        ("temp", ["281.2", "282.0"], {"unit": "K"}, True),
        ("temperature_f", ["21.2", "22.0"], {"unit": "°F"}, False),
        ("Temperatur [0,1 °C]", ["212", "-20"], {"factor": 0.1}, False),
        ("temp 0.1 °C", ["212", "-20"], {"factor": 0.1}, False),
        ("temp (°C) x10", ["212", "-20"], {"factor": 0.1}, False),
        ("temp", ["212", "-20"], {"factor": 0.1}, True),
        ("rain (1/100 in)", ["0", "12"], {"unit": "in", "factor": 0.01}, False),
        ("rain_hundredths_in", ["0", "12"], {"unit": "in", "factor": 0.01}, False),
        ("Rain (0.2 mm)", ["0", "3"], {"factor": 0.2}, False),
        ("Rain (0.2 mm)", ["0.2", "3.4"], {"factor": 0.2}, True),
        ("rain [mm/10]", ["0", "31"], {"factor": 0.1}, False),
        ("T2m in °F", ["51.2", "52.0"], {"unit": "°F"}, False),
        ("temp", ["-999", "12.0"], {"missing": [-999]}, True),
        ("temp", ["8.1 °C", "8.0 °C"], {"strip": ["°C"]}, False),
        ("temp (°C)", ["53s", "n/a"], {"strip": ["s"], "missing": ["n/a"]}, False),
        ("temp (°C)", ["5", "kaputt"], {"missing": ["kaputt"]}, True),
        ("barometer", ["29.92", "30.01"], {"unit": "inHg"}, True),
        ("slp", ["10132", "10130"], {"factor": 0.1}, True),
        ("humidity", ["0.81", "0.92"], {"factor": 100}, True),
        ("wind_dir", ["12", "36"], {"factor": 10}, True),
        ("drct", ["120", "VRB"], {"missing": ["VRB"]}, False),
        ("Rain Rate (mm/h)", ["0", "2"], {"cell_method": "rate"}, False),
        ("Daily Rain (mm)", ["0", "2"], {"cell_method": "counter"}, False),
        ("rain (in)", ["0.0", "T"], {"unit": "in", "zero": ["T"]}, False),
        ("rain (mm)", ["0", "0.2", "0.2", "0.2", "0.4", "0.4", "0.4", "0.4"], {"cell_method": "counter"}, True),
        ("rain (mm)", ["0", "0.2", "0", "0.4", "0.2", "0", "0", "0.2"], {}, False),
    ],
)  # fmt: skip
def test_units_marks_and_methods_by_names_and_values(
    column: str, cells: list[str], expected: dict[str, Any], is_guess: bool, tmp_path: Path
):
    rows = "".join(f'2025-03-13 {hour:02}:00,"{cell}"\n' for hour, cell in enumerate(cells))
    source, written = propose(tmp_path, f'time,"{column}"\n{rows}')
    [(variable, given)] = source["columns"].items()
    assert given == ({"column": column, **expected} if expected else column)
    assert (variable in guesses(written)) == is_guess


@pytest.mark.parametrize(
    "column",
    ["temp max", "MaxTemp", "Temperature Min. (°C)", "temperatura máxima", "Lufttemperatur Maximum", "rain_6h"],
)
def test_extremes_and_sums_of_several_hours_are_not_taken(column: str, tmp_path: Path):
    source, written = propose(tmp_path, f"time,{column},rh (%)\n2025-03-13 00:00,5.1,80\n2025-03-13 01:00,5.2,81\n")
    assert source["columns"] == {"relative_humidity_pct": "rh (%)"}
    assert f"# Not read: {column}." in written


@pytest.mark.parametrize(
    "column",
    ["sid", "stn", "station_no", "id", "usaf", "wmo", "node_id", "Kennung", "estación", "Stationsnummer des Netzes"],
)
def test_the_column_of_the_station_by_its_name_or_because_times_repeat(column: str, tmp_path: Path):
    rows = "".join(f"2025-03-13 {hour:02}:00,{id_},5.{hour}\n" for id_ in (72345, 72346) for hour in range(9))
    source, written = propose(tmp_path, f"time,{column},temp\n{rows}")
    assert source["station"] == column
    assert ("station" in guesses(written)) == (column == "Stationsnummer des Netzes")
    assert "It reads 18 rows of 2 stations" in written


def test_the_text_above_the_rows_names_the_station(tmp_path: Path):
    source, written = propose(tmp_path, "Station Name: DUBLIN\nHeight: 71 m\n\ntime,temp\n2025-03-13 00:00,5\n")
    assert source["station"] == {"constant": "DUBLIN"}
    assert "station" in guesses(written)


def test_a_wind_in_words_is_its_direction_and_no_speed(tmp_path: Path):
    source, _ = propose(tmp_path, "time,Wind,Speed (kt)\n2025-03-13 00:00,SSW,5\n2025-03-13 01:00,SSW,6\n")
    assert source["columns"] == {
        "wind_speed_m_s": {"column": "Speed (kt)", "unit": "kt"},
        "wind_from_deg": {"column": "Wind", "unit": "compass"},
    }


def test_forecasts_are_pointed_at(tmp_path: Path):
    written = propose(
        tmp_path, "run,valid,temp\n2025-03-13 00:00,2025-03-13 01:00,5\n2025-03-13 00:00,2025-03-13 02:00,6\n"
    )[1]
    assert "# a guess: 'run' looks as if these are forecasts" in written


def test_values_that_cannot_be_are_pointed_at(tmp_path: Path):
    written = propose(tmp_path, "time,temp (°C)\n2025-03-13 00:00,5\n2025-03-13 01:00,6\n2025-03-13 02:00,99\n")[1]
    assert "# a guess: 1 of 3 values are outside -95 to 65 °C, such as 99" in written


def test_of_several_columns_the_plainest_is_taken(tmp_path: Path):
    header = "Time (UTC),Indoor Temperature (°C),Temp Max (°C),Soil Temperature (°C),Temperature @ 50m (°C),Temperature @ 2m (°C)"
    source, written = propose(tmp_path, f"{header}\n2025-03-13 00:00,21,9,7,6,5\n")
    assert source["columns"] == {"air_temperature_c": "Temperature @ 2m (°C)"}
    assert guesses(written) == ["station"]
    assert (
        "# Not read: Indoor Temperature (°C), Temp Max (°C), Soil Temperature (°C), Temperature @ 50m (°C)." in written
    )


def test_two_columns_as_good_as_each_other_are_a_guess(tmp_path: Path):
    source, written = propose(
        tmp_path, "Time (UTC),Temp north (°C),Temp north 2 (°C),RH (%)\n2025-03-13 00:00,5,6,80\n"
    )
    assert source["columns"]["air_temperature_c"] == "Temp north (°C)"
    assert "air_temperature_c" in guesses(written)


TIDY = "time,device,field,reading\n2025-03-13T00:00Z,a,temp_c,5\n2025-03-13T00:00Z,a,vbat,3.1\n2025-03-13T01:00Z,a,temp_c,6\n"


def test_one_value_a_row(tmp_path: Path):
    source, written = propose(tmp_path, TIDY)
    assert source["tidy"] == {"variable": "field", "value": "reading", "ignore": ["vbat"]}
    assert (source["station"], source["columns"]) == ("device", {"air_temperature_c": "temp_c"})
    assert guesses(written) == []


def test_one_column_a_station(tmp_path: Path):
    header = "Time (UTC),north humidity,south humidity,north temp [F],south temp [F]"
    source, written = propose(tmp_path, f"{header}\n2025-03-13 00:00,80,81,50,51\n")
    assert source["wide"] == {
        "relative_humidity_pct": {"north": "north humidity", "south": "south humidity"},
        "air_temperature_c": {"stations": {"north": "north temp [F]", "south": "south temp [F]"}, "unit": "°F"},
    }
    assert guesses(written) == ["relative_humidity_pct", "air_temperature_c"]


def test_columns_called_like_stations(tmp_path: Path):
    source, written = propose(tmp_path, "time,5480,5490\n2025-03-13T00:00Z,5.1,5.2\n2025-03-13T01:00Z,5.0,5.1\n")
    assert source["wide"] == {"air_temperature_c": {"5480": "5480", "5490": "5490"}}
    assert guesses(written) == ["air_temperature_c"]


def test_a_file_without_names_is_read_by_position_and_guessed_by_values(tmp_path: Path):
    source, written = propose(tmp_path, "2025-03-13T00:00Z;5.1;80;1012.1\n2025-03-13T01:00Z;5.0;82;1012.0\n")
    assert (source["names"], source["time"]) == ([], 1)
    assert source["columns"] == {"air_temperature_c": 2, "relative_humidity_pct": 3, "station_pressure_hpa": 4}
    assert guesses(written) == ["station", *source["columns"]]


def test_a_header_in_comments_with_units_below_it(tmp_path: Path):
    text = "# buoy\n#YY MM DD hh mm WSPD ATMP\n#yr mo dy hr mn m/s degF\n2025 03 13 00 00 5.1 50\n2025 03 13 01 00 5.0 51\n"
    source, written = propose(tmp_path, text)
    assert (source["comment"], source["header_in_comment"], source["separator"]) == ("#", True, "whitespace")
    assert source["columns"] == {"air_temperature_c": {"column": "ATMP", "unit": "°F"}, "wind_speed_m_s": "WSPD"}
    assert guesses(written) == ["timezone", "station"]


@pytest.mark.parametrize(
    ("encoding", "header"),
    [
        ("cp1251", "Время,Температура"),
        ("shift_jis", "日時,気温(℃)"),
        ("utf-16-be", "Time,Temp °C"),
        ("gb18030", "时间,温度"),
    ],
)
def test_an_encoding_that_makes_sense_of_the_names(encoding: str, header: str, tmp_path: Path):
    source, written = propose(tmp_path, f"{header}\n2025-03-13 00:00,5.1\n2025-03-13 01:00,5.2\n", encoding=encoding)
    assert source["encoding"] == encoding
    assert list(source["columns"].values()) == header.split(",")[1:]
    assert "encoding" in guesses(written)


def test_parquet_with_names_and_types(tmp_path: Path):
    pl.DataFrame(
        {
            "site": [7, 7],
            "ts": [1741820400000, 1741824000000],
            "t_air": [50.0, -9999.0],
            "rh": [80.0, 81.0],
            "raw": [[1], [2]],
        }
    ).write_parquet(tmp_path / "lake.parquet")
    source = tomllib.loads(propose_source(tmp_path / "lake.parquet", tmp_path, NOW))["sources"][0]
    assert (source["kind"], source["station"], source["missing"]) == ("parquet", "site", [-9999])
    assert source["time"] == {"column": "ts", "epoch": "ms"}
    assert source["columns"] == {"air_temperature_c": {"column": "t_air", "unit": "°F"}, "relative_humidity_pct": "rh"}


def test_gzipped_and_in_a_folder_below_the_configuration(tmp_path: Path):
    (tmp_path / "in [1]").mkdir()
    (tmp_path / "in [1]" / "a.csv.gz").write_bytes(gzip.compress(b"time,temp\n2025-03-13 00:00,5\n"))
    written = propose_source(tmp_path / "in [1]" / "a.csv.gz", tmp_path, NOW)
    assert 'files = "in [[]1]/a.csv.gz"' in written
    assert "It reads 1 row of station a from" in written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no table"),
        ("just some words\nwithout any table\n", "no column shows a time|has no table"),
        ("id,lat,lon\nA,47.1,8.5\nB,47.2,8.6\n", "no column shows a time"),
        ("time,temp,rh\n", "has a header and no rows: give a file with a few readings"),
        ("# my logger\nDatum;Temperatur;Feuchte\n;°C;%\n", "has a header and no rows"),
        (
            "time,foo\n2025-03-13 00:00,5.1\n2025-03-13 01:00,5.2\n",
            "no column is called like a variable; its columns are 'foo'",
        ),
        ("time,A1,A2\n2025-03-13 00:00,0,0\n2025-03-13 01:00,0.2,0.4\n", "no column is called like a variable"),
        ("Date,tavg\n2025-03-13,5.1\n2025-03-14,5.2\n", "'Date' shows 2025-03-13, a day without a clock"),
        ("Date,temp\n45729.5,5.1\n45729.54,5.2\n", "'Date' shows 45729.5, which counts days as spreadsheets do"),
        ('[{"time": "2025-03-13T00:00Z", "temp": 5.1}]', "is JSON, and daycast reads tables"),
        ("72345202503130011810\n72345202503130111710\n", "has no table"),
        ("723452025031300 11810\n723452025031301 11710\n", "no column shows a time.*with widths if they touch"),
        (
            "time temp note\n"
            + "".join(f"2025-03-13T{n:02}:00 {'1' * (n % 4 + 1)} {'x ' * (n % 3)}well\n" for n in range(24)),
            "lines have 3 to 5 words, so that cells are empty or hold blanks",
        ),
        ("time,price\n2025-03-13 00:00,x\n2025-03-13 01:00,y\n", "no column is called like a variable"),
    ],
)
def test_a_file_without_readings_is_refused(text: str, message: str, tmp_path: Path):
    with pytest.raises(SourceError, match=message):
        propose(tmp_path, text)


def hourly(header: str, *cells: str) -> str:
    """A text with a row for each hour of two days; in `cells`, part counts spans of four hours of the day."""
    stamps = [datetime(2025, 3, 13, tzinfo=UTC) + timedelta(hours=hour) for hour in range(48)]
    rows = [
        ";".join([f"{stamp:%Y-%m-%d %H:%M}", *(cell.format(part=hour % 24 // 4) for cell in cells)])
        for hour, stamp in enumerate(stamps)
    ]
    return "\n".join([header, *rows, ""])


STATIONS = (
    "{name}\n2025-03-13 00:00;A1;Lyon;5.1\n2025-03-13 00:00;B2;Bron;5.4\n"
    "2025-03-13 01:00;A1;Lyon;5.2\n2025-03-13 01:00;B2;Bron;5.5\n"
)


@pytest.mark.parametrize(
    "name", ["id_station", "Code station", "ID estación", "Станция", "Код станции", "codice stazione"]
)
@pytest.mark.parametrize("above", ["", "# station: Lyon\n"])
def test_the_column_of_station_ids_wins_over_names_and_comments(tmp_path: Path, name: str, above: str):
    text = above + STATIONS.replace("{name}", f"date;{name};nom;temp")
    assert propose(tmp_path, text)[0]["station"] == name


@pytest.mark.parametrize(
    ("name", "variable", "settings"),
    [
        ("rel. F. (%)", "relative_humidity_pct", {}),
        ("Rel. Feuchtigkeit in %", "relative_humidity_pct", {}),
        ("RH (fraction)", "relative_humidity_pct", {"factor": 100.0}),
        ("Humidity [0-1]", "relative_humidity_pct", {"factor": 100.0}),
        ("Давление (мм рт.ст.)", "station_pressure_hpa", {"unit": "mmHg"}),
        ("Давление, мм рт. ст.", "station_pressure_hpa", {"unit": "mmHg"}),
        ("Давление (гПа)", "station_pressure_hpa", {}),
        ("Ветер, м/с", "wind_speed_m_s", {}),
    ],
)
def test_other_spellings_of_names_and_units(tmp_path: Path, name: str, variable: str, settings: dict[str, Any]):
    numbers = {"relative_humidity_pct": "5{part}", "station_pressure_hpa": "75{part}", "wind_speed_m_s": "{part}"}
    cell = "0.5{part}" if "factor" in settings else "99{part}" if "гПа" in name else numbers[variable]
    source, _ = propose(tmp_path, hourly(f"time;Temp (°C);{name}", "1{part}.5", cell))
    assert source["columns"][variable] == ({"column": name, **settings} if settings else name)


@pytest.mark.parametrize(("unit", "cell", "setting"), [("°C", "1{part}.5", {}), ("°F", "6{part}.5", {"unit": "°F"})])
def test_stations_are_called_without_the_unit_behind_them(
    tmp_path: Path, unit: str, cell: str, setting: dict[str, str]
):
    source, written = propose(tmp_path, hourly(f"time;North ({unit});Pier 2 [{unit}]", cell, cell))
    stations = {"North": f"North ({unit})", "Pier 2": f"Pier 2 [{unit}]"}
    assert source["wide"]["air_temperature_c"] == ({"stations": stations, **setting} if setting else stations)
    assert "air_temperature_c" in guesses(written)


@pytest.mark.parametrize("name", ["Regen Tag (mm)", "daily rain", "Rain today", "Regen heute"])
def test_a_counter_of_the_day_is_reset_daily_which_is_a_guess(tmp_path: Path, name: str):
    source, written = propose(tmp_path, hourly(f"time;Temp (°C);{name}", "1{part}.5", "{part}.2"))
    assert source["columns"]["precipitation_mm"] == {"column": name, "cell_method": "counter", "resets": "daily"}
    assert "precipitation_mm" in guesses(written)
    assert "it begins again at midnight by the timezone of the source" in written


@pytest.mark.parametrize(("cells", "settings"), [("310" * 16, {}), ("0" * 48, {"cell_method": "counter"})])
def test_what_is_called_daily_and_does_not_behave_so_has_no_resets(
    tmp_path: Path, cells: str, settings: dict[str, str]
):
    lines = hourly("time;Temp (°C);daily rain (mm)", "1{part}.5", "*").splitlines()
    rows = [line.replace("*", cell) for line, cell in zip(lines[1:], cells, strict=True)]
    source, _ = propose(tmp_path, "\n".join([lines[0], *rows, ""]))
    column = "daily rain (mm)"
    assert source["columns"]["precipitation_mm"] == ({"column": column, **settings} if settings else column)


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r"])
def test_the_encoding_follows_from_cells_where_the_header_is_plain(tmp_path: Path, encoding: str):
    text = STATIONS.replace("{name}", "date;station;nom;temp").replace("A1", "Псков").replace("B2", "Москва")
    source, written = propose(tmp_path, text, encoding=encoding)
    assert source["encoding"] == encoding
    assert "encoding" in guesses(written)


@pytest.mark.parametrize("asked", ["in [1]", "in [1]/*.csv"])
def test_of_a_folder_or_a_pattern_the_newest_file_is_looked_at(asked: str, tmp_path: Path):
    (tmp_path / "in [1]").mkdir()
    for number, name in enumerate(("old.csv", "new.csv")):
        file = tmp_path / "in [1]" / name
        file.write_text(f"time,temp\n2025-03-13T0{number}:00Z,5.{number}\n")
        os.utime(file, (1e9 + number, 1e9 + number))
    written = propose_source(tmp_path / asked, tmp_path, NOW)
    assert "# From new.csv" in written
    source = tomllib.loads(written)["sources"][0]
    assert source["files"] == "in [[]1]/*.csv"
    settings = Settings.model_validate({"sources": [source]}, context={"folder": tmp_path})
    assert sum(len(batch.readings) for batch in settings.sources[0].fetch(None, NOW, settings.glossary, ())) == 2


def test_an_empty_folder_and_a_database_are_refused_with_a_way_out(tmp_path: Path):
    (tmp_path / "in").mkdir()
    with pytest.raises(SourceError, match="there is no such file"):
        propose_source(tmp_path / "in", tmp_path, NOW)
    sqlite3.connect(tmp_path / "logger.db").execute("create table readings (time text, temp real)").connection.close()
    with pytest.raises(SourceError, match=r"an SQLite database .*\(tables: readings\): `daycast guide databases`"):
        propose_source(tmp_path / "logger.db", tmp_path, NOW)
    (tmp_path / "cut.sdb").write_bytes(b"SQLite format 3\x00" + b"\x07" * 200)
    with pytest.raises(SourceError, match=r"cut.sdb is an SQLite database that cannot be read: "):
        propose_source(tmp_path / "cut.sdb", tmp_path, NOW)
