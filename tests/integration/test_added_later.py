"""A variable or a product that comes after the first ingest: the past sees it from the observation on."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from daycast.settings import Settings
from daycast.steps.ingest import ingest_source

NOW = datetime(2025, 6, 20, tzinfo=UTC)
HOURS = ("10", "11", "12")
BOTH = [(10, 15.0, 0.2), (11, 16.0, 0.0), (12, 17.0, 1.4)]


def settings_of(folder: Path, *sources: dict) -> Settings:
    given = [{"kind": "csv", "station": {"constant": "s"}, "time": "time", **source} for source in sources]
    return Settings.model_validate({"data": "state", "sources": given}, context={"folder": folder})


def ingest(settings: Settings, now: datetime = NOW) -> list[str]:
    return [str(ingest_source(settings, source, now)) for source in settings.sources]


def known_at(settings: Settings, moment: str) -> list[tuple]:
    with duckdb.connect(settings.warehouse_file, read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        return con.execute(
            "select hour(observed_at), air_temperature_c, precipitation_mm "
            f"from observations_as_of(timestamptz '{moment}') order by 1"
        ).fetchall()


def write(folder: Path) -> None:
    (folder / "t.csv").write_text("time,temp\n" + "".join(f"2025-06-01 {h}:00,{t}\n" for h, t, _ in BOTH))
    (folder / "r.csv").write_text("time,rain\n" + "".join(f"2025-06-01 {h}:00,{r}\n" for h, _, r in BOTH))
    (folder / "x.csv").write_text("time,temp,rain\n" + "".join(f"2025-06-01 {h}:00,{t},{r}\n" for h, t, r in BOTH))


TEMPERATURE = {"name": "t", "files": "t.csv", "columns": {"air_temperature_c": "temp"}}
RAIN = {"name": "r", "files": "r.csv", "columns": {"precipitation_mm": "rain"}}


@pytest.mark.parametrize("order", [[TEMPERATURE, RAIN], [RAIN, TEMPERATURE]])
def test_two_products_of_a_station_are_known_from_the_observation_on_whichever_came_first(
    tmp_path: Path, order: list[dict]
):
    write(tmp_path)
    settings = settings_of(tmp_path, *order)
    assert all("0 revised" in line for line in ingest(settings))
    assert known_at(settings, "2025-06-01T12:00:00Z") == BOTH
    assert known_at(settings, "2025-06-01T11:30:00Z") == BOTH[:2]


@pytest.mark.parametrize(("first", "then"), [("temp", "rain"), ("rain", "temp")])
def test_a_column_mapped_later_is_known_as_if_mapped_at_once(tmp_path: Path, first: str, then: str):
    write(tmp_path)
    columns = {"temp": "air_temperature_c", "rain": "precipitation_mm"}
    one = {"name": "x", "files": "x.csv", "columns": {columns[first]: first}, "reporting_delay": "30min"}
    ingest(settings_of(tmp_path, one))
    settings = settings_of(tmp_path, {**one, "columns": {columns[first]: first, columns[then]: then}})
    assert "nothing new was delivered" in ingest(settings)[0]
    assert known_at(settings, "2025-06-01T12:30:00Z") == BOTH
    assert known_at(settings, "2025-06-01T12:29:00Z") == BOTH[:2]


def test_a_value_that_replaces_another_is_known_only_from_when_it_came(tmp_path: Path):
    write(tmp_path)
    settings = settings_of(tmp_path, {**TEMPERATURE, "files": "x.csv"})
    ingest(settings)
    (tmp_path / "x.csv").write_text("time,temp,rain\n2025-06-01 10:00,25.0,0.2\n")
    columns = {"air_temperature_c": "temp", "precipitation_mm": "rain"}
    settings = settings_of(tmp_path, {**TEMPERATURE, "files": "x.csv", "columns": columns})
    ingest(settings)
    assert [hour for hour, *_ in known_at(settings, NOW.isoformat())] == [10, 11, 12]
    assert known_at(settings, "2025-06-19T00:00:00Z")[0] == (10, 15.0, 0.2)
    assert known_at(settings, NOW.isoformat())[0] == (10, 25.0, 0.2)
