"""Rain counters through the real ingest: however a file is cut, in whatever order its pieces come, the rain is the same."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import polars as pl
import pytest

from daycast.errors import ConfigError
from daycast.settings import Settings
from daycast.steps.ingest import ingest_source

START = datetime(2025, 4, 1, tzinfo=UTC)
NOW = START + timedelta(days=9)
STEP = timedelta(minutes=20)


def settings_of(folder: Path, rain: dict[str, object] | None = None, **source: object) -> Settings:
    rain = rain or {"column": "rain", "unit": "in", "cell_method": "counter"}
    given = {
        "kind": "csv",
        "name": "gauge",
        "files": "*.csv",
        "station": {"constant": "s"},
        "time": "time",
        "columns": {"air_temperature_c": "temp", "precipitation_mm": rain},
        **source,
    }
    return Settings.model_validate({"data": "state", "sources": [given]}, context={"folder": folder})


def counted(days: int, seed: int = 1) -> list[tuple[datetime, float]]:
    """(time, inches) of a counter of the day in rows of 20 minutes, some of them lost."""
    chance, rows, total = random.Random(seed), [], 0.0
    for number in range(days * 72):
        time = START + number * STEP
        total = 0.0 if time.hour == time.minute == 0 else total
        total = round(total + chance.choice([0, 0, 0, 0.01, 0.05]), 2)
        if chance.random() > 0.1:
            rows.append((time, total))
    return rows


def write(path: Path, rows: list[tuple[datetime, float]]) -> None:
    lines = [f"{time:%Y-%m-%d %H:%M},15.0,{total}" for time, total in rows]
    path.write_text("\n".join(["time,temp,rain", *lines, ""]))


def ingest(settings: Settings, now: datetime = NOW) -> str:
    (source,) = settings.sources
    return str(ingest_source(settings, source, now))


def rain(settings: Settings, at: str = "now()") -> list[tuple[datetime, float | None]]:
    with duckdb.connect(settings.warehouse_file, read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        query = f"select observed_at, round(precipitation_mm, 4) from observations_as_of({at}) order by observed_at"
        return con.execute(query).fetchall()


def risen(rows: list[tuple[datetime, float]]) -> dict[datetime, float]:
    """The rain of each hour [mm], added up row by row."""
    hours: dict[datetime, float] = {}
    for (_, before), (time, total) in pairwise(rows):
        hour = time.replace(minute=0) + timedelta(hours=time.minute > 0)
        hours[hour] = hours.get(hour, 0) + 25.4 * (total - before if total >= before else total)
    return {hour: round(amount, 4) for hour, amount in hours.items()}


@pytest.mark.parametrize("seed", range(4))
def test_random_pieces_in_any_order_and_over_several_runs_make_the_same_rain(tmp_path: Path, seed: int):
    chance, rows = random.Random(seed), counted(4)
    cuts = sorted(chance.sample(range(1, len(rows)), 6))
    pieces = [rows[first:last] for first, last in pairwise([0, *cuts, len(rows)])]
    order = chance.sample(range(len(pieces)), len(pieces))
    settings = settings_of(tmp_path)
    for number, piece in enumerate(order):
        write(tmp_path / f"{number}.csv", pieces[piece])
        if number % 2:
            ingest(settings)
    ingest(settings)
    got = dict(rain(settings))
    expected = risen(rows)
    assert {hour: got[hour] for hour in expected} == pytest.approx(expected, abs=1e-4)
    assert sum(amount for amount in got.values() if amount) == pytest.approx(sum(expected.values()))


def test_a_file_that_grows_and_one_that_holds_only_the_last_day_bring_what_is_new(tmp_path: Path):
    rows, settings = counted(3), settings_of(tmp_path)
    write(tmp_path / "log.csv", rows[:90])
    ingest(settings)
    write(tmp_path / "log.csv", rows[:130])
    assert "130 kept (90 known before, 0 revised)" in ingest(settings)
    write(tmp_path / "log.csv", rows[100:])
    assert f"{len(rows) - 100} kept (30 known before, 0 revised)" in ingest(settings)
    got = dict(rain(settings))
    assert {hour: got[hour] for hour in risen(rows)} == pytest.approx(risen(rows), abs=1e-4)


def test_a_row_that_comes_late_revises_the_row_after_it_from_then_on(tmp_path: Path):
    settings = settings_of(tmp_path)
    hours = [START + timedelta(hours=hour) for hour in range(4)]
    write(tmp_path / "a.csv", [(hours[0], 0.0), (hours[1], 0.1), (hours[3], 0.4)])
    ingest(settings)
    write(tmp_path / "b.csv", [(hours[2], 0.3)])
    assert "1 revised" in ingest(settings, NOW)
    assert [amount for _, amount in rain(settings, f"timestamptz '{NOW.isoformat()}'")] == [None, 2.54, 5.08, 2.54]
    before = f"timestamptz '{(NOW - timedelta(hours=1)).isoformat()}'"
    assert rain(settings, before)[3] == (hours[3], 7.62)


@pytest.mark.parametrize("kind", ["parquet", "sql"])
def test_typed_columns_are_counted_across_files_and_queries_alike(tmp_path: Path, kind: str):
    rows = counted(2)
    where = {"query": f"select * from '{tmp_path}/*.parquet'"} if kind == "sql" else {"files": "*.parquet"}
    given = {"kind": kind, "name": "gauge", "station": {"constant": "s"}, "time": "time", **where}
    given["columns"] = {"precipitation_mm": {"column": "rain", "unit": "in", "cell_method": "counter"}}
    settings = Settings.model_validate({"data": "state", "sources": [given]}, context={"folder": tmp_path})
    for name, part in (("b", rows[70:]), ("a", rows[:70])):
        pl.DataFrame(part, schema={"time": pl.Datetime("us", "UTC"), "rain": pl.Float64}, orient="row").write_parquet(
            tmp_path / f"{name}.parquet"
        )
        ingest(settings)
    got, expected = dict(rain(settings)), risen(rows)
    assert {hour: got[hour] for hour in expected} == pytest.approx(expected, abs=1e-4)


def test_reports_of_an_airport_run_up_within_the_hour(tmp_path: Path):
    reports = [("51", 0.10), ("112", 0.04), ("151", 0.12), ("171", 0.05), ("231", 0.02)]
    write(tmp_path / "a.csv", [(START + timedelta(minutes=int(minute) - 60), amount) for minute, amount in reports])
    column = {"column": "rain", "unit": "in", "cell_method": "running_hour"}
    settings = settings_of(tmp_path, column)
    ingest(settings)
    assert [amount for _, amount in rain(settings)] == [2.54, 1.016, 3.302, 0.508]  # 0.10; 0.04; 0.08 + 0.05; 0.02 in


@pytest.mark.parametrize(
    ("rain_column", "reason"),
    [
        ({"column": "rain", "cell_method": "counter", "reset_minute": 5}, "reset_minute is for cell_method"),
        ({"column": "rain", "rollover": 5}, "rollover is for cell_method"),
        ({"column": "rain", "resets": "daily"}, "resets is for cell_method"),
        ({"column": "rain", "cell_method": "counter", "resets": "hourly"}, "'hourly' says no reset: write .daily"),
        ({"column": "rain", "cell_method": "counter", "resets": "9:00"}, "'9:00' says no reset"),
    ],
)
def test_settings_of_another_cell_method_are_refused(tmp_path: Path, rain_column: dict[str, object], reason: str):
    with pytest.raises(ValueError, match=reason):
        settings_of(tmp_path, rain_column)


def test_only_sums_can_be_counted(tmp_path: Path):
    write(tmp_path / "a.csv", counted(1))
    columns = {"wind_gust_m_s": {"column": "rain", "cell_method": "counter"}}
    with pytest.raises(ConfigError, match='cell_method = "counter" of wind_gust_m_s: it makes sums'):
        ingest(settings_of(tmp_path, columns=columns))


def test_a_rate_in_inches_an_hour_and_a_counter_of_sunshine_minutes(tmp_path: Path):
    (tmp_path / "a.csv").write_text(
        "time,rate,sun\n2025-04-01 10:00,0.0,30\n2025-04-01 10:30,0.2,45\n2025-04-01 11:00,0.4,60\n"
    )
    columns = {
        "precipitation_mm": {"column": "rate", "unit": "in/h", "cell_method": "rate"},
        "sunshine_min": {"column": "sun", "cell_method": "counter"},
    }
    variable = {"unit": "min", "valid_min": 0, "valid_max": 60, "cell_method": "sum"}
    base = settings_of(tmp_path, columns={"precipitation_mm": columns["precipitation_mm"]})
    given = {**base.sources[0].model_dump(), "columns": columns, "files": "a.csv"}  # type: ignore[attr-defined]
    table = {"data": "state", "variables": {"sunshine_min": variable}, "sources": [given]}
    settings = Settings.model_validate(table, context={"folder": tmp_path})
    ingest(settings)
    with duckdb.connect(settings.warehouse_file, read_only=True) as con:
        hour = con.execute("select round(precipitation_mm, 4), sunshine_min from observations order by observed_at")
        assert hour.fetchall() == [(None, None), (round(0.3 * 25.4, 4), 30.0)]


def test_a_total_below_zero_is_refused_and_makes_no_rain(tmp_path: Path):
    settings = settings_of(tmp_path)
    hour = timedelta(hours=1)
    write(
        tmp_path / "a.csv",
        [(START + k * hour, total) for k, total in enumerate([10.0, 10.2, -9999.0, 10.5, -1.0, 10.5])],
    )
    assert "6 kept (0 known before, 0 revised), 0 refused, 2 values refused" in ingest(settings)
    amounts = [amount for _, amount in rain(settings)]
    assert amounts == [None, pytest.approx(5.08), None, pytest.approx(7.62), None, 0.0]


def test_a_counter_rolls_over_at_the_number_that_its_column_writes(tmp_path: Path):
    tips = {"column": "rain", "cell_method": "counter", "factor": 0.2, "rollover": 10000}
    settings = settings_of(tmp_path, tips)
    write(tmp_path / "a.csv", [(START + timedelta(hours=k), tips) for k, tips in enumerate([9990, 9995, 9999, 3, 8])])
    ingest(settings)
    assert [amount for _, amount in rain(settings)] == [None, 1.0, 0.8, 0.8, 1.0]


def test_a_counter_that_jitters_across_files_and_runs_counts_no_way_back(tmp_path: Path):
    settings = settings_of(tmp_path, {"column": "rain", "cell_method": "counter"})
    totals = [10.0, 10.2, 10.1, 10.2, 10.4, 10.3, 10.4, 10.5]
    for number, total in enumerate(totals):
        write(tmp_path / f"{number}.csv", [(START + number * timedelta(hours=1), total)])
        if number % 2:
            ingest(settings)
    assert [amount for _, amount in rain(settings)] == [None, 0.2, 0.0, 0.0, 0.2, 0.0, 0.0, 0.1]


@pytest.mark.parametrize("order", [("evening", "morning"), ("morning", "evening")])
def test_a_counter_of_the_local_day_begins_anew_though_it_does_not_fall(tmp_path: Path, order: tuple[str, str]):
    """Midnight in New York is 04:00 UTC in April."""
    days = {"evening": [("22:00", 0.1), ("23:00", 0.1)], "morning": [("00:00", 0.1), ("01:00", 0.3), ("02:00", 0.4)]}
    column = {"column": "rain", "cell_method": "counter", "resets": "daily"}
    settings = settings_of(tmp_path, column, timezone="America/New_York")
    for name in order:
        day = "2025-04-01" if name == "evening" else "2025-04-02"
        lines = [f"{day} {clock},15.0,{total}" for clock, total in days[name]]
        (tmp_path / f"{name}.csv").write_text("\n".join(["time,temp,rain", *lines, ""]))
        ingest(settings)
    hours = [(f"{hour:%d %H}", amount) for hour, amount in rain(settings)]
    assert hours == [("02 02", None), ("02 03", 0.0), ("02 04", 0.0), ("02 05", 0.3), ("02 06", 0.1)]


def test_a_counter_of_the_day_in_a_query_is_reset_at_the_hour_that_is_declared(tmp_path: Path):
    rows = "('2025-04-01 08:00', 1.0), ('2025-04-01 09:00', 1.2), ('2025-04-01 10:00', 1.5)"
    query = f"select time::timestamp as time, rain from (values {rows}) as v(time, rain)"
    source = {"kind": "sql", "name": "gauge", "query": query, "station": {"constant": "s"}, "time": "time"}
    source["columns"] = {"precipitation_mm": {"column": "rain", "cell_method": "counter", "resets": "09:00"}}
    settings = Settings.model_validate({"data": "state", "sources": [source]}, context={"folder": tmp_path})
    ingest(settings)
    assert [amount for _, amount in rain(settings)] == [None, 0.2, 1.5]


@pytest.mark.parametrize("seed", range(2))
def test_a_counter_that_jitters_and_is_reset_daily_is_the_same_in_pieces_as_in_one(tmp_path: Path, seed: int):
    chance, rows = random.Random(seed), counted(3, seed)
    rows = [(time, round(total - chance.choice([0, 0, 0, 0.01]), 2) if total > 0.1 else total) for time, total in rows]
    column = {"column": "rain", "unit": "in", "cell_method": "counter", "resets": "daily"}
    cuts = sorted(chance.sample(range(1, len(rows)), 5))
    pieces = [rows[first:last] for first, last in pairwise([0, *cuts, len(rows)])]
    made = []
    for name, parts in (("one", [rows]), ("pieces", chance.sample(pieces, len(pieces)))):
        folder = tmp_path / name
        folder.mkdir()
        settings = settings_of(folder, column, timezone="+00:00")
        for number, part in enumerate(parts):
            write(folder / f"{number}.csv", part)
            ingest(settings)
        made.append(rain(settings))
    assert made[0] == made[1]
    true = sum(
        max(total for time, total in rows if (time - timedelta(minutes=1)).day == day)
        for day in {(time - timedelta(minutes=1)).day for time, _ in rows}
    )
    assert sum(amount or 0 for _, amount in made[0]) / 25.4 == pytest.approx(true - rows[0][1], abs=0.06)
