"""Amounts since the row before, worked out by hand; and numbers held from earlier files and runs."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from daycast.features.amounts import Accumulation, CalendarReset, accumulate, amounts
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
    assert of((0, 3.0), (10, 3.2), (20, 3.2), (30, 0.0), (40, 0.6), (50, 0.2)) == [None, 0.2, 0.0, 0.0, 0.6, 0.2]


def test_what_a_counter_gave_before_its_first_row_or_a_day_of_silence_is_unknown() -> None:
    assert of((0, 3.0), (24 * 60, 5.0), (48 * 60 + 1, 6.0)) == [None, 2.0, None]


def test_a_counter_that_loses_a_rounding_was_not_reset() -> None:
    assert of((0, 812.4), (60, 812.3), (120, 812.6)) == [None, 0.0, 0.2]
    assert of((0, 0.4), (60, 0.3)) == [None, 0.3]
    assert of((0, 20.4), (20 * 60, 20.0)) == [None, 20.0]  # another day's rain


@pytest.mark.parametrize(
    ("step", "numbers", "expected"),
    [
        (60, [10.0, 10.2, 10.1, 10.2, 10.4], [None, 0.2, 0.0, 0.0, 0.2]),
        (10, [0.6, 0.8, 0.7, 0.7, 0.8, 0.9], [None, 0.2, 0.0, 0.0, 0.0, 0.1]),
        (180, [300.0, 300.3, 300.1, 300.0, 300.2, 300.3, 0.0, 0.4], [None, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4]),
        (180, [5.0, 5.2, 5.1, 0.3, 0.5], [None, 0.2, 0.0, 0.3, 0.2]),
        (180, [0.6, 0.8, 0.7, 0.9], [None, 0.2, 0.0, 0.1]),  # by one tick of 0.1
        (180, [4.0, 6.0, 5.5, 7.0], [None, 2.0, 0.0, 1.0]),
        (180, [1.0, 6.1, 4.0, 4.1], [None, 5.1, 4.0, 0.1]),  # within three hours as much may have fallen anew
    ],
)
def test_the_way_back_of_a_counter_that_jitters_is_no_rain(
    step: int, numbers: list[float], expected: list[float | None]
) -> None:
    given = [(index * step, number) for index, number in enumerate(numbers)]
    assert of(*given) == pytest.approx(expected)


# Numbers that drop out or jump up, and jitter by the smallest step


ODD = [
    ([310.0, 310.2, 0.0, 310.2, 310.4], [None, 0.2, 0.0, 0.0, 0.2]),
    ([48.5, 49.0, 0.0, 0.0, 0.0, 49.5], [None, 0.5, 0.0, 0.0, 0.0, 0.5]),  # for half an hour, and it rained
    ([7.25, 7.5, 1.0, 7.75, 7.75], [None, 0.25, 0.0, 0.25, 0.0]),  # to another total than 0
    ([10.0, 10.2, 6553.5, 10.2, 10.6], [None, 0.2, None, 0.0, 0.4]),
    ([3.0, 3.5, 120.0, 4.0, 4.0], [None, 0.5, None, 0.5, 0.0]),
    ([20.0, 20.5, 0.0, 20.5, 900.0, 20.5, 21.0], [None, 0.5, 0.0, 0.0, None, 0.0, 0.5]),
]


@pytest.mark.parametrize(("numbers", "expected"), ODD)
@pytest.mark.parametrize("yearly", [False, True])
def test_a_number_that_is_back_in_the_next_row_is_no_reset_and_no_rain(
    numbers: list[float], expected: list[float | None], yearly: bool
) -> None:
    declared = CalendarReset("1y", timedelta(0), "UTC") if yearly else None
    given = [(index * 10, number) for index, number in enumerate(numbers)]
    assert of(*given, accumulation=Accumulation("gauge", "counter", resets=declared)) == pytest.approx(expected)


def test_a_reset_that_is_followed_by_rain_is_no_dropout() -> None:
    assert of((0, 10.0), (10, 10.2), (20, 0.0), (30, 4.0)) == pytest.approx([None, 0.2, 0.0, 4.0])
    assert of((0, 10.0), (60, 10.2), (120, 0.0), (180, 0.0), (240, 10.2)) == pytest.approx([None, 0.2, 0.0, 0.0, 10.2])
    assert of((0, 0.0), (10, 5.0), (20, 0.0)) == [None, 5.0, 0.0]  # a shower, and the reset of the day
    due = [(MIDNIGHT - 10, 3.0), (MIDNIGHT, 3.0), (MIDNIGHT + 10, 0.0), (MIDNIGHT + 20, 3.0)]
    assert of(*due, accumulation=DAILY) == [None, 0.0, 0.0, 3.0]


@pytest.mark.parametrize("resets", [None, CalendarReset("1d", timedelta(0), "UTC")])
@pytest.mark.parametrize(
    ("numbers", "total"),
    [
        ([0.0, 0.2, 0.4, 0.3, 0.4, 0.4, 0.3, 0.4, 0.6], 0.6),
        ([0.5, 1.0, 0.75, 0.75, 1.0, 1.5], 1.0),  # it takes two rows to be back
        ([0.3, 0.5, 0.4, 0.3, 0.5, 0.6], 0.3),  # by two ticks
    ],
)
def test_a_small_total_jitters_by_the_smallest_step(
    numbers: list[float], total: float, resets: CalendarReset | None
) -> None:
    given = [(60 + index * 20, number) for index, number in enumerate(numbers)]
    made = of(*given, accumulation=Accumulation("gauge", "counter", resets=resets))
    assert sum(amount or 0.0 for amount in made[1:]) == pytest.approx(total)


def test_where_no_declared_reset_is_due_a_small_total_may_jitter_down_to_nothing() -> None:
    numbers = [(600, 0.0), (610, 0.2), (620, 0.0), (690, 0.0), (700, 0.2), (710, 0.4)]
    assert of(*numbers, accumulation=DAILY) == pytest.approx([None, 0.2, 0.0, 0.0, 0.0, 0.2])
    due = [(MIDNIGHT - 70, 0.0), (MIDNIGHT - 60, 0.2), (MIDNIGHT, 0.0), (MIDNIGHT + 70, 0.2), (MIDNIGHT + 80, 0.4)]
    assert of(*due, accumulation=DAILY) == pytest.approx([None, 0.2, 0.0, 0.2, 0.2])


@pytest.mark.parametrize(("numbers", "expected"), ODD)
def test_the_row_that_tells_may_come_in_a_later_run(numbers: list[float], expected: list[float | None]) -> None:
    given = [(index * 10, number) for index, number in enumerate(numbers)]
    for cut in range(1, len(given)):
        first = accumulate(rows(*given[:cut]), held(), RAIN, COUNTER)
        then = accumulate(rows(*given[cut:], first=cut), held(*given[:cut]), RAIN, COUNTER)
        made = dict(enumerate(first.rows[RAIN].to_list() + then.rows[RAIN].to_list()))
        made |= {minute // 10: amount for minute, amount in minutes(then.changed, RAIN)}
        known = [amount or 0.0 for amount in made.values()][1:]
        assert known == pytest.approx([amount or 0.0 for amount in expected][1:])


def test_a_gauge_that_evaporates_for_days_counts_from_where_it_is() -> None:
    dry = [(hour * 60, 300 - hour * 0.05) for hour in range(72)]
    assert of(*dry, (72 * 60, 301.0))[-1] == pytest.approx(301.0 - (300 - 48 * 0.05))


def test_a_counter_that_rolls_over_may_jitter_too() -> None:
    rolling = Accumulation("gauge", "counter", rollover=100.0)
    numbers = [(0, 99.5), (10, 99.8), (20, 99.7), (30, 0.3), (40, 0.25), (50, 0.5)]
    assert of(*numbers, accumulation=rolling) == pytest.approx([None, 0.3, 0.0, 0.5, 0.0, 0.2])


# Counters that are reset by the calendar; at(0) is 2025-03-01 00:00 UTC

DAILY = Accumulation("gauge", "counter", resets=CalendarReset("1d", timedelta(0), "UTC"))
MIDNIGHT = 24 * 60


def test_the_first_total_of_a_day_counts_from_zero_though_it_has_not_fallen() -> None:
    numbers = [(MIDNIGHT - 60, 0.2), (MIDNIGHT, 0.2), (MIDNIGHT + 60, 0.6), (MIDNIGHT + 120, 0.9)]
    assert of(*numbers, accumulation=DAILY) == [None, 0.0, 0.6, 0.3]
    assert of(*numbers) == pytest.approx([None, 0.0, 0.4, 0.3])


def test_a_row_at_midnight_shows_the_day_that_ends_unless_it_has_fallen() -> None:
    ends = [(MIDNIGHT - 10, 3.0), (MIDNIGHT, 3.2), (MIDNIGHT + 10, 0.1)]
    assert of(*ends, accumulation=DAILY) == pytest.approx([None, 0.2, 0.1])
    begins = [(MIDNIGHT - 10, 3.0), (MIDNIGHT, 0.0), (MIDNIGHT + 10, 0.1)]
    assert of(*begins, accumulation=DAILY) == [None, 0.0, 0.1]
    begun = [(MIDNIGHT - 10, 3.0), (MIDNIGHT, 0.2), (MIDNIGHT + 10, 0.3)]
    assert of(*begun, accumulation=DAILY) == pytest.approx([None, 0.2, 0.1])


def test_a_counter_whose_clock_is_late_counts_nothing_twice() -> None:
    late = [(MIDNIGHT - 5, 12.4), (MIDNIGHT + 1, 12.4), (MIDNIGHT + 6, 12.6), (MIDNIGHT + 11, 0.0)]
    assert of(*late, accumulation=DAILY) == pytest.approx([None, 0.0, 0.2, 0.0])


@pytest.mark.parametrize(("early", "step"), [(20, 10), (5, 5), (15, 15)])
def test_a_counter_whose_clock_is_early_counts_nothing_twice(early: int, step: int) -> None:
    ends, begins = MIDNIGHT - early, [(MIDNIGHT - early + index * step, 0.25 * index) for index in range(8)]
    made = of((ends - 2 * step, 3.0), (ends - step, 3.5), *begins, accumulation=DAILY)
    assert made == pytest.approx([None, 0.5, 0.0, *[0.25] * 7])


def test_a_counter_that_is_reset_long_before_the_declared_reset_is_another_case() -> None:
    by_hand = [(MIDNIGHT - 50, 3.0), (MIDNIGHT - 40, 0.0), (MIDNIGHT + 20, 0.5), (MIDNIGHT + 30, 0.75)]
    assert of(*by_hand, accumulation=DAILY) == pytest.approx([None, 0.0, 0.5, 0.25])
    late = [(MIDNIGHT - 50, 3.0), (MIDNIGHT - 40, 0.0), (MIDNIGHT - 1, 0.25), (MIDNIGHT + 20, 0.5)]
    assert of(*late, accumulation=DAILY) == pytest.approx([None, 0.0, 0.25, 0.5])


def test_a_gap_over_midnight_leaves_what_the_new_day_counted() -> None:
    assert of((18 * 60, 12.4), (MIDNIGHT + 6 * 60, 13.0), accumulation=DAILY) == [None, 13.0]
    assert of((18 * 60, 12.4), (MIDNIGHT + 6 * 60, 12.4), accumulation=DAILY) == [None, 12.4]
    two_days = 2 * MIDNIGHT
    assert of((0, 1.0), (two_days + 600, 5.0), (two_days + 660, 5.5), accumulation=DAILY) == [None, None, 0.5]


def test_the_first_hour_of_a_day_is_known_without_a_row_before() -> None:
    assert of((60, 0.4), accumulation=DAILY) == [0.4]
    assert of((5, 0.4), accumulation=DAILY) == [None]  # it may be yesterday's
    assert of((61, 0.4), accumulation=DAILY) == [None]


def test_within_a_day_a_declared_counter_jitters_and_may_be_reset_by_hand() -> None:
    numbers = [(60, 10.0), (70, 10.2), (80, 10.1), (90, 10.2), (100, 0.2), (110, 0.3)]
    assert of(*numbers, accumulation=DAILY)[1:] == pytest.approx([0.2, 0.0, 0.0, 0.2, 0.1])


@pytest.mark.parametrize(
    ("resets", "before", "after"),
    [
        (CalendarReset("1d", timedelta(hours=9), "UTC"), (8 * 60, 1.0), (10 * 60, 1.5)),
        (CalendarReset("1d", timedelta(0), "America/New_York"), (4 * 60, 1.0), (6 * 60, 1.5)),  # 23:00 and 01:00
        (CalendarReset("1d", timedelta(0), "+05:30"), (18 * 60, 1.0), (19 * 60, 1.5)),  # 23:30 and 00:30
        (CalendarReset("1mo", timedelta(0), "UTC"), (-60, 1.0), (60, 1.5)),
        (CalendarReset("1y", timedelta(0), "UTC"), (-59 * MIDNIGHT - 60, 1.0), (-59 * MIDNIGHT + 60, 1.5)),
    ],
)
def test_a_counter_begins_anew_by_the_clocks_and_the_calendar_of_its_place(resets, before, after) -> None:
    declared = Accumulation("gauge", "counter", resets=resets)
    assert of(before, after, accumulation=declared)[1] == 1.5
    assert of(before, (after[0] + 10, 1.5), (after[0] + 20, 1.75), accumulation=declared)[1:] == [1.5, 0.25]
    later, still = (after[0] + 60, 2.0), (after[0] + 180, 2.5)
    assert of(after, later, still, accumulation=declared)[1:] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("zone", "first_hour"),
    [
        ("Europe/Berlin", datetime(2025, 3, 29, 20, tzinfo=UTC)),  # the day that begins at 23:00 has 23 hours
        ("Europe/Berlin", datetime(2025, 10, 25, 20, tzinfo=UTC)),  # the day that begins at 22:00 has 25 hours
        ("America/Havana", datetime(2025, 11, 1, 20, tzinfo=UTC)),  # midnight comes twice
        ("Africa/Cairo", datetime(2025, 4, 24, 20, tzinfo=UTC)),  # midnight is skipped
    ],
)
def test_a_day_has_one_reset_when_clocks_change(zone: str, first_hour: datetime) -> None:
    """0.1 an hour, in rows of 30 minutes; the counter begins anew with each day of the zone."""
    rows, total = [], 2.0
    for number in range(120):
        instant = first_hour + number * timedelta(minutes=30)
        ended = instant - timedelta(minutes=30)
        day, before = (at.astimezone(ZoneInfo(zone)).date() for at in (ended, ended - timedelta(minutes=30)))
        total = round((0.0 if day > before else total) + 0.05, 2)
        rows.append(("s", instant, total))
    frame = pl.DataFrame(rows, NUMBERS, orient="row")
    made = amounts(frame, Accumulation("gauge", "counter", resets=CalendarReset("1d", timedelta(0), zone)))
    assert made[1:].to_list() == pytest.approx([0.05] * 119)


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


def test_a_late_row_that_was_the_highest_changes_the_rows_after_it_for_a_day() -> None:
    made = accumulate(rows((10, 10.2)), held((0, 10.0), (20, 10.1), (30, 10.2), (40, 10.4)), RAIN, COUNTER)
    assert made.rows[RAIN].to_list() == pytest.approx([0.2])
    assert minutes(made.changed, RAIN, "row", "received_at") == [(20, 0.0, 0, 21), (30, 0.0, 0, 31)]


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
