"""Readings that daycast had read wrongly: same receipts, corrected values, and what was taken for them is kept aside."""

import os
import re
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from daycast.errors import ConfigError, SourceError
from daycast.settings import Settings
from daycast.steps import reread as reread_steps
from daycast.steps.ingest import Ingested, ingest_source
from daycast.times import DAY, HOUR
from daycast.warehouse.observations import read_versions
from integration.by_hand import ByHand, by_hand
from integration.test_ingest import SCHEMA

pytestmark = pytest.mark.slow

START = datetime(2026, 1, 20, tzinfo=UTC)
NOW = START + 20 * DAY
COLUMNS = "station_id, observed_at, received_at, air_temperature_c, wind_speed_m_s, precipitation_mm"
WIND = {"column": "wind", "unit": "km/h"}
Rows = list[tuple[str, datetime, float, float]]


def rows(hours: int = 20 * 24, first: int = 1) -> Rows:
    """station, time, temperature [°C], wind [km/h] of each hour: 25.2 and 10.44 km/h in turn, 4.95 m/s on average."""
    moments = [START + number * HOUR for number in range(first, hours + 1)]
    return [(who, at, 5 + at.hour / 4, 25.2 if at.hour % 2 else 10.44) for who in ("A", "B") for at in moments]


def write_csv(file: Path, given: Rows) -> None:
    lines = [f"{at:%Y-%m-%d %H:%M},{who},{warmth},{wind}" for who, at, warmth, wind in given]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["time,station,temp,wind", *lines]) + "\n")


def csv_source(folder: Path, wind: Any = WIND, **more: Any) -> dict[str, Any]:
    if not (folder / "garden.csv").exists():
        write_csv(folder / "garden.csv", rows())
    columns = {"air_temperature_c": "temp", "wind_speed_m_s": wind}
    return {"kind": "csv", "files": "*.csv", "station": "station", "time": "time", "columns": columns, **more}


def tidy_source(folder: Path, wind: Any = WIND) -> dict[str, Any]:
    lines = [
        f"{at:%Y-%m-%dT%H:%MZ};{who};{name};{value}"
        for who, at, warmth, speed in rows()
        for name, value in (("temp", warmth), ("wind", speed))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tidy.txt").write_text("\n".join(["when;who;what;value", *lines]) + "\n")
    return {
        "kind": "csv",
        "files": "*.txt",
        "separator": ";",
        "station": "who",
        "time": "when",
        "tidy": {"variable": "what", "value": "value"},
        "columns": {"air_temperature_c": "temp", "wind_speed_m_s": wind},
    }


def parquet_source(folder: Path, wind: Any = WIND) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame(rows(), ["station", "time", "temp", "wind"], orient="row")
    table.write_parquet(folder / "readings.parquet")
    return {
        "kind": "parquet",
        "files": "*.parquet",
        "station": "station",
        "time": "time",
        "columns": {"air_temperature_c": "temp", "wind_speed_m_s": wind},
    }


def sql_source(folder: Path, wind: Any = WIND) -> dict[str, Any]:
    """A query that asks only for what is new."""
    folder.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(folder / "logger.db") as con:
        con.execute("create table if not exists log (station text, epoch integer, temp real, wind real)")
        con.execute("delete from log")
        con.executemany("insert into log values (?, ?, ?, ?)", [(w, at.timestamp(), t, v) for w, at, t, v in rows()])
    con.close()
    query = "select station, to_timestamp(epoch) as time, temp, wind from logger.log where to_timestamp(epoch) > $since"
    return {
        "kind": "sql",
        "attach": {"logger": "logger.db"},
        "query": query,
        "station": "station",
        "time": "time",
        "columns": {"air_temperature_c": "temp", "wind_speed_m_s": wind},
    }


KINDS = {"csv": csv_source, "tidy": tidy_source, "parquet": parquet_source, "sql": sql_source}


def settings_of(folder: Path, source: dict[str, Any], **more: Any) -> Settings:
    given = {"sources": [{"name": "garden", **source}], **more}
    return Settings.model_validate(given, context={"folder": folder})


def ingest(settings: Settings, now: datetime = NOW, **more: Any) -> Ingested:
    return ingest_source(settings, settings.sources[0], now, **more)


def ask(settings: Settings, query: str) -> pl.DataFrame:
    with settings.warehouse.write(NOW) as con:
        return pl.from_arrow(con.execute(query).to_arrow_table())


def tables(settings: Settings) -> dict[str, pl.DataFrame]:
    return {
        "readings": ask(settings, f"select {COLUMNS} from readings order by all"),
        "observations": ask(settings, "from observation_versions order by station_id, observed_at, known_from"),
        "stations": ask(settings, "select station_id from stations order by all"),
    }


def assert_same(left: Settings, right: Settings) -> None:
    found = tables(right)
    for name, frame in tables(left).items():
        assert_frame_equal(frame, found[name].select(frame.columns), check_exact=False, abs_tol=1e-6)


def mean_wind(settings: Settings, as_of: datetime) -> float:
    """Over everything that training sees, as it was known."""
    with settings.warehouse.write(NOW) as con:
        known = read_versions(con, START, as_of, as_of).filter(pl.col("known_until").is_null())
    return round(known["wind_speed_m_s"].mean(), 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_corrected_unit_gives_the_tables_of_a_clean_ingest(kind: str, tmp_path: Path) -> None:
    make = KINDS[kind]
    wrong = settings_of(tmp_path / "a", make(tmp_path / "a", {"column": "wind", "unit": "m/s"}))
    right = settings_of(tmp_path / "a", make(tmp_path / "a"))
    clean = settings_of(tmp_path / "b", make(tmp_path / "b"))
    ingest(wrong)
    then = START + 10 * DAY
    assert mean_wind(wrong, then) == 17.82
    told = ingest(right, NOW + DAY)
    assert (told.revised, mean_wind(right, then)) == (0, 4.95)
    assert told.reread == (
        "how it is read has changed (columns.wind_speed_m_s.unit is km/h, was m/s): "
        "960 rows were read wrongly and are restated with their times of receipt"
    )
    overlap = r"new are 48 rows delivered, 48 kept \(48 known before, 0 revised\), 0 refused"  # of a query's look-back
    assert re.search(rf"of receipt; (nothing new was delivered|{overlap}); 0 values flagged$", str(told))
    ingest(clean)
    assert_same(right, clean)
    retracted = ask(right, "select min(wind_speed_m_s), max(retracted_at), count(*) from retracted_readings")
    assert retracted.row(0) == (10.44, NOW + DAY, 960)
    again = ingest(right, NOW + DAY)
    assert (again.reread, again.delivered) == ("", 0)


CHANGES: dict[str, dict[str, Any]] = {
    "time zone": {"timezone": "-03:00"},
    "factor": {"wind": {"column": "wind", "unit": "km/h", "factor": 0.5}},
    "columns that were taken for each other": {"wind": {"column": "temp", "unit": "m/s"}},
    "missing marker": {"missing": "25.2"},
    "station": {"station": {"constant": "roof"}, "time": {"column": "time"}},
    "reader of numbers": {"offset_wind": {"column": "wind", "unit": "km/h", "offset": 1}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_the_mapping_gives_the_tables_of_a_clean_ingest(change: str, tmp_path: Path) -> None:
    more = dict(CHANGES[change])
    wind = more.pop("wind", more.pop("offset_wind", WIND))
    before = settings_of(tmp_path / "a", csv_source(tmp_path / "a"))
    if change == "station":
        write_csv(tmp_path / "a" / "garden.csv", rows()[: 20 * 24])
        write_csv(tmp_path / "b" / "garden.csv", rows()[: 20 * 24])
    after = settings_of(tmp_path / "a", csv_source(tmp_path / "a", wind, **more))
    clean = settings_of(tmp_path / "b", csv_source(tmp_path / "b", wind, **more))
    for settings in (before, after):
        ingest(settings)
    ingest(clean)
    assert_same(after, clean)


def test_a_column_that_becomes_a_counter_gives_the_tables_of_a_clean_ingest(tmp_path: Path) -> None:
    def source(folder: Path, **rain: Any) -> Settings:
        folder.mkdir(exist_ok=True)
        lines = [f"{START + n * HOUR:%Y-%m-%d %H:%M},{0.2 * (n // 5):.1f}" for n in range(1, 481)]
        (folder / "rain.csv").write_text("\n".join(["time,rain", *lines]) + "\n")
        columns = {"precipitation_mm": {"column": "rain", **rain}}
        more = {"kind": "csv", "files": "*.csv", "station": {"constant": "A"}, "time": "time", "columns": columns}
        return settings_of(folder, more)

    ingest(source(tmp_path / "a"))
    assert ask(source(tmp_path / "a"), "select round(sum(precipitation_mm)) from readings").item() == 4579
    for folder in ("a", "b"):
        ingest(source(tmp_path / folder, cell_method="counter"))
    assert ask(source(tmp_path / "a"), "select round(sum(precipitation_mm), 1) from readings").item() == 19.2
    assert_same(source(tmp_path / "a", cell_method="counter"), source(tmp_path / "b", cell_method="counter"))


def test_going_back_is_a_change_like_any_other(tmp_path: Path) -> None:
    found = []
    for number, unit in enumerate(["km/h", "m/s", "km/h", "m/s", "km/h"]):
        settings = settings_of(tmp_path, csv_source(tmp_path, {"column": "wind", "unit": unit}))
        ingest(settings, NOW + number * HOUR)
        found.append(mean_wind(settings, START + 10 * DAY))
    assert found == [4.95, 17.82, 4.95, 17.82, 4.95]
    assert ask(settings, "select max(received_at) <= '2026-02-09 00:00:00Z' from readings").item()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_that_is_edited_and_restored_is_news_each_time(kind: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, KINDS[kind](tmp_path))
    file = tmp_path / {"csv": "garden.csv", "parquet": "readings.parquet"}[kind]
    original = file.read_bytes()
    if kind == "csv":
        edited = original.replace(b"2026-02-01 12:00,A,8.0", b"2026-02-01 12:00,A,9.5")
    else:
        is_it = (pl.col("station") == "A") & (pl.col("time") == datetime(2026, 2, 1, 12, tzinfo=UTC))
        changed = pl.read_parquet(file).with_columns(temp=pl.when(is_it).then(9.5).otherwise("temp"))
        changed.write_parquet(file)
        edited = file.read_bytes()
    now_warmth = (
        "select air_temperature_c from observations where station_id = 'A' and observed_at = '2026-02-01 12:00:00Z'"
    )
    found = []
    for number, content in enumerate([original, edited, original, edited]):
        file.write_bytes(content)
        revised = ingest(settings, NOW + number * HOUR).revised
        found.append((revised, ask(settings, now_warmth).item()))
    assert found == [(0, 8.0), (1, 9.5), (1, 8.0), (1, 9.5)]


def test_a_large_file_that_is_edited_and_restored_is_news_though_it_comes_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daycast.sources.files.parquet.CHUNK_ROWS", 500)
    settings = settings_of(tmp_path, parquet_source(tmp_path))
    file = tmp_path / "readings.parquet"
    table = pl.read_parquet(file)
    warmest = "select max(air_temperature_c) from observations"
    found = []
    for number, part in enumerate([table.head(400), table.with_columns(pl.col("temp") + 1), table.head(400)]):
        part.write_parquet(file)
        ingest(settings, NOW + number * HOUR)
        found.append(ask(settings, f"{warmest} where observed_at < '2026-01-25' and station_id = 'A'").item())
    assert found == [10.75, 11.75, 10.75]


def test_what_the_sensor_corrected_stays_a_correction(tmp_path: Path) -> None:
    wrong = settings_of(tmp_path, csv_source(tmp_path, {"column": "wind", "unit": "m/s"}))
    ingest(wrong)
    file = tmp_path / "garden.csv"
    file.write_text(file.read_text().replace("2026-02-01 12:00,A,8.0,10.44", "2026-02-01 12:00,A,8.0,18.0"))
    file.write_text(file.read_text().replace("2026-02-02 12:00,A,8.0,10.44", "2026-02-02 12:00,A,9.0,10.44"))
    assert ingest(wrong, NOW + HOUR).revised == 2
    right = settings_of(tmp_path, csv_source(tmp_path))
    assert ingest(right, NOW + 2 * HOUR).revised == 0
    hour = "select known_from, air_temperature_c, round(wind_speed_m_s, 2) from observation_versions where station_id = 'A'"
    noon = datetime(2026, 2, 1, 12, tzinfo=UTC)
    # the wind before its correction is gone from the file: in km/h nobody knows what it was
    assert ask(right, f"{hour} and observed_at = '2026-02-01 12:00:00Z' order by 1").rows() == [
        (noon, 8.0, None),
        (NOW + HOUR, 8.0, 5.0),
    ]
    # the temperature is read as before, and its wrong value is known
    assert ask(right, f"{hour} and observed_at = '2026-02-02 12:00:00Z' order by 1").rows() == [
        (noon + DAY, 8.0, 2.9),
        (NOW + HOUR, 9.0, 2.9),
    ]


def test_what_cannot_be_read_again_stays_and_is_named(tmp_path: Path) -> None:
    ingest(settings_of(tmp_path, csv_source(tmp_path, {"column": "wind", "unit": "m/s"})))
    write_csv(tmp_path / "garden.csv", rows(first=15 * 24))  # the logger keeps five days
    right = settings_of(tmp_path, csv_source(tmp_path))
    told = ingest(right, NOW + HOUR).reread
    assert "242 rows were read wrongly" in told
    assert told.endswith("718 up to 2026-02-03T23:00Z cannot be read again and stay as they are")
    winds = "select max(wind_speed_m_s) from readings where observed_at"
    assert ask(right, f"{winds} < '2026-02-04'").item() == 25.2
    assert ask(right, f"{winds} >= '2026-02-04'").item() == 7.0


def test_a_changed_column_may_be_empty_and_what_the_file_has_dropped_stays(tmp_path: Path) -> None:
    header, first, second, third = "time,station,temp,wind,mean", "01:00,A,5,10,3", "02:00,A,,10,", "03:00,A,6,9,2"
    (tmp_path / "garden.csv").write_text(
        "\n".join([header, *(f"2026-02-01 {row}" for row in (first, second, third)), ""])
    )
    ingest(settings_of(tmp_path, csv_source(tmp_path, "wind")))
    (tmp_path / "garden.csv").write_text("\n".join([header, *(f"2026-02-01 {row}" for row in (first, second)), ""]))
    right = settings_of(tmp_path, csv_source(tmp_path, "mean"))
    told = ingest(right, NOW + HOUR).reread
    assert "2 rows were read wrongly" in told
    assert "1 up to 2026-02-01T03:00Z cannot be read again" in told
    held = "select hour(observed_at), air_temperature_c, wind_speed_m_s from readings order by all"
    assert ask(right, held).rows() == [(1, 5.0, 3.0), (2, None, None), (3, 6.0, 9.0)]


@pytest.mark.parametrize("first_day", [1, 3])
def test_day_and_month_exchanged_are_put_right(tmp_path: Path, first_day: int) -> None:
    hours = [f"{day:02d}/06/2025 {hour:02d}:00" for day in range(first_day, first_day + 3) for hour in range(0, 24, 3)]
    lines = [f"{at},A,{number},3.6" for number, at in enumerate(hours)]
    (tmp_path / "garden.csv").write_text("\n".join(["time,station,temp,wind", *lines]) + "\n")
    source = csv_source(tmp_path, time={"column": "time", "format": "%m/%d/%Y %H:%M"})
    ingest(settings_of(tmp_path, source))
    right = settings_of(tmp_path, source | {"time": {"column": "time", "format": "%d/%m/%Y %H:%M"}})
    told = ingest(right, NOW + HOUR).reread
    assert "24 rows were read wrongly" in told
    assert "cannot be read again" not in told
    first, last = (datetime(2025, 6, first_day + days, 3 * 7 * (days > 0), tzinfo=UTC) for days in (0, 2))
    extent = "select count(*), min(observed_at), max(observed_at) from readings"
    assert ask(right, extent).row(0) == (24, first, last)


def test_of_files_that_are_gone_the_readings_stay(tmp_path: Path) -> None:
    for month, part in (("january", rows(100)), ("february", rows(250, 101)), ("march", rows(400, 251))):
        write_csv(tmp_path / f"{month}.csv", part)
    source = csv_source(tmp_path, {"column": "wind", "unit": "m/s"}, files="[jfmy]*.csv")
    (tmp_path / "garden.csv").unlink()
    write_csv(tmp_path / "y.csv", rows(480, 401))
    ingest(settings_of(tmp_path, source))
    (tmp_path / "february.csv").unlink()
    source["columns"] = {**source["columns"], "wind_speed_m_s": WIND}
    right = settings_of(tmp_path, source)
    told = ingest(right, NOW + HOUR).reread
    assert "660 rows were read wrongly" in told
    assert "300 up to 2026-01-30T10:00Z cannot be read again" in told


def test_files_that_were_put_away_are_read_again_from_there(tmp_path: Path) -> None:
    source = csv_source(tmp_path / "a", {"column": "wind", "unit": "m/s"})
    source |= {"files": "in/*.csv", "after": {"move_to": "done"}, "settle": "0s"}
    for number, part in enumerate([rows(150), rows(300, 151)]):
        write_csv(tmp_path / "a" / "in" / "new.csv", part)  # the logger always writes the same name
        os.utime(tmp_path / "a" / "in" / "new.csv", (1e9 + number, 1e9 + number))
        ingest(settings_of(tmp_path / "a", source), NOW + number * HOUR)
    write_csv(tmp_path / "a" / "in" / "new.csv", rows(400, 301))
    assert len(list((tmp_path / "a" / "done").iterdir())) == 2
    source["columns"] = {**source["columns"], "wind_speed_m_s": WIND}
    right = settings_of(tmp_path / "a", source)
    told = ingest(right, NOW + 3 * HOUR).reread
    assert "cannot be read again" not in told
    assert len(list((tmp_path / "a" / "done").iterdir())) == 3
    write_csv(tmp_path / "b" / "garden.csv", rows(400))
    clean = settings_of(tmp_path / "b", csv_source(tmp_path / "b"))
    ingest(clean)
    assert_same(right, clean)


@pytest.mark.parametrize(
    ("where", "after"),
    [
        ("restate_source", 0),
        ("copy_batches", 0),
        ("write_restated", 0),
        ("write_restated", 1),
        ("mark_stale", 1),
        ("end_reread", 0),
        ("remove_scratch", 0),
    ],
)
def test_a_killed_reread_is_completed_by_the_next_ingest(
    where: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(settings_of(tmp_path / "a", csv_source(tmp_path / "a", {"column": "wind", "unit": "m/s"})))
    right = settings_of(tmp_path / "a", csv_source(tmp_path / "a"))
    clean = settings_of(tmp_path / "b", csv_source(tmp_path / "b"))
    real, calls = getattr(reread_steps, where), []

    def killed(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return real(*given, **named)

    with monkeypatch.context() as patch:
        target = "daycast.steps.ingest" if where == "restate_source" else "daycast.steps.reread"
        patch.setattr(f"{target}.{where}", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest(right, NOW + HOUR)
    ingest(right, NOW + 2 * HOUR)
    ingest(clean)
    assert_same(right, clean)
    assert ask(right, "from rereads").is_empty()
    assert not list((tmp_path / "a" / "data" / "reread").glob("*"))
    assert ask(right, "select count(*), count(distinct (station_id, observed_at)) from retracted_readings").row(0) == (
        960,
        960,
    )


def test_a_mapping_that_changes_while_it_is_read_again_counts_as_it_is_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = {
        unit: settings_of(tmp_path, csv_source(tmp_path, {"column": "wind", "unit": unit}))
        for unit in ("m/s", "km/h", "kt")
    }
    ingest(units["m/s"])
    real, calls = reread_steps.write_restated, []

    def killed(*given: Any) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        real(*given)

    for number, unit in enumerate(["km/h", "kt"], 1):
        calls.clear()
        with monkeypatch.context() as patch:
            patch.setattr(reread_steps, "write_restated", killed)
            with pytest.raises(KeyboardInterrupt):
                ingest(units[unit], NOW + number * HOUR)
    ingest(units["m/s"], NOW + 3 * HOUR)  # back where it began
    assert mean_wind(units["m/s"], START + 10 * DAY) == 17.82
    assert ask(units["m/s"], "select max(received_at) <= '2026-02-09 00:00:00Z' from readings").item()


def test_a_reread_that_is_asked_for_changes_what_is_wrong_from_then_on(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, csv_source(tmp_path))
    ingest(settings)
    with settings.warehouse.write(NOW) as con:  # as a reader with a fault left them
        con.execute("update readings set wind_speed_m_s = 99")
    told = ingest(settings, NOW + HOUR, reread=True, since=START + 15 * DAY).reread
    assert told == "242 rows were read wrongly and are restated with their times of receipt"
    assert ask(settings, "select count(*) from readings where wind_speed_m_s = 99").item() == 718
    told = ingest(settings, NOW + HOUR, reread=True).reread
    assert told == "718 rows were read wrongly and are restated with their times of receipt"
    told = ingest(settings, NOW + HOUR, reread=True).reread
    assert told == "it was read again, and nothing had been read wrongly"


def test_another_source_of_the_same_stations_is_left_alone(tmp_path: Path) -> None:
    wrong = csv_source(tmp_path, {"column": "wind", "unit": "m/s"})
    frame = pl.DataFrame([("A", START + HOUR, NOW, None, 0.7)], schema=SCHEMA, orient="row")
    rain = ByHand((by_hand(frame, receipt="stated"),), name="rain")
    settings = settings_of(tmp_path, wrong)
    ingest_source(settings, rain, NOW)
    ingest(settings)
    right = settings_of(tmp_path, csv_source(tmp_path))
    ingest(right, NOW + HOUR)
    first = (
        "select precipitation_mm, round(wind_speed_m_s, 1) from observations where observed_at = '2026-01-20 01:00:00Z'"
    )
    assert ask(right, f"{first} and station_id = 'A'").row(0) == (0.7, 7.0)


def test_a_service_that_is_down_is_read_again_when_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(settings_of(tmp_path, sql_source(tmp_path, {"column": "wind", "unit": "m/s"})))
    right = settings_of(tmp_path, sql_source(tmp_path))
    (tmp_path / "logger.db").rename(tmp_path / "away")
    with pytest.raises(SourceError, match=r"logger\.db, which does not exist"):
        ingest(right, NOW + HOUR)
    assert mean_wind(right, START + 10 * DAY) == 17.82
    (tmp_path / "away").rename(tmp_path / "logger.db")
    assert "960 rows" in ingest(right, NOW + 2 * HOUR).reread
    assert mean_wind(right, START + 10 * DAY) == 4.95


def test_a_query_that_converts_is_part_of_the_mapping(tmp_path: Path) -> None:
    plain = sql_source(tmp_path, {"column": "wind", "unit": "m/s"})
    ingest(settings_of(tmp_path, plain))
    converting = {**plain, "query": plain["query"].replace("temp, wind", "temp, wind / 3.6 as wind")}
    right = settings_of(tmp_path, converting)
    assert "query is" in ingest(right, NOW + HOUR).reread
    assert mean_wind(right, START + 10 * DAY) == 4.95


def test_external_forecasts_are_restated_too(tmp_path: Path) -> None:
    def source(folder: Path, unit: str) -> Settings:
        folder.mkdir(exist_ok=True)
        issues = [START + number * 6 * HOUR for number in range(40)]
        lines = [
            f"{at:%Y-%m-%dT%H:%MZ},{at + lead * HOUR:%Y-%m-%dT%H:%MZ},{10 + lead}"
            for at in issues
            for lead in range(1, 25)
        ]
        (folder / "nwp.csv").write_text("\n".join(["run,valid,temp", *lines]) + "\n")
        columns = {"air_temperature_c": {"column": "temp", "unit": unit}}
        more = {"forecast": {"issued": "run"}, "station": {"constant": "A"}, "time": "valid", "columns": columns}
        return settings_of(folder, {"kind": "csv", "files": "*.csv", "reporting_delay": "3h", **more})

    for folder, unit in (("a", "°C"), ("a", "°F"), ("b", "°F")):
        ingest(source(tmp_path / folder, unit))
    kept = "select * exclude (batch_id, row_number) from external_forecasts order by all"
    assert_frame_equal(ask(source(tmp_path / "a", "°F"), kept), ask(source(tmp_path / "b", "°F"), kept))
    assert ask(source(tmp_path / "a", "°F"), "select count(*) from retracted_external_forecasts").item() == 960


def test_a_broker_hands_over_each_message_once(tmp_path: Path) -> None:
    rule = {"topic": "garden/{station}", "columns": {"wind_speed_m_s": "$.wind"}}
    settings = settings_of(tmp_path, {"kind": "mqtt", "messages": [rule]})
    with pytest.raises(ConfigError, match="source 'garden' hands over each message once"):
        ingest(settings, reread=True)
