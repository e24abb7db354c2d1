"""Rows that are read again: what becomes of each held row, by hand."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from daycast.features.restate import Restated, restate

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
KEY, VARIABLES = ["station_id", "observed_at"], ["warmth", "wind"]
TIME = pl.Datetime("us", "UTC")
SCHEMA = {
    "station_id": pl.String,
    "observed_at": TIME,
    "received_at": TIME,
    "batch_id": pl.String,
    "row_number": pl.UInt32,
    "warmth": pl.Float64,
    "wind": pl.Float64,
}
Row = tuple[int, float | None, float | None]  # minutes until it was received, warmth, wind


def frame(given: list[Row], batch: str) -> pl.DataFrame:
    """Rows of station A at noon."""
    rows = [("A", NOON, NOON + timedelta(minutes=m), batch, n, *values) for n, (m, *values) in enumerate(given)]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def restated(held: list[Row], again: list[Row], mappings: list[str] | None = None, *, stated: bool = False) -> Restated:
    mapping = pl.Series("mapping", mappings or ["old"] * len(held), pl.String)
    read_again = frame(again, "new").with_columns(is_stated=pl.lit(value=stated))
    return restate(frame(held, "before").with_columns(mapping), read_again, VARIABLES, KEY, "new")


def values(rows: pl.DataFrame) -> list[Row]:
    since = (pl.col("received_at") - pl.col("observed_at")).dt.total_minutes()
    return rows.sort("received_at").select(since, "warmth", "wind").rows()


@pytest.mark.parametrize(
    ("held", "again", "expected"),
    [
        ([(1, 8.0, 36.0)], [(1, 8.0, 10.0)], [(1, 8.0, 10.0)]),
        # received late, which only the held row knows
        ([(90, 8.0, 36.0)], [(0, 8.0, 10.0)], [(90, 8.0, 10.0)]),
        # the sensor corrected the wind: what it was before is not known in the new unit
        ([(1, 8.0, 72.0), (60, 8.0, 36.0)], [(1, 8.0, 10.0)], [(1, 8.0, None), (60, 8.0, 10.0)]),
        # the sensor corrected the temperature, whose reading is the same as before
        ([(1, 7.0, 36.0), (60, 8.0, 36.0)], [(1, 8.0, 10.0)], [(1, 7.0, 10.0), (60, 8.0, 10.0)]),
        # two files that contradict each other do so again
        ([(1, 8.0, 72.0), (60, 8.0, 36.0)], [(1, 8.0, 20.0), (99, 8.0, 10.0)], [(1, 8.0, 20.0), (60, 8.0, 10.0)]),
        # a column that was not mapped is known since the row is
        ([(1, 8.0, None)], [(1, 8.0, 10.0)], [(1, 8.0, 10.0)]),
        # a column that is not mapped any more
        ([(1, 8.0, 36.0)], [(1, 8.0, None)], [(1, 8.0, None)]),
        # a value that came in a second row
        ([(1, 8.0, None), (5, None, 36.0)], [(1, 8.0, 10.0)], [(1, 8.0, None), (5, None, 10.0)]),
    ],
)
def test_the_held_receipt_and_the_value_that_is_read_now(
    held: list[Row], again: list[Row], expected: list[Row]
) -> None:
    found = restated(held, again)
    assert values(found.stated) == expected
    assert values(found.retracted) == [one for one, other in zip(held, expected, strict=True) if one != other]
    assert found.fresh.is_empty()


def test_a_difference_between_two_mappings_is_no_correction() -> None:
    found = restated([(1, 8.0, 36.0), (60, 8.0, 10.0)], [(1, 8.0, 10.0)], ["old", "new"])
    assert values(found.stated) == [(1, 8.0, 10.0)]  # the second row was right already
    assert values(found.retracted) == [(1, 8.0, 36.0)]


def test_once_more_changes_nothing() -> None:
    first = restated([(1, 7.0, 72.0), (60, 8.0, 36.0)], [(1, 8.0, 10.0)]).stated
    again = frame([(1, 8.0, 10.0)], "new").with_columns(is_stated=pl.lit(value=False))
    second = restate(first.with_columns(mapping=pl.lit("new")), again, VARIABLES, KEY, "new")
    assert second.gone.is_empty()
    assert second.stated.is_empty()


def test_a_receipt_that_the_source_states_is_taken_from_there() -> None:
    found = restated([(120, 8.0, 36.0)], [(60, 8.0, 10.0)], stated=True)
    assert values(found.stated) == [(60, 8.0, 10.0)]
    assert values(found.retracted) == [(120, 8.0, 36.0)]


def test_a_receipt_that_was_never_held_comes_beside_those_that_were() -> None:
    found = restated([(1, 8.0, 36.0)], [(1, 8.0, 10.0), (60, 9.0, 10.0)], stated=True)
    assert values(found.stated) == [(1, 8.0, 10.0), (60, 9.0, 10.0)]


def test_rows_of_which_nothing_is_held_are_fresh() -> None:
    held = frame([(1, 8.0, 36.0)], "before").with_columns(mapping=pl.lit("old"), station_id=pl.lit("B"))
    again = frame([(1, 8.0, 10.0)], "new").with_columns(is_stated=pl.lit(value=False))
    found = restate(held, again, VARIABLES, KEY, "new")
    assert values(found.fresh) == [(1, 8.0, 10.0)]
    assert found.gone.is_empty()


def test_a_variable_that_is_not_configured_any_more_keeps_its_values() -> None:
    held = frame([(1, 8.0, 36.0)], "before").with_columns(mapping=pl.lit("old"), soil=pl.lit(12.0))
    again = frame([(1, 8.0, 10.0)], "new").with_columns(is_stated=pl.lit(value=False))
    found = restate(held, again, VARIABLES, KEY, "new", ["soil"])
    assert found.stated.select("wind", "soil").rows() == [(10.0, 12.0)]
    assert found.retracted.select("wind", "soil").rows() == [(36.0, 12.0)]


def test_a_variable_that_is_read_as_before_keeps_what_was_known_and_other_values_are_news() -> None:
    held = frame([(1, 8.0, 36.0)], "before").with_columns(mapping=pl.lit("old"))
    again = frame([(1, 9.0, 10.0)], "new").with_columns(is_stated=pl.lit(value=False))
    found = restate(held, again, VARIABLES, KEY, "new", as_before=VARIABLES[:1], now=NOON + timedelta(hours=1))
    assert values(found.stated) == [(1, 8.0, 10.0), (60, 9.0, None)]
    assert values(found.retracted) == [(1, 8.0, 36.0)]
