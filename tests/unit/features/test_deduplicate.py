"""New readings are those with a value that differs from what was known of that instant, then or by now."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daycast.features.deduplicate import deduplicate, is_repeated
from daycast.times import UTC_TIME

START = datetime(2026, 2, 1, tzinfo=UTC)
A, B = "air_temperature_c", "dew_point_c"
SCHEMA = {
    "station_id": pl.String,
    "observed_at": UTC_TIME,
    "received_at": UTC_TIME,
    "row_number": pl.UInt32,
    A: pl.Float64,
    B: pl.Float64,
}


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def rows(*of: tuple[int, int, float | None, float | None], first: int = 0) -> pl.DataFrame:
    """Rows of (minute observed, minute received, a, b)."""
    numbered = [("s", at(o), at(r), first + i, a, b) for i, (o, r, a, b) in enumerate(of)]
    return pl.DataFrame(numbered, schema=SCHEMA, orient="row")


def new_readings(readings: pl.DataFrame, held: pl.DataFrame, clock: int | None = None) -> list[tuple]:
    """(minute observed, minute received, a, b) of the new rows; with a clock, receipt is assumed."""
    kept = deduplicate(readings, held, [A, B], None if clock is None else at(clock))
    return [((o - START).seconds // 60, (r - START).seconds // 60, a, b) for _, o, r, _, a, b in kept.iter_rows()]


NOTHING = rows()


@pytest.mark.parametrize("clock", [None, 100])
def test_the_first_readings_are_all_new_and_keep_their_receipt(clock: int | None) -> None:
    first = [(0, 5, 1.0, 2.0), (10, 15, 1.0, None), (20, 25, None, None)]
    assert new_readings(rows(*first), NOTHING, clock) == first


@pytest.mark.parametrize("clock", [None, 100])
def test_the_very_same_readings_once_more_bring_nothing(clock: int | None) -> None:
    held = rows((0, 5, 1.0, 2.0), (10, 15, 1.0, None), (10, 18, 2.0, 2.0), (20, 25, None, None))
    latest = held if clock is None else rows((0, 5, 1.0, 2.0), (10, 18, 2.0, 2.0), (20, 25, None, None))
    assert new_readings(latest, held, clock) == []


def test_without_readings_there_are_no_new_ones() -> None:
    assert new_readings(NOTHING, rows((0, 5, 1.0, 2.0))) == []


@pytest.mark.parametrize("clock", [None, 100])
def test_a_missing_value_is_never_new(clock: int | None) -> None:
    assert new_readings(rows((0, 5, None, 2.0)), rows((0, 5, 1.0, 2.0)), clock) == []


def test_a_value_in_place_of_a_missing_one_is_new() -> None:
    assert new_readings(rows((0, 9, None, 2.0)), rows((0, 5, 1.0, None))) == [(0, 9, None, 2.0)]


def test_a_value_is_compared_with_the_last_that_was_not_missing() -> None:
    held = rows((0, 5, 1.0, 2.0), (0, 6, None, 3.0))  # a: still 1, b: 3
    assert new_readings(rows((0, 9, 1.0, 3.0)), held, clock=90) == []
    assert new_readings(rows((0, 9, 1.0, 2.0)), held, clock=90) == [(0, 90, 1.0, 2.0)]


def test_a_correction_that_is_taken_back_is_new_where_receipt_is_stated() -> None:
    back_and_forth = [(0, 5, 1.0, 2.0), (0, 6, 7.0, 2.0), (0, 7, 1.0, 2.0)]
    assert new_readings(rows(*back_and_forth), NOTHING) == back_and_forth


def test_a_correction_that_is_taken_back_is_new_where_receipt_is_assumed() -> None:
    held = rows((0, 5, 1.0, 2.0), (0, 50, 7.0, 2.0))
    assert new_readings(rows((0, 5, 1.0, 2.0)), held, clock=90) == [(0, 90, 1.0, 2.0)]


def test_a_row_that_states_another_receipt_is_kept_whatever_it_says() -> None:
    held = rows((0, 5, 1.0, 2.0), (0, 9, 7.0, 2.0))
    assert new_readings(rows((0, 7, 1.0, 2.0)), held) == [(0, 7, 1.0, 2.0)]
    assert new_readings(rows((0, 7, 7.0, 2.0)), held) == [(0, 7, 7.0, 2.0)]


def test_a_row_received_before_all_that_are_held_is_new() -> None:
    assert new_readings(rows((0, 3, 1.0, 2.0)), rows((0, 5, 1.0, 2.0))) == [(0, 3, 1.0, 2.0)]


def test_an_assumed_receipt_of_a_correction_becomes_the_clock() -> None:
    held = rows((0, 5, 1.0, 2.0))
    assert new_readings(rows((0, 5, 4.0, 2.0), (10, 15, 4.0, 2.0)), held, clock=90) == [
        (0, 90, 4.0, 2.0),
        (10, 15, 4.0, 2.0),
    ]


def test_a_value_where_nothing_was_held_is_known_from_its_assumed_receipt() -> None:
    held = rows((0, 5, 1.0, None), (10, 15, None, 2.0))
    assert new_readings(rows((0, 5, 1.0, 2.0), (10, 15, 1.0, None)), held, clock=90) == [
        (0, 5, None, 2.0),
        (10, 15, 1.0, None),
    ]


def test_a_row_that_corrects_one_value_and_is_the_first_with_another_comes_twice() -> None:
    held = rows((0, 5, 1.0, None))
    assert new_readings(rows((0, 5, 4.0, 2.0)), held, clock=90) == [(0, 90, 4.0, 2.0), (0, 5, None, 2.0)]


def test_a_first_value_does_not_carry_a_correction_into_the_past() -> None:
    held = rows((0, 5, 1.0, None), (0, 50, 4.0, None))
    assert new_readings(rows((0, 5, 4.0, 2.0)), held, clock=90) == [(0, 5, None, 2.0)]


def test_a_first_value_of_a_known_instant_keeps_its_receipt_though_the_span_was_asked_for_before() -> None:
    held = rows((0, 5, 1.0, None))
    delivered = rows((0, 5, 1.0, 2.0), (10, 15, 1.0, 2.0))
    kept = deduplicate(delivered, held, [A, B], at(90), at(60))
    assert kept["received_at"].to_list() == [at(5), at(90)]


def test_rows_of_one_receipt_stand_or_fall_together() -> None:
    twice = [(0, 5, 1.0, None), (0, 5, None, 2.0)]
    assert new_readings(rows(*twice), NOTHING) == twice
    assert new_readings(rows(*twice), rows(*twice)) == []
    assert new_readings(rows((0, 9, 1.0, None), (0, 9, None, 3.0)), rows(*twice)) == [
        (0, 9, 1.0, None),
        (0, 9, None, 3.0),
    ]


def test_stations_and_instants_are_told_apart() -> None:
    held = rows((0, 5, 1.0, 2.0))
    other = rows((0, 9, 1.0, 2.0)).with_columns(station_id=pl.lit("t"))
    assert new_readings(other, held) == [(0, 9, 1.0, 2.0)]
    assert new_readings(rows((1, 9, 1.0, 2.0)), held) == [(1, 9, 1.0, 2.0)]


def test_new_readings_keep_the_order_of_the_rows() -> None:
    mixed = rows((30, 35, 1.0, 1.0), (0, 5, 1.0, 1.0), (20, 25, 1.0, 1.0))
    assert [row[0] for row in new_readings(mixed, NOTHING)] == [30, 0, 20]


@given(st.lists(st.tuples(st.sampled_from(["A", "B", None]), st.integers(0, 5)), max_size=30))
def test_a_row_is_repeated_if_another_one_has_its_key(keys: list[tuple[str | None, int]]) -> None:
    rows = pl.DataFrame(keys, schema={"station_id": pl.String, "observed_at": pl.Int64}, orient="row")
    assert is_repeated(rows).to_list() == [keys.count(key) > 1 for key in keys]
