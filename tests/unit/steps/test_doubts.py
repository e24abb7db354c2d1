"""Doubts: each check points at what it is about, with an example, and is silent otherwise."""

from datetime import UTC, datetime

import polars as pl

from daycast.sources.batch import SourceBatch, no_problems
from daycast.steps.doubts import find_doubts
from daycast.variables import BUILT_IN

TEN = datetime(2025, 3, 1, 10, tzinfo=UTC)


def batch(rows: list[tuple[str, datetime, float | None, float | None]], doubts: tuple[str, ...] = ()) -> SourceBatch:
    names = ["station_id", "observed_at", "air_temperature_c", "precipitation_mm"]
    readings = pl.DataFrame(rows, schema=names, orient="row")
    readings = readings.with_columns(pl.col("observed_at").cast(pl.Datetime("us", "UTC")), received_at="observed_at")
    return SourceBatch("x.csv", "", readings, readings, no_problems(), complete=True, doubts=doubts)


def test_rows_of_one_instant_that_differ_are_pointed_at() -> None:
    rows = [("A", TEN, 5.0, 0.2), ("A", TEN, 25.0, 0.2), ("B", TEN, 5.0, 0.0), ("A", TEN, -5.0, 0.2)]
    (doubt,) = find_doubts([batch(rows)], BUILT_IN)
    assert doubt.startswith(
        "rows of one station and instant differ, 1 time (station A, 2025-03-01T10:00Z, air_temperature_c 5, 25, -5)"
    )


def test_rows_that_repeat_or_complete_each_other_are_no_conflict() -> None:
    rows = [("A", TEN, 5.0, None), ("A", TEN, 5.0, None), ("A", TEN, None, 0.2)]
    assert find_doubts([batch(rows)], BUILT_IN) == []


def test_conflicts_between_files_count_and_a_source_says_each_doubt_once() -> None:
    first, second = batch([("A", TEN, 5.0, None)], ("odd",)), batch([("A", TEN, 6.0, None)], ("odd",))
    assert [doubt[:4] for doubt in find_doubts([first, second], BUILT_IN)] == ["odd", "rows"]
