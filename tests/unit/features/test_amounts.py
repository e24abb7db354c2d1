"""Amounts since the row before, worked out by hand; and numbers held from earlier files and runs."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from daycast.features.amounts import Accumulation, accumulate, amounts
from daycast.times import UTC_TIME

START = datetime(2025, 3, 1, tzinfo=UTC)
RAIN = "precipitation_mm"
COUNTER, HOURLY, RATE = (Accumulation("gauge", method) for method in ("counter", "running_hour", "rate"))
NUMBERS = {"station_id": pl.String, "observed_at": UTC_TIME, "number": pl.Float64}


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def of(*rows: tuple[int, float], accumulation: Accumulation = COUNTER) -> list[float | None]:
    """The amounts of rows (minute, number) of one station."""
    frame = pl.DataFrame([("s", at(minute), number) for minute, number in rows], NUMBERS, orient="row")
    return amounts(frame, accumulation).to_list()


def test_a_counter_gives_its_rise_and_after_a_fall_what_was_counted_since() -> None:
    assert of((0, 3.0), (10, 3.2), (20, 3.2), (30, 0.0), (40, 0.6), (50, 0.4)) == [None, 0.2, 0.0, 0.0, 0.6, 0.4]


def test_what_a_counter_gave_before_its_first_row_or_a_day_of_silence_is_unknown() -> None:
    assert of((0, 3.0), (24 * 60, 5.0), (48 * 60 + 1, 6.0)) == [None, 2.0, None]


def test_a_counter_that_loses_a_rounding_was_not_reset() -> None:
    assert of((0, 812.4), (60, 812.3), (120, 812.6)) == [None, 0.0, 0.3]
    assert of((0, 0.4), (60, 0.3)) == [None, 0.3]
    assert of((0, 20.4), (20 * 60, 20.0)) == [None, 20.0]  # another day's rain


def test_a_counter_that_rolls_over_loses_nothing() -> None:
    rolling = Accumulation("gauge", "counter", rollover=100.0)
    assert of((0, 99.5), (10, 0.5), (20, 0.75), accumulation=rolling) == [None, 1.0, 0.25]
    assert of((0, 40.0), (10, 0.5), accumulation=rolling) == [None, 0.5]  # reset by hand, far from its end


def test_a_running_hour_gives_its_rise_within_the_hour_and_itself_where_it_begins_anew() -> None:
    reports = [(51, 2.5), (72, 1.0), (93, 2.0), (111, 3.0), (171, 4.0), (230, 5.0), (290, 0.0)]
    assert of(*reports, accumulation=HOURLY) == [2.5, 1.0, 1.0, 1.0, 4.0, 5.0, 0.0]


def test_the_minute_at_which_a_running_hour_ends_tells_a_new_total_from_a_rise() -> None:
    reports = [(50, 0.1), (51, 0.2), (65, 0.5), (111, 0.7)]
    assert of(*reports, accumulation=HOURLY) == pytest.approx([0.1, 0.1, 0.3, 0.2])
    ends = Accumulation("gauge", "running_hour", reset_minute=51)
    assert of(*reports, accumulation=ends) == pytest.approx([0.1, 0.1, 0.5, 0.2])


def test_a_rate_holds_since_the_row_before_and_for_an_hour_at_most() -> None:
    assert of((0, 6.0), (10, 6.0), (70, 3.0), (300, 2.0), accumulation=RATE) == [None, 1.0, 3.0, 2.0]


def test_stations_have_counters_of_their_own() -> None:
    frame = pl.DataFrame([("a", at(0), 5.0), ("a", at(5), 6.0), ("b", at(5), 7.0)], NUMBERS, orient="row")
    assert amounts(frame, COUNTER).to_list() == [None, 1.0, None]


# Numbers held from before


def rows(*given: tuple[int, float | None], first: int = 0) -> pl.DataFrame:
    made = [(first + i, "batch", i, "s", at(m), at(m + 1), number, 20.0) for i, (m, number) in enumerate(given)]
    schema = {"row": pl.UInt32, "batch_id": pl.String, "row_number": pl.UInt32, "station_id": pl.String}
    schema |= {"observed_at": UTC_TIME, "received_at": UTC_TIME, RAIN: pl.Float64, "air_temperature_c": pl.Float64}
    return pl.DataFrame(made, schema, orient="row")


def held(*given: tuple[int, float]) -> pl.DataFrame:
    return rows(*given).select("station_id", "observed_at", "received_at", pl.col(RAIN).alias("number"))


def minutes(frame: pl.DataFrame, *names: str) -> list[tuple]:
    shown = frame.with_columns((pl.col("observed_at", "received_at") - START).dt.total_minutes())
    return shown.select("observed_at", *names).rows()


def test_the_row_before_may_be_of_another_file_or_run() -> None:
    made = accumulate(rows((10, 3.0), (20, 3.5)), held((0, 2.0)), RAIN, COUNTER)
    assert made.rows[RAIN].to_list() == [1.0, 0.5]
    assert made.changed.is_empty()
    assert minutes(made.numbers, "number") == [(10, 3.0), (20, 3.5)]


def test_a_row_that_comes_late_takes_its_part_from_the_row_after_it() -> None:
    made = accumulate(rows((10, 3.0)), held((0, 2.0), (20, 5.0), (30, 6.0)), RAIN, COUNTER)
    assert made.rows[RAIN].to_list() == [1.0]
    assert minutes(made.changed, RAIN, "air_temperature_c", "row", "received_at") == [(20, 2.0, None, 0, 21)]


def test_a_file_before_all_others_gives_their_first_row_its_amount() -> None:
    made = accumulate(rows((0, 2.0), (10, 3.0)), held((20, 5.0), (30, 6.0)), RAIN, COUNTER)
    assert made.rows[RAIN].to_list() == [None, 1.0]
    assert minutes(made.changed, RAIN, "row") == [(20, 2.0, 1)]


def test_a_corrected_number_changes_its_amount_and_the_next() -> None:
    made = accumulate(rows((10, 4.0)), held((0, 2.0), (10, 3.0), (20, 5.0)), RAIN, COUNTER)
    assert made.rows[RAIN].to_list() == [2.0]
    assert minutes(made.changed, RAIN) == [(20, 1.0)]


def test_the_same_rows_once_more_change_nothing() -> None:
    made = accumulate(rows((10, 3.0), (20, None), (30, 4.0)), held((0, 2.0), (10, 3.0), (30, 4.0)), RAIN, COUNTER)
    assert made.rows[RAIN].to_list() == [1.0, None, 1.0]
    assert made.changed.is_empty()


def test_a_row_without_a_number_is_passed_over_and_a_row_without_a_key_gives_no_amount() -> None:
    lost = rows((5, 2.5), (10, 3.0)).with_columns(pl.when(pl.col("row") > 0).then("observed_at").alias("observed_at"))
    made = accumulate(lost, held((0, 2.0)), RAIN, COUNTER)
    assert made.rows[RAIN].to_list() == [None, 1.0]
    assert len(made.numbers) == 1
