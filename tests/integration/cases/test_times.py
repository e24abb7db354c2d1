"""Cases about times that need more than one ingest, or that call for a refusal or a warning."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from daycast.errors import ContractError
from daycast.settings import Settings
from daycast.steps.doctor import examine
from daycast.steps.ingest import Ingested, ingest_source
from integration.cases.test_cases import (
    CASES,
    Case,
    differences,
    last_hour,
    pytestmark,  # noqa: F401 the same mark and reason to skip
    read_expected,
    read_observed,
    settings_of,
)


def csv(name: str, **more: Any) -> dict[str, Any]:
    columns = {"air_temperature_c": "temp"} | more.pop("columns", {})
    return {
        "sources": [
            {"kind": "csv", "name": "s", "files": "*.csv", "station": {"constant": name}, "columns": columns, **more}
        ]
    }


def ingest(settings: Settings, now: datetime) -> Ingested:
    return ingest_source(settings, settings.sources[0], now)


def warnings(settings: Settings, now: datetime) -> list[str]:
    return [one.detail for one in examine(settings, now) if one.is_warning]


@pytest.mark.parametrize("order", [("logger_a.csv", "logger_b.csv"), ("logger_b.csv", "logger_a.csv")])
def test_files_cut_inside_the_doubled_hour_may_come_in_two_runs_and_in_any_order(
    tmp_path: Path, order: tuple[str, str]
):
    given, expected = CASES / "dst_two_files", read_expected(CASES / "dst_two_files" / "expected.csv")
    table = csv("S", files="in/*.csv", time="time", timezone="Europe/Berlin", columns={"precipitation_mm": "rain"})
    settings = Settings.model_validate({"data": "state", **table}, context={"folder": tmp_path})
    (tmp_path / "in").mkdir()
    done = []
    for name in order:
        shutil.copyfile(given / name, tmp_path / "in" / name)
        done.append(ingest(settings, last_hour(expected) + timedelta(days=1)))
    assert [(one.kept - one.repeated, one.revised, one.refused) for one in done] == [(3, 0, 0)] * 2
    assert differences(expected, read_observed(settings), Case()) == []


def test_a_query_that_begins_again_inside_the_doubled_hour_revises_nothing(tmp_path: Path):
    given, expected = CASES / "dst_sql_look_back", read_expected(CASES / "dst_sql_look_back" / "expected.csv")
    query = f"""
        select site, observed::timestamp as observed, stored::timestamptz as stored, "temp", rain
        from read_csv('{given / "rows.csv"}', all_varchar = false)
        where stored::timestamptz > $since and stored::timestamptz <= $until order by stored
    """
    source = {
        "kind": "sql",
        "name": "plant",
        "query": query,
        "received": "stored",
        "look_back": "1d",
        "station": "site",
    }
    source |= {"time": "observed", "timezone": "Europe/Berlin"}
    source |= {"columns": {"air_temperature_c": "temp", "precipitation_mm": "rain"}}
    settings = Settings.model_validate({"data": "state", "sources": [source]}, context={"folder": tmp_path})
    first = ingest(settings, datetime(2025, 10, 27, 1, tzinfo=UTC))
    assert (first.revised, first.refused) == (0, 0)
    second = ingest(settings, datetime(2025, 10, 27, 1, 25, tzinfo=UTC))
    assert (second.revised, second.refused) == (0, 0)
    known = last_hour(read_observed(settings))
    assert differences(expected.filter(pl.col("observed_at") <= known), read_observed(settings), Case()) == []


def test_a_logger_on_standard_time_is_proved_and_the_offset_named(tmp_path: Path):
    table = csv("A", time="time", timezone="Europe/Berlin")
    settings_of(table, CASES / "standard_time_logger", tmp_path / "case")
    now = datetime(2025, 11, 1, tzinfo=UTC)
    source = {**table["sources"][0], "files": "x.csv"}
    settings = Settings.model_validate({"data": "state", "sources": [source]}, context={"folder": tmp_path / "case"})
    refused, *proved = warnings(settings, now)
    assert refused.startswith("2 rows would be refused: time 02:00 does not exist in Europe/Berlin on that day")
    ingested = ingest(settings, now)
    assert ingested.refused == 2
    for doubts in (proved, list(ingested.doubts)):
        (doubt,) = doubts
        assert "2025-03-30 02:00" in doubt
        assert "2025-10-26 02:00" in doubt
        assert '"+01:00" if standard time all year' in doubt


def test_undeclared_milliseconds_are_pointed_at(tmp_path: Path):
    table = csv("S", files="e.csv", time={"column": "ts", "format": "%s"})
    settings = settings_of(table, CASES / "epoch_ms", tmp_path / "case")
    now = datetime(2025, 6, 2, tzinfo=UTC)
    (doubt,) = warnings(settings, now)
    assert doubt.startswith("all 2 rows are stamped later than now: 1748772000000 was taken for the year 57386")
    with pytest.raises(ContractError):
        ingest(settings, now)


def test_a_day_without_its_clock_is_refused_in_words(tmp_path: Path):
    with pytest.raises(ValueError, match=r"'%m/%d/%Y' has no clock: add its column"):
        settings_of(
            csv("M2", time={"column": "DATE (MM/DD/YYYY)", "format": "%m/%d/%Y"}), CASES / "epoch_ms", tmp_path / "a"
        )


def test_jitter_is_pointed_at_and_what_was_read_after_the_hour_is_not_known_before(tmp_path: Path):
    table = csv("L1", files="x.csv", time="time", columns={"precipitation_mm": "rain"})
    settings = settings_of(table, CASES / "clock_jitter", tmp_path / "case")
    now = datetime(2025, 6, 3, tzinfo=UTC)
    for doubts in (warnings(settings, now), list(ingest(settings, now).doubts)):
        (doubt,) = doubts
        assert 'set tolerance = "5s"' in doubt
    declared = {"data": "state", "sources": [{**table["sources"][0], "tolerance": "5s"}]}
    settings = Settings.model_validate(declared, context={"folder": tmp_path / "case"})
    again = ingest(settings, now)
    assert (again.delivered, warnings(settings, now)) == (0, [])
    expected = read_expected(CASES / "clock_jitter" / "expected.csv")
    assert differences(expected, read_observed(settings), Case()) == []
    with duckdb.connect(settings.warehouse_file, read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        as_of = (
            "select air_temperature_c from observations_as_of(timestamptz '{}') where observed_at = '2025-06-01 01:00'"
        )
        assert con.execute(as_of.format("2025-06-01 01:00:00+00")).fetchall() == []
        assert con.execute(as_of.format("2025-06-01 01:00:02+00")).fetchall() == [(15.3,)]
