"""The hourly grid and its versions, against a slow oracle for one hour and one moment at a time."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from daycast.features.deduplicate import deduplicate
from daycast.features.hourly import full_hour_after, make_hourly_versions
from daycast.times import HOUR, UTC_TIME
from daycast.variables import BUILT_IN, Variable

START = datetime(2026, 2, 1, 10, tzinfo=UTC)
WARMTH, RAIN = "air_temperature_c", "precipitation_mm"
VARIABLES = [BUILT_IN[WARMTH], BUILT_IN[RAIN]]
SCHEMA = {
    "station_id": pl.String,
    "observed_at": UTC_TIME,
    "received_at": UTC_TIME,
    "row_number": pl.UInt32,
    WARMTH: pl.Float64,
    RAIN: pl.Float64,
}


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def readings(*rows: tuple[int, int, float | None, float | None], station: str = "a") -> pl.DataFrame:
    """Rows of (minute observed, minute received, warmth, rain) after START, numbered as they stand."""
    return pl.DataFrame(
        [(station, START + minutes(o), START + minutes(r), i, w, p) for i, (o, r, w, p) in enumerate(rows)],
        schema=SCHEMA,
        orient="row",
    )


def versions(*rows: tuple[int, int, float | None, float | None]) -> list[tuple]:
    """Rows of (hour, minute known from, minute known until or None, warmth, rain) of what is made of the readings."""
    made = make_hourly_versions(readings(*rows), VARIABLES)
    return [
        ((o - START) // HOUR, (f - START) // minutes(1), None if u is None else (u - START) // minutes(1), w, p)
        for _, o, f, u, w, p in made.iter_rows()
    ]


@pytest.mark.parametrize(
    ("stamp", "hour"),
    [
        (START, START),
        (START + timedelta(microseconds=1), START + HOUR),
        (START + minutes(59), START + HOUR),
        (START + HOUR, START + HOUR),
    ],
)
def test_a_reading_stands_for_the_full_hour_at_or_after_it(stamp: datetime, hour: datetime) -> None:
    frame = pl.DataFrame({"at": [stamp]}, schema={"at": UTC_TIME})
    assert frame.select(full_hour_after(pl.col("at"))).item() == hour


def test_a_reading_just_past_the_hour_counts_for_it_within_its_tolerance_and_is_known_from_its_stamp() -> None:
    seconds = [-3, 4, 3604, 3606, 7200]
    frame = readings(*((0, 0, float(number), 0.5) for number, _ in enumerate(seconds)))
    at = pl.Series([START + timedelta(seconds=second) for second in seconds], dtype=UTC_TIME)
    stamped = frame.with_columns(observed_at=at, received_at=at, tolerance_s=pl.lit(5.0))
    made = make_hourly_versions(stamped, VARIABLES).filter(pl.col("known_until").is_null())
    assert made["observed_at"].to_list() == [START, START + HOUR, START + 2 * HOUR]
    assert made[WARMTH].to_list() == [1.0, 2.0, 4.0]
    assert made[RAIN].to_list() == [1.0, 0.5, 1.0]
    assert made["known_from"].to_list() == [at[1], at[2], at[4]]
    none = make_hourly_versions(stamped.with_columns(tolerance_s=pl.lit(0.0)), VARIABLES)
    assert_frame_equal(none, make_hourly_versions(stamped.drop("tolerance_s"), VARIABLES))
    assert START + 2 * HOUR in none["observed_at"].to_list()


def test_an_instant_is_the_last_of_the_hour_and_a_sum_is_its_total() -> None:
    assert versions((20, 70, 1.0, 0.5), (40, 70, 2.0, 0.25), (60, 70, 3.0, 1.0)) == [(1, 70, None, 3.0, 1.75)]


def test_radiation_is_the_mean_of_the_hour() -> None:
    sun = readings((20, 70, 100.0, None), (40, 70, 400.0, None), (60, 70, None, 0.5)).rename({WARMTH: "radiation_w_m2"})
    radiation = Variable("radiation_w_m2", "radiation", "W/m²", 0.0, 1500.0, cell_method="mean")
    assert make_hourly_versions(sun.drop(RAIN), [radiation])["radiation_w_m2"].to_list() == [250.0]


def test_a_gust_is_the_highest_of_the_hour() -> None:
    gusts = readings((20, 70, 9.0, None), (40, 70, 14.0, None), (60, 70, 11.0, None)).rename({WARMTH: "wind_gust_m_s"})
    made = make_hourly_versions(gusts.drop(RAIN), [BUILT_IN["wind_gust_m_s"]])
    assert made["wind_gust_m_s"].to_list() == [14.0]


def test_the_reading_on_the_hour_belongs_to_that_hour_and_the_next_to_the_next() -> None:
    assert versions((60, 60, 1.0, 1.0), (61, 121, 2.0, 2.0)) == [(1, 60, None, 1.0, 1.0), (2, 121, None, 2.0, 2.0)]


def test_no_version_starts_before_its_hour_ends() -> None:
    assert versions((5, 5, 1.0, None)) == [(1, 60, None, 1.0, None)]


def test_readings_known_before_the_hour_ends_make_one_version() -> None:
    assert versions((10, 11, 1.0, 1.0), (20, 21, 2.0, 1.0)) == [(1, 60, None, 2.0, 2.0)]


def test_a_correction_opens_a_version_and_closes_the_one_before() -> None:
    assert versions((60, 65, 1.0, 0.0), (60, 200, 4.0, 0.0)) == [(1, 65, 200, 1.0, 0.0), (1, 200, None, 4.0, 0.0)]


def test_a_missing_value_erases_none() -> None:
    assert versions((60, 65, 1.0, 0.5), (60, 200, None, 0.75)) == [(1, 65, 200, 1.0, 0.5), (1, 200, None, 1.0, 0.75)]


def test_a_later_instant_without_a_value_leaves_the_earlier_one_standing() -> None:
    assert versions((30, 65, 1.0, 0.5), (60, 65, None, 0.5)) == [(1, 65, None, 1.0, 1.0)]


def test_a_corrected_instant_counts_once_in_a_sum() -> None:
    assert versions((30, 40, None, 1.0), (60, 65, None, 2.0), (30, 90, None, 5.0)) == [
        (1, 60, 65, None, 1.0),
        (1, 65, 90, None, 3.0),
        (1, 90, None, None, 7.0),
    ]


def test_a_late_reading_of_an_earlier_instant_changes_the_sum_but_not_the_last_value() -> None:
    assert versions((60, 65, 2.0, 1.0), (30, 130, 9.0, 1.0)) == [(1, 65, 130, 2.0, 1.0), (1, 130, None, 2.0, 2.0)]


def test_a_repeated_reading_opens_no_version() -> None:
    assert versions((60, 65, 1.0, 0.0), (60, 200, 1.0, 0.0)) == [(1, 65, None, 1.0, 0.0)]


def test_a_correction_that_is_taken_back_is_three_versions() -> None:
    assert [row[1:4] for row in versions((60, 60, 1.0, None), (60, 70, 2.0, None), (60, 80, 1.0, None))] == [
        (60, 70, 1.0),
        (70, 80, 2.0),
        (80, None, 1.0),
    ]


def test_an_hour_without_a_reading_has_no_version() -> None:
    assert [row[0] for row in versions((60, 60, 1.0, None), (240, 240, 2.0, None))] == [1, 4]


def test_no_sum_of_missing_values_is_zero() -> None:
    assert versions((30, 60, 1.0, None), (60, 60, 1.0, None)) == [(1, 60, None, 1.0, None)]


value = st.none() | st.integers(0, 3).map(float)
row = st.tuples(st.sampled_from("ab"), st.integers(0, 150), st.integers(-20, 200), value, value)


@st.composite
def many_readings(draw: st.DrawFn) -> pl.DataFrame:
    """Some readings of two stations in three hours: doubled, late, corrected, some stamped after they were received."""
    drawn = draw(st.lists(row, min_size=1, max_size=14))
    rows = [(s, START + minutes(o), START + minutes(o + d), i, w, p) for i, (s, o, d, w, p) in enumerate(drawn)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def believed(rows: list[dict], station: str, hour: datetime, moment: datetime) -> tuple | None:
    """(warmth, rain) of an hour as it could be believed at a moment; None where nothing of it was known."""
    of_hour = [r for r in rows if r["station_id"] == station and hour - HOUR < r["observed_at"] <= hour]
    known = [r for r in of_hour if r["received_at"] <= moment]
    if moment < hour or not known:
        return None
    at_instant: dict[datetime, dict[str, float]] = {}
    for r in sorted(known, key=lambda r: (r["received_at"], r["row_number"])):
        values = at_instant.setdefault(r["observed_at"], {})
        values.update({name: r[name] for name in (WARMTH, RAIN) if r[name] is not None})
    warmth = [at_instant[i][WARMTH] for i in sorted(at_instant) if WARMTH in at_instant[i]]
    rain = [at_instant[i][RAIN] for i in sorted(at_instant) if RAIN in at_instant[i]]
    return (warmth[-1] if warmth else None, sum(rain) if rain else None)


@settings(max_examples=120, deadline=None)
@given(many_readings(), st.lists(st.integers(0, 420), min_size=1, max_size=20))
def test_the_versions_of_a_moment_are_what_could_be_believed_at_it(frame: pl.DataFrame, moments: list[int]) -> None:
    made, rows = make_hourly_versions(frame, VARIABLES).to_dicts(), frame.to_dicts()
    for moment in (START + minutes(m) for m in moments):
        for station in "ab":
            for hour in (START + h * HOUR for h in range(4)):
                valid = [
                    (v[WARMTH], v[RAIN])
                    for v in made
                    if (v["station_id"], v["observed_at"]) == (station, hour)
                    and v["known_from"] <= moment
                    and (v["known_until"] is None or moment < v["known_until"])
                ]
                expected = believed(rows, station, hour, moment)
                assert valid == ([] if expected is None else [expected])


@settings(max_examples=60, deadline=None)
@given(many_readings(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_makes_no_difference(frame: pl.DataFrame, random) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)
    assert_frame_equal(make_hourly_versions(frame[order], VARIABLES), make_hourly_versions(frame, VARIABLES))


@settings(max_examples=60, deadline=None)
@given(many_readings(), st.lists(st.integers(0, 13), max_size=4), st.randoms(use_true_random=False))
def test_new_readings_in_pieces_in_any_order_make_the_same_versions_as_all_at_once(
    frame: pl.DataFrame, cuts: list[int], random
) -> None:
    frame = frame.sort("received_at", "row_number").with_columns(row_number=pl.int_range(pl.len(), dtype=pl.UInt32))
    held = frame.clear()
    pieces = list(pairwise([0, *sorted(cuts), len(frame)]))
    random.shuffle(pieces)
    for start, end in pieces:
        held = pl.concat([held, deduplicate(frame[start:end], held, [WARMTH, RAIN])])
    assert_frame_equal(make_hourly_versions(held, VARIABLES), make_hourly_versions(frame, VARIABLES))
