"""Local times through the real ingest: the two nights on which clocks change, in files and queries, and stamps past the hour."""

import os
import random
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from daycast.errors import ContractError
from daycast.settings import Settings
from daycast.steps.ingest import Ingested, ingest_source
from daycast.times import HOUR

NOW = datetime(2026, 5, 1, tzinfo=UTC)
CSV = """
[[sources]]
kind = "csv"
name = "roof"
files = "in/*.csv"
timezone = "{zone}"
station = {{ constant = "roof" }}
time = "time"
columns = {{ air_temperature_c = "temp" }}
"""


def configure(folder: Path, text: str) -> Settings:
    (folder / "in").mkdir(exist_ok=True)
    return Settings.model_validate(tomllib.loads(text), context={"folder": folder})


def drop(folder: Path, name: str, lines: list[str]) -> None:
    path = folder / "in" / name
    path.write_text("time,temp\n" + "".join(f"{line}\n" for line in lines))
    os.utime(path, (0, 0))


def ingest(settings: Settings, now: datetime = NOW) -> Ingested:
    return ingest_source(settings, settings.sources[0], now)


def ask(settings: Settings, query: str) -> list[tuple]:
    with duckdb.connect(settings.warehouse_file, read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        return con.execute(query).fetchall()


def readings(settings: Settings) -> list[tuple[str, float]]:
    return ask(settings, "select strftime(observed_at, '%H:%M'), air_temperature_c from readings order by observed_at")


def test_files_that_hold_nothing_but_the_doubled_hour_are_told_apart_by_what_is_known(tmp_path):
    """Each hour a file of its own; the two of the doubled hour come first, and alone nothing tells them apart."""
    settings = configure(tmp_path, CSV.format(zone="Europe/Berlin"))
    night = "2025-10-26 "
    drop(tmp_path, "1.csv", [f"{night}02:00,5", f"{night}02:20,6", f"{night}02:40,7"])
    with pytest.raises(ContractError, match="came twice on that day"):
        ingest(settings)
    assert ask(settings, "select count(*), min(reason) like 'came twice%' from rejected_readings") == [(3, True)]
    drop(tmp_path, "2.csv", [f"{night}01:40,1", f"{night}02:00,2", f"{night}02:20,3", f"{night}02:40,4"])
    done = ingest(settings)
    assert (done.kept, done.revised, done.refused) == (7, 0, 0)
    assert [value for _, value in readings(settings)] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert readings(settings)[4] == ("01:00", 5.0)
    assert ask(settings, "select count(*) from rejected_readings") == [(0,)]


def test_an_hour_that_both_meanings_of_are_known_is_never_overwritten(tmp_path):
    settings = configure(tmp_path, CSV.format(zone="Europe/Berlin"))
    night = "2025-10-26 "
    drop(tmp_path, "1.csv", [f"{night}0{hour}:00,{number}" for number, hour in enumerate((1, 2, 2, 3))])
    ingest(settings)
    drop(tmp_path, "2.csv", [f"{night}02:00,9"])
    done = ingest(settings)
    assert (done.revised, done.refused) == (0, 1)
    assert [value for _, value in readings(settings)] == [0.0, 1.0, 2.0, 3.0]


def test_a_live_file_of_the_first_pass_is_not_in_the_future(tmp_path):
    """The second pass has not happened yet when the first file comes."""
    settings = configure(tmp_path, CSV.format(zone="America/New_York"))
    night = "2025-11-02 "
    drop(tmp_path, "1.csv", [f"{night}01:00,1", f"{night}01:30,2"])
    ingest(settings, datetime(2025, 11, 2, 5, 35, tzinfo=UTC))
    drop(tmp_path, "2.csv", [f"{night}01:00,3", f"{night}01:30,4"])
    ingest(settings, datetime(2025, 11, 2, 6, 35, tzinfo=UTC))
    assert readings(settings) == [("05:00", 1.0), ("05:30", 2.0), ("06:00", 3.0), ("06:30", 4.0)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("at_once", [True, False])
def test_a_file_cut_anywhere_makes_the_same_observations_in_any_order(tmp_path, seed, at_once):
    """Over both changes of the clocks; each piece has a row beside the doubled hour, or is told by the others."""
    generator = random.Random(seed)
    zone, step = (
        generator.choice(["Europe/Berlin", "America/Chicago"]),
        timedelta(minutes=generator.choice([15, 20, 60])),
    )
    spring, autumn = {
        "Europe/Berlin": (datetime(2025, 3, 30, 1, tzinfo=UTC), datetime(2025, 10, 26, 1, tzinfo=UTC)),
        "America/Chicago": (datetime(2025, 3, 9, 8, tzinfo=UTC), datetime(2025, 11, 2, 7, tzinfo=UTC)),
    }[zone]
    lines, truth = [], {}
    for change in (spring, autumn):
        for number in range(int(8 * HOUR / step) + 1):
            at = change - 4 * HOUR + number * step
            truth[at] = float(number % 30)
            wall = pl.Series([at]).dt.convert_time_zone(zone)[0]
            lines.append(f"{wall:%Y-%m-%d %H:%M},{truth[at]:.1f}")
    if generator.random() < 0.5:
        lines.reverse()
    settings = configure(tmp_path, CSV.format(zone=zone))
    half = len(lines) // 2  # cuts lie inside each night
    cuts = sorted(generator.sample(range(1, half), 1) + generator.sample(range(half + 1, len(lines)), 1))
    pieces = [lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
    for name, piece in enumerate(generator.sample(pieces, len(pieces))):
        drop(tmp_path, f"{name}.csv", piece)
        if not at_once:
            ingest(settings)
    ingest(settings)
    assert dict(ask(settings, "select observed_at, air_temperature_c from readings")) == truth


def test_a_query_that_is_run_in_full_each_time_revises_nothing(tmp_path):
    """A plant's table sorted by its local time: the order of the rows tells nothing, the moment they were stored does."""
    with duckdb.connect(tmp_path / "plant.duckdb") as con:
        con.execute("create table log (observed timestamp, stored timestamptz, temp double)")
        for number in range(18):
            at = datetime(2025, 11, 2, 4, tzinfo=UTC) + number * timedelta(minutes=20)
            wall = pl.Series([at]).dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)[0]
            con.execute("insert into log values (?, ?, ?)", [wall, at + timedelta(minutes=3), float(number)])
    settings = configure(
        tmp_path,
        """
        [[sources]]
        kind = "sql"
        name = "plant"
        query = "select observed, stored, temp from plant.log order by observed, temp desc"
        attach = { plant = "plant.duckdb" }
        received = "stored"
        timezone = "America/New_York"
        station = { constant = "plant" }
        time = "observed"
        columns = { air_temperature_c = "temp" }
        """,
    )
    first = ingest(settings, datetime(2025, 11, 2, 6, 30, tzinfo=UTC))
    second = ingest(settings, datetime(2025, 11, 2, 12, tzinfo=UTC))
    assert (first.revised, first.refused, second.revised, second.refused) == (0, 0, 0, 0)
    expected = [datetime(2025, 11, 2, 4, tzinfo=UTC) + number * timedelta(minutes=20) for number in range(18)]
    assert ask(settings, "select observed_at, air_temperature_c from readings order by 1") == [
        (at, float(number)) for number, at in enumerate(expected)
    ]


def test_a_tolerance_that_is_declared_later_makes_past_hours_again_and_taking_it_back_does_too(tmp_path):
    text = CSV.format(zone="UTC").replace('temp" }', 'temp", precipitation_mm = "rain" }')
    at = [
        datetime(2026, 4, 1, tzinfo=UTC) + hour * HOUR + timedelta(seconds=late)
        for hour, late in enumerate([-2, 3, 1, -4, 5])
    ]
    path = tmp_path / "in" / "a.csv"
    settings = configure(tmp_path, text)
    path.write_text(
        "time,temp,rain\n" + "".join(f"{stamp:%Y-%m-%dT%H:%M:%S},{number},0.2\n" for number, stamp in enumerate(at))
    )
    hours = (
        "select hour(observed_at), air_temperature_c, round(precipitation_mm, 3) from observations order by observed_at"
    )
    undeclared = [(0, 0.0, 0.2), (2, 1.0, 0.2), (3, 3.0, 0.4), (5, 4.0, 0.2)]
    ingest(settings)
    assert ask(settings, hours) == undeclared
    declared = configure(tmp_path, text + 'tolerance = "5s"\n')
    assert ingest(declared).delivered == 0
    assert ask(declared, hours) == [(hour, float(hour), 0.2) for hour in range(5)]
    assert ask(declared, "select known_from > observed_at from observation_versions where hour(observed_at) = 1") == [
        (True,)
    ]
    ingest(settings)
    assert ask(settings, hours) == undeclared


@pytest.mark.parametrize("kind", ["csv", "parquet", "sql"])
def test_ingest_says_how_many_readings_were_counted_for_the_hour_before_their_stamp(tmp_path, kind):
    stamps = [datetime(2026, 4, 1, hour, 0, late, tzinfo=UTC) for hour, late in enumerate([0, 3, 6, 5])]
    frame = pl.DataFrame({"time": stamps, "temp": [1.0, 2.0, 3.0, 4.0]})
    (tmp_path / "in").mkdir()
    frame.with_columns(pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(tmp_path / "in" / "a.csv")
    frame.write_parquet(tmp_path / "in" / "a.parquet")
    reads = f"files = 'in/*.{kind}'" if kind != "sql" else f"query = \"from '{tmp_path}/in/a.parquet'\""
    table = f"""
        [[sources]]
        kind = "{kind}"
        name = "roof"
        {reads}
        station = {{ constant = "roof" }}
        time = "time"
        tolerance = "5s"
        columns = {{ air_temperature_c = "temp" }}
    """
    settings = configure(tmp_path, table)
    done = ingest(settings)
    assert done.moved == 2
    assert ", 2 counted for the full hour just before their stamp;" in str(done)
    assert ask(settings, "select hour(observed_at) from observations order by 1") == [(0,), (1,), (3,)]
