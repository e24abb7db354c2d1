"""Doctor as a second pair of eyes: it reads what ingest would read, says ok only for what ingest would keep, and shows it."""

import tomllib
from datetime import UTC, datetime, timedelta
from math import cos, pi
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from daycast.errors import ContractError, SourceError
from daycast.settings import Settings
from daycast.stations import STATION_SCHEMA
from daycast.steps import preview
from daycast.steps.doctor import CheckResult, examine
from daycast.steps.ingest import ingest_source
from daycast.steps.preview import preview_source
from daycast.warehouse.warehouse import Warehouse

NOW = datetime(2025, 8, 1, tzinfo=UTC)
START = datetime(2025, 6, 1, tzinfo=UTC)
SOURCE: dict[str, Any] = {
    "kind": "csv",
    "name": "yard",
    "files": "in/*.csv",
    "station": "station",
    "time": "time",
    "columns": {"air_temperature_c": "temp", "precipitation_mm": "rain"},
}
GOES_ON = " " * 13
NO_LIST = pl.DataFrame(schema=STATION_SCHEMA)
NO_PLACES = pl.DataFrame(schema={"station_id": pl.String, "longitude": pl.Float64})
TABLE = ("UTC", "local", "by the sun", "issued", "valid")  # a row of dates, above one of clocks


def settings_of(folder: Path, **changes: Any) -> Settings:
    sources = [SOURCE | changes]
    return Settings.model_validate({"data": "state", "sources": sources}, context={"folder": folder})


LISTED = {"file": "stations.csv", "station": "id", "latitude": "lat", "longitude": "lon"}


def write(folder: Path, name: str, lines: list[str]) -> None:
    path = folder / "in" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["time,station,temp,rain", *lines]) + "\n")


def hourly(count: int, first: int = 0, station: str = "A", temp: str = "12.5") -> list[str]:
    return [f"{START + timedelta(hours=first + hour):%Y-%m-%dT%H:%MZ},{station},{temp},0.2" for hour in range(count)]


def results_of(settings: Settings) -> list[CheckResult]:
    (name,) = {f"source {source.name}" for source in settings.sources}
    return [result for result in examine(settings, NOW) if result.check == name]


def shown(settings: Settings) -> list[str]:
    """The lines below the source, of which those that go on are joined."""
    lines: list[str] = []
    for line in (line for result in results_of(settings) for line in result.below):
        if line.startswith(GOES_ON) and not lines[-1].startswith(TABLE):
            lines[-1] += " " + line.strip()
        else:
            lines.append(" ".join(line.split()))
    return lines


def ingest_is_refused(settings: Settings) -> bool:
    try:
        ingested = ingest_source(settings, settings.sources[0], NOW)
    except (ContractError, SourceError):
        return True
    return ingested.kept == 0


def test_all_files_are_read(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, f"{number}.csv", hourly(24, 24 * number))
    (result,) = results_of(settings_of(tmp_path))
    assert str(result) == "ok   source yard: 0 stations listed; 3 files have 72 rows, 0 problems"
    lines = shown(settings_of(tmp_path))
    assert lines[0] == "read 3 files: 72 rows"
    assert lines[1] == "stations 1: A; no position is known: set station_list"
    assert "hours 2025-06-01 00:00 to 2025-06-03 23:00 UTC, rows mostly 1 h apart" in lines
    assert "rain 2025-05 0.2 mm, 2025-06 14.2 mm; the highest hour is 0.2 mm at A, 2025-06-01 00:00 UTC" in lines


def test_of_large_files_the_beginning_is_read_and_all_of_them_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daycast.sources.files.csv_table._MAX_ROWS", 10)
    monkeypatch.setattr(preview, "MOST_ROWS", 40)
    for number in range(3):
        write(tmp_path, f"{number}.csv", hourly(24, 24 * number))
    (result,) = results_of(settings_of(tmp_path))
    assert str(result) == "ok   source yard: 0 stations listed; 3 files have 60 rows, 0 problems"
    assert shown(settings_of(tmp_path))[0] == "read 3 files: 60 rows; at most about 13 rows of each"
    (tmp_path / "in" / "2.csv").write_text("time,station,temperature,rain\n")
    assert results_of(settings_of(tmp_path))[0].detail.startswith("in/2.csv has no column 'temp'")


def test_of_very_many_files_a_sample_is_read_from_the_first_to_the_last_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "ALL_FILES", 8)
    monkeypatch.setattr(preview, "SOME_FILES", 3)
    for number in range(9):
        write(tmp_path, f"{number}.csv", hourly(24, 24 * number))
    (result,) = results_of(settings_of(tmp_path))
    assert str(result) == "ok   source yard: 0 stations listed; 3 of 9 files have 72 rows, 0 problems"
    lines = shown(settings_of(tmp_path))
    assert lines[0] == "read 3 of 9 files: 72 rows; a sample from the first to the last"
    assert "hours 2025-06-01 00:00 to 2025-06-09 23:00 UTC, rows mostly 1 h apart" in lines
    assert not any(line.startswith(("gaps", "rain")) for line in lines)  # there are none but those of the sample


def test_reading_stops_at_the_limit_of_time_but_waits_for_the_first_batch(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, f"{number}.csv", hourly(24, 24 * number))
    settings = settings_of(tmp_path)
    clock = iter([0.0, 2 * preview.MOST_SECONDS])
    scratch = Warehouse(tmp_path / "scratch.duckdb", settings.glossary.values())
    found = preview_source(settings, settings.sources[0], NO_LIST, NOW, NO_PLACES, scratch, clock.__next__)
    assert (found.part, found.limit, found.rows) == ("1 of 3 files", "doctor stops after 20 s", 24)


def test_a_part_of_a_large_file_is_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daycast.sources.files.csv_table._MAX_ROWS", 30)
    monkeypatch.setattr(preview, "MOST_ROWS", 40)
    write(tmp_path, "one from the attic.csv", hourly(100))
    (result,) = results_of(settings_of(tmp_path))
    assert "; the beginning of in/one from the attic.csv has 60 rows, 0 problems" in str(result)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (hourly(24, temp="451"), "24 of 24 rows are bad, more than ingest.refuse_above = 0.2 allows"),
        ([line.replace("Z", " o'clock") for line in hourly(24)], "time no time in the form"),
        ([line.replace("Z", " o'clock") for line in hourly(3)], "3 of 3 rows are bad"),
        ([line.replace("Z", " o'clock") for line in hourly(1)], "none of 1 rows can be kept: time no time in the form"),
    ],
    ids=["beyond the limits", "no times", "a few", "one"],
)
def test_what_ingest_would_refuse_is_not_ok(tmp_path: Path, lines: list[str], reason: str) -> None:
    write(tmp_path, "0.csv", lines)
    settings = settings_of(tmp_path)
    result = results_of(settings)[0]
    assert str(result).startswith("FAIL source yard: ")
    assert reason in result.detail
    assert ingest_is_refused(settings)


def test_one_refused_file_of_several_is_not_ok_and_what_was_understood_is_shown_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, "0.csv", hourly(24))
    write(tmp_path, "1.csv", hourly(24, 24, temp="451"))
    settings = settings_of(tmp_path)
    result = results_of(settings)[0]
    assert str(result).startswith("FAIL source yard: in/1.csv: 24 of 24 rows are bad")
    assert "air temperature, °C 12.5 12.5 12.5 451 451" in shown(settings)
    assert ingest_is_refused(settings)


def test_a_file_that_cannot_be_read_is_not_ok_and_the_others_are_shown(tmp_path: Path) -> None:
    write(tmp_path, "0.csv", hourly(24))
    (tmp_path / "in" / "1.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00" * 40)
    result = results_of(settings_of(tmp_path))[0]
    assert str(result).startswith("FAIL source yard: in/1.csv is not text")
    assert shown(settings_of(tmp_path))[0] == "read 1 of 2 files: 24 rows"


def test_rows_and_values_that_would_be_refused_are_a_warning_with_the_commonest_reasons(tmp_path: Path) -> None:
    lines = hourly(48)
    lines[3], lines[4], lines[5] = (line.replace("Z", "?") for line in lines[3:6])
    lines[9] = lines[9].replace("12.5", "ERR")
    write(tmp_path, "0.csv", lines)
    (warning,) = results_of(settings_of(tmp_path))
    assert str(warning).startswith("warn source yard: 3 rows and 1 value would be refused: time no time in the form")
    assert "(3×, for example '2025-06-01T03:00?'); temp " in str(warning)
    assert "(1×, for example 'ERR'); correct the column" in str(warning)
    example, _, other = shown(settings_of(tmp_path))[0].partition(" temp (1×)")
    assert (
        example == "refused time (3×), in/0.csv, row 4: time '2025-06-01T03:00?', station 'A', temp '12.5', rain '0.2'"
    )
    assert other == ", in/0.csv, row 10: time '2025-06-01T09:00Z', station 'A', temp 'ERR', rain '0.2'"
    assert all(len(line) <= 80 for line in warning.lines())


def test_ids_that_the_warehouse_has_in_another_spelling_are_pointed_at(tmp_path: Path) -> None:
    write(tmp_path, "0.csv", hourly(24, station="05480"))
    settings = settings_of(tmp_path)
    ingest_source(settings, settings.sources[0], NOW)
    write(tmp_path, "0.csv", hourly(24, station="5480"))
    warnings = [str(result) for result in results_of(settings)]
    assert any("stations '05480' and '5480' differ in leading zeros only" in one for one in warnings)


def test_an_unreadable_file_does_not_hide_what_would_be_refused_of_the_others(tmp_path: Path) -> None:
    write(tmp_path, "0.csv", [*hourly(48), "noon,A,12.5,0.2"])
    (tmp_path / "in" / "1.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00" * 40)
    failed, refused = results_of(settings_of(tmp_path))
    assert str(failed).startswith("FAIL source yard: in/1.csv is not text")
    assert str(refused).startswith(
        "warn source yard: 1 row would be refused: time no time in the form ISO 8601 (1×, for"
    )


@pytest.mark.parametrize(
    ("lines", "reason"),
    [(hourly(3, 24 * 90), "3 rows would wait, because they are stamped later than now"), ([], "in/0.csv has no row")],
)
def test_where_nothing_could_be_taken_in_it_is_not_ok(tmp_path: Path, lines: list[str], reason: str) -> None:
    write(tmp_path, "0.csv", lines)
    first = str(results_of(settings_of(tmp_path))[0])
    assert first.startswith(f"warn source yard: {reason}")
    write(tmp_path, "1.csv", hourly(3, 24 * 91))
    assert not any(str(result).startswith("ok") for result in results_of(settings_of(tmp_path)))


def test_files_that_are_left_for_later_are_named(tmp_path: Path) -> None:
    write(tmp_path, "0.csv", hourly(24))
    (warning,) = results_of(settings_of(tmp_path, settle="1h"))
    assert str(warning).startswith(
        "warn source yard: 1 file would be left for a later ingest, still written to or empty"
    )
    assert warning.detail.endswith("(settle): in/0.csv")


def test_values_outside_the_limits_are_kept_and_said_to_be_flagged(tmp_path: Path) -> None:
    write(tmp_path, "0.csv", hourly(90) + hourly(5, 90, temp="451"))
    ok, warning = results_of(settings_of(tmp_path))
    assert ok.detail.endswith("95 rows, 0 problems")
    told = (
        "5 values would be kept, flagged and not used: air_temperature_c outside -95 to 65 °C (5×, for example '451.0')"
    )
    assert warning.detail == told


def test_stations_without_a_position_are_pointed_at_where_others_have_one(tmp_path: Path) -> None:
    write(tmp_path, "0.csv", hourly(24) + hourly(24, station="a"))
    (tmp_path / "stations.csv").write_text("id,lat,lon\nA,48.0,15.0\n")
    settings = settings_of(tmp_path, station_list=LISTED)
    warnings = [str(result) for result in results_of(settings)[1:]]
    assert (
        "warn source yard: 1 of 2 stations are in no station list, or without a position ('a'): add them to station_list, "
        "or write their ids alike"
    ) in warnings
    lines = shown(settings)
    assert "stations 2: A, a; 1 without a known position" in lines
    assert "01:00 13:00 unknown" not in lines
    at = next(number for number, line in enumerate(lines) if line.startswith("by the sun"))
    assert lines[at + 1].split()[0] == "01:00"  # 15° east


def test_a_clock_that_the_sun_contradicts_is_pointed_at(tmp_path: Path) -> None:
    """The days are warmest at 14:30 by the wall clock of a place six hours west, and no time zone was set."""
    temps = [f"{10 + 5 * cos(2 * pi * (hour - 14.5) / 24):.2f}" for hour in range(24 * 12)]
    lines = [line.replace("12.5", temp) for line, temp in zip(hourly(24 * 12), temps, strict=True)]
    write(tmp_path, "0.csv", lines)
    (tmp_path / "stations.csv").write_text("id,lat,lon\nA,40.0,-90.0\n")
    settings = settings_of(tmp_path, station_list=LISTED)
    (warning,) = results_of(settings)[1:]
    assert "(station 'A' is 6 h early): check timezone" in str(warning)
    assert any(line.startswith("day warmest about 08:30 by the sun") for line in shown(settings))
    right = settings_of(tmp_path, station_list=LISTED, timezone="Etc/GMT+6")
    write(tmp_path, "0.csv", [line.replace("Z,", ",") for line in lines])
    assert len(results_of(right)) == 1


def test_a_counter_is_shown_as_the_amounts_it_means(tmp_path: Path) -> None:
    totals = [0, 0, 1, 1, 3, 3.5, 0.5, 0.5]  # begins again in the seventh hour
    lines = [f"{line.rpartition(',')[0]},{total}" for line, total in zip(hourly(8), totals, strict=True)]
    write(tmp_path, "0.csv", lines)
    columns = {"precipitation_mm": {"column": "rain", "cell_method": "counter"}}
    lines = shown(settings_of(tmp_path, columns=columns))
    assert "rain 2025-06 4 mm; the highest hour is 2 mm at A, 2025-06-01 04:00 UTC" in lines
    assert "precipitation, mm none 1 0 0.5 0" in lines


def test_hourly_stamps_seconds_past_the_hour_leave_every_other_hour_empty(tmp_path: Path) -> None:
    write(
        tmp_path, "0.csv", [line.replace("Z", ":05Z" if hour % 2 else ":00Z") for hour, line in enumerate(hourly(24))]
    )
    lines = shown(settings_of(tmp_path))
    assert any(line.startswith("gaps 12 (48 %) of 25 hours have no reading, the longest gap is 1 h") for line in lines)


def test_the_doubled_hour_is_told_apart_across_files_as_ingest_does(tmp_path: Path) -> None:
    """A file ends after the first 02:00 of the night, the next one begins with the second, which alone could be either."""
    write(tmp_path, "0.csv", [f"2024-10-27T0{hour}:00,A,{10 - hour},0.0" for hour in range(3)])
    write(tmp_path, "1.csv", [f"2024-10-27T0{hour}:00,A,{9 - hour},0.0" for hour in (2, 8, 9)])
    settings = settings_of(tmp_path, timezone="Europe/Berlin")
    assert str(results_of(settings)[0]) == "ok   source yard: 0 stations listed; 2 files have 6 rows, 0 problems"
    gap = "gaps 5 (45.5 %) of 11 hours have no reading, the longest gap is 5 h after 2024-10-27 01:00 UTC at A"
    assert gap in shown(settings)
    assert ingest_source(settings, settings.sources[0], NOW).refused == 0


def test_a_doubled_hour_that_nothing_tells_apart_is_refused_as_ingest_does(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", [f"2024-10-27T0{hour}:00,A,{9 - hour},0.0" for hour in (2, 8, 9)])
    settings = settings_of(tmp_path, timezone="Europe/Berlin")
    warnings = [str(result) for result in results_of(settings)]
    assert warnings[0].startswith("warn source yard: 1 row would be refused: ")
    assert ingest_source(settings, settings.sources[0], NOW).refused == 1


def test_rows_of_the_future_wait_and_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "0.csv", hourly(24) + hourly(3, 24 * 365))
    assert (
        shown(settings_of(tmp_path))[0]
        == "read in/0.csv: 24 rows; 3 more wait, stamped later than 2025-08-01 00:00 UTC"
    )


def test_nothing_is_stored_and_nothing_is_moved_away(tmp_path: Path) -> None:
    write(tmp_path, "0.csv", hourly(24))
    settings = settings_of(tmp_path, after={"move_to": "done"}, settle="0s")
    assert results_of(settings)[0].ok
    assert (tmp_path / "in" / "0.csv").exists()
    with settings.warehouse.read(NOW) as con:
        assert con.execute("select count(*) from readings").fetchall() == [(0,)]


def test_external_forecasts_are_shown_with_their_times_of_issue(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows = [f"2025-07-01T00:00Z,2025-07-01T{hour:02}:00Z,A,{hour}" for hour in range(1, 9)]
    (tmp_path / "in" / "0.csv").write_text("\n".join(["issued,valid,station,temp", *rows]) + "\n")
    changes = {"time": "valid", "forecast": {"issued": "issued"}, "columns": {"air_temperature_c": "temp"}}
    settings = settings_of(tmp_path, **changes)
    assert str(results_of(settings)[0]).endswith("in/0.csv has 8 rows, 0 problems")
    lines = shown(settings)
    assert lines[1:3] == ["station A A A A A", "issued, UTC" + " 2025-07-01" * 5]
    assert lines[-1] == "air temperature, °C 1 3 4 6 8"


def test_of_a_query_all_is_read_up_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    time = "timestamptz '2025-06-01 00:00:00Z' + to_hours(hour)"
    query = f"select 'A' as station, {time} as time, 12.5 as temp from range(48) as r(hour)"
    source = {"kind": "sql", "query": query, "columns": {"air_temperature_c": "temp"}}
    del (given := SOURCE | source)["files"]
    settings = Settings.model_validate({"data": "state", "sources": [given]}, context={"folder": tmp_path})
    assert str(results_of(settings)[0]).endswith("yard from row 1 has 48 rows, 0 problems")
    assert shown(settings)[0] == "read yard from row 1: 48 rows"
    monkeypatch.setattr("daycast.sources.sql.CHUNK_ROWS", 20)
    assert shown(settings)[0] == "read 3 batches: 48 rows"
    monkeypatch.setattr(preview, "MOST_ROWS", 40)
    assert shown(settings)[0] == "read 2 batches: 40 rows; doctor reads the beginning only, and there may be more"


def test_a_source_that_delivers_nothing_shows_nothing(tmp_path: Path) -> None:
    write(tmp_path, "0.csv", hourly(24))
    settings = settings_of(tmp_path, after={"move_to": "done"}, files="in/*.txt")
    (result,) = results_of(settings)
    assert "nothing delivered up to" in result.detail
    assert result.below == ()


def add_columns(folder: Path, header: str, *cells: str) -> None:
    """Write 24 hours with more columns, whose cells repeat."""
    write(folder, "0.csv", [f"{line},{cells[hour % len(cells)]}" for hour, line in enumerate(hourly(24))])
    path = folder / "in" / "0.csv"
    path.write_text(path.read_text().replace("rain\n", f"rain,{header}\n"))


NOT_MAPPED = "not mapped, and looks like weather; to add under [sources.columns]:"


def proposed(settings: Settings) -> list[str]:
    lines = shown(settings)
    return lines[lines.index(NOT_MAPPED) + 1 :] if NOT_MAPPED in lines else []


def test_columns_that_look_like_weather_are_proposed_as_toml_that_can_be_added(tmp_path: Path) -> None:
    cells = ("12,81,29.9,SW,3.7", "15.5,80,30.1,NNE,3.6")
    add_columns(tmp_path, "Wind Speed (km/h),Humidity (%),Barometer,Wind Direction,Battery (V)", *cells)
    settings = settings_of(tmp_path)
    lines = proposed(settings)
    assert [line.split(" = ")[0] for line in lines] == [
        "relative_humidity_pct",
        "station_pressure_hpa",
        "wind_speed_m_s",
        "wind_from_deg",
    ]
    added = tomllib.loads("\n".join(lines))
    assert added["wind_speed_m_s"] == {"column": "Wind Speed (km/h)", "unit": "km/h"}
    assert added["station_pressure_hpa"] == {"column": "Barometer", "unit": "inHg"}
    assert added["wind_from_deg"] == {"column": "Wind Direction", "unit": "compass"}
    again = settings_of(tmp_path, columns=SOURCE["columns"] | added)
    assert proposed(again) == []
    assert any(line.startswith("wind speed, m/s 3.33 4.31") for line in shown(again))


def test_columns_of_words_and_second_columns_of_what_is_mapped_are_not_proposed(tmp_path: Path) -> None:
    add_columns(
        tmp_path, "Outdoor Temperature,Humidity,Remarks,Battery", "12.5,wet,fine,3.7", "13.5,dry,fine again,3.6"
    )
    assert proposed(settings_of(tmp_path)) == []


def test_what_marks_missing_values_of_the_source_is_no_value(tmp_path: Path) -> None:
    add_columns(tmp_path, "Humidity (%)", "81", "n.d.")
    (line,) = proposed(settings_of(tmp_path, missing=["n.d."]))
    assert line == 'relative_humidity_pct = "Humidity (%)"'


def test_columns_of_parquet_files_are_proposed_too(tmp_path: Path) -> None:
    hours = pl.datetime_range(START, START + timedelta(hours=23), "1h", eager=True)
    table = pl.DataFrame({"time": hours, "station": "A", "temp": 12.5, "rain": 0.2, "battery": 3.7})
    (tmp_path / "in").mkdir()
    table.with_columns(pl.Series("wind_speed_kmh", [18.0, 36.0] * 12)).write_parquet(tmp_path / "in" / "0.parquet")
    settings = settings_of(tmp_path, kind="parquet", files="in/*.parquet")
    added = tomllib.loads("\n".join(proposed(settings)))
    assert added == {"wind_speed_m_s": {"column": "wind_speed_kmh", "unit": "km/h"}}
    again = settings_of(tmp_path, kind="parquet", files="in/*.parquet", columns=SOURCE["columns"] | added)
    assert any(line.startswith("wind speed, m/s 5 ") for line in shown(again))
