"""Files that hold somebody's forecasts: what they say, when it was made, and since when it could be known."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from daycast.errors import SourceError
from daycast.sources.batch import EXTERNAL_FORECAST_KEYS, SourceBatch
from daycast.sources.files.csv import CsvSource
from daycast.sources.files.parquet import ParquetSource
from daycast.sources.sql import SqlSource
from daycast.sources.tables.columns import StationKey
from daycast.variables import BUILT_IN

FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
WARMTH = "air_temperature_c"
MINIMAL = {
    "name": "nwp",
    "station": "site",
    "time": "valid",
    "reporting_delay": "3h",
    "columns": {WARMTH: {"column": "t", "unit": "K"}},
}
CSV = """site,run,valid,stored,t
a,2026-02-01T00:00Z,2026-02-01T01:00Z,2026-02-01T05:30Z,273.15
a,2026-02-01T00:00Z,2026-02-01T02:00Z,2026-02-01T05:30Z,274.15
"""


def deliver_csv(folder: Path, text: str, since=None, until=FOREVER, **settings) -> SourceBatch:
    (folder / "a.csv").write_text(text)
    source = CsvSource.model_validate(MINIMAL | {"files": "*.csv"} | settings, context={"folder": folder})
    [batch] = source.fetch(since, until, BUILT_IN, ())
    return batch


def deliver_parquet(folder: Path, text: str, since=None, until=FOREVER, **settings) -> SourceBatch:
    times = {name: pl.Datetime("us", "UTC") for name in ("run", "valid", "stored")}
    table = pl.read_csv(text.encode()).with_columns(pl.col(name).str.to_datetime(time_zone="UTC") for name in times)
    table.write_parquet(folder / "a.parquet")
    source = ParquetSource.model_validate(MINIMAL | {"files": "*.parquet"} | settings, context={"folder": folder})
    [batch] = source.fetch(since, until, BUILT_IN, ())
    return batch


BOTH = pytest.mark.parametrize("deliver", [deliver_csv, deliver_parquet])


@BOTH
def test_rows_have_their_issue_and_a_receipt_that_is_assumed_from_it(deliver, tmp_path: Path) -> None:
    batch = deliver(tmp_path, CSV, forecast={"issued": "run"})
    assert batch.is_forecast
    assert batch.receipt == "assumed"
    assert batch.readings.schema == EXTERNAL_FORECAST_KEYS | dict.fromkeys(BUILT_IN, pl.Float64())
    run = datetime(2026, 2, 1, tzinfo=UTC)
    expected = [
        ("a", run, run.replace(hour=1), run.replace(hour=3)),
        ("a", run, run.replace(hour=2), run.replace(hour=3)),
    ]
    assert batch.readings.select(EXTERNAL_FORECAST_KEYS.keys()).rows() == expected
    assert batch.readings[WARMTH].round(6).to_list() == [0.0, 1.0]
    assert batch.problems.is_empty()


@BOTH
def test_a_stated_receipt_takes_the_place_of_the_delay(deliver, tmp_path: Path) -> None:
    batch = deliver(tmp_path, CSV, forecast={"issued": "run", "received": "stored"})
    assert batch.receipt == "stated"
    assert set(batch.readings["received_at"]) == {datetime(2026, 2, 1, 5, 30, tzinfo=UTC)}


@BOTH
def test_what_is_received_later_is_held_back_whatever_hour_it_speaks_of(deliver, tmp_path: Path) -> None:
    early, late = datetime(2026, 2, 1, 2, tzinfo=UTC), datetime(2026, 2, 1, 3, tzinfo=UTC)
    held = deliver(tmp_path, CSV, until=early, forecast={"issued": "run"})
    assert (held.readings.height, held.complete, held.waiting) == (0, False, 0)
    assert deliver(tmp_path, CSV, until=late, forecast={"issued": "run"}).complete
    assert deliver(tmp_path, CSV, since=late, forecast={"issued": "run"}).readings.height == 0


@BOTH
def test_a_row_without_its_issue_or_stated_receipt_is_a_problem(deliver, tmp_path: Path) -> None:
    text = CSV + "a,,2026-02-01T03:00Z,2026-02-01T05:30Z,1\na,2026-02-01T00:00Z,2026-02-01T04:00Z,,1\n"
    batch = deliver(tmp_path, text, forecast={"issued": "run", "received": "stored"})
    assert batch.problems.select("row_number", "column").rows() == [(2, "run"), (3, "stored")]


def test_the_same_file_without_forecast_holds_readings_under_the_former_fingerprint(tmp_path: Path) -> None:
    plain = deliver_csv(tmp_path, CSV)
    assert not plain.is_forecast
    assert plain.readings["observed_at"].dt.hour().to_list() == [1, 2]
    assert deliver_csv(tmp_path, CSV, forecast={"issued": "run"}).fingerprint != plain.fingerprint
    assert deliver_csv(tmp_path, CSV, forecast=None).fingerprint == plain.fingerprint


def test_a_query_names_its_receipt_in_one_place_only() -> None:
    table = {**MINIMAL, "query": "select 1", "forecast": {"issued": "run", "received": "stored"}}
    with pytest.raises(ValidationError, match="received = 'stored' beside query"):
        SqlSource.model_validate(table)


def test_a_file_name_that_would_make_a_pattern_backtrack_for_ever_is_read_at_once() -> None:
    assert StationKey(file_name=r"(a+)+b\.csv").model_dump()["file_name"]
    key = StationKey(file_name=r"^((?:a+)+)b\.csv$")
    assert key.of_file("aaab.csv") == "aaa"
    with pytest.raises(SourceError, match="the name does not match"):
        key.of_file("a" * 60 + ".csv")


def test_a_pattern_that_needs_backtracking_is_refused() -> None:
    for pattern in (r"(\w+)(?=\.csv)", r"(\w)\w+(?<!x)"):
        with pytest.raises(ValidationError, match="looks around or back, which takes too long on some names"):
            StationKey(file_name=pattern)
