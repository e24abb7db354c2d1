"""Rate of change, spike, flat line: small windows worked out by hand, and a slow oracle for the rest."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from daycast.quality.flags import FAIL, LOOK_BACK_HOURS, SUSPECT
from daycast.quality.limits import Limits
from daycast.quality.temporal import check_temporal

GAP = math.nan
STEP = Limits(rate_of_change=10.0)
SPIKE = Limits(spike_suspect=6.0, spike_fail=15.0)
FLAT = Limits(flat_hours_suspect=3, flat_hours_fail=5)
TURN = Limits(spike_suspect=60.0, flat_hours_suspect=3, wind_at_least_m_s=2.0)


def windows(series: Sequence[float]) -> np.ndarray:
    """The window of each hour of a series that begins with nothing before it. (T, 25)"""
    return sliding_window_view(np.array([GAP] * LOOK_BACK_HOURS + list(series)), LOOK_BACK_HOURS + 1)


def marked(
    series: Sequence[float], limits: Limits, *, circular: bool = False, wind: Sequence[float] | None = None
) -> dict[tuple[str, int], list[int]]:
    """The hours that each check marks with each flag, as positions in the series."""
    hours: dict[tuple[str, int], set[int]] = {}
    for finding in check_temporal(windows(series), limits, circular, None if wind is None else windows(wind)):
        marks = {int(hour) - lag for hour in np.flatnonzero(finding.fired) for lag in finding.lags}
        hours.setdefault((finding.check, finding.flag), set()).update(marks)
    return {key: sorted(marks) for key, marks in hours.items()}


# Steps


def test_a_value_far_from_each_of_the_last_three_hours_is_a_step() -> None:
    assert marked([1, 2, 3, 13.5], STEP) == {("rate_of_change", SUSPECT): [3]}


def test_a_value_exactly_one_step_away_is_none() -> None:
    assert marked([1, 2, 3, 13], STEP) == {}


def test_the_return_from_a_spike_is_no_step() -> None:
    assert marked([5, 5, 20, 5], STEP) == {("rate_of_change", SUSPECT): [2]}


def test_a_front_is_a_step_once_and_what_stays_after_it_is_none() -> None:
    assert marked([20, 20, 20, 8, 7, 7, 6], STEP) == {("rate_of_change", SUSPECT): [3]}


def test_a_step_is_seen_across_a_gap_of_two_hours_and_not_of_three() -> None:
    assert marked([0, GAP, GAP, 20], STEP) == {("rate_of_change", SUSPECT): [3]}
    assert marked([0, GAP, GAP, GAP, 20], STEP) == {}


def test_after_nothing_there_is_no_step() -> None:
    assert marked([40], STEP) == {}


def test_a_step_over_north_is_a_small_one() -> None:
    assert marked([350, 10], Limits(rate_of_change=30.0), circular=True) == {}
    assert marked([350, 30], Limits(rate_of_change=30.0), circular=True) == {("rate_of_change", SUSPECT): [1]}
    assert marked([350, 10], Limits(rate_of_change=30.0)) == {("rate_of_change", SUSPECT): [1]}


# Spikes


def test_a_spike_is_known_when_the_next_value_returns() -> None:
    assert marked([10, 10, 18], SPIKE) == {}
    assert marked([10, 10, 18, 11], SPIKE) == {("spike", SUSPECT): [2]}


def test_a_spike_downwards_is_one_too() -> None:
    assert marked([10, 2, 9], SPIKE) == {("spike", SUSPECT): [1]}


def test_a_great_spike_is_a_failure_and_a_suspect_as_well() -> None:
    assert marked([10, 30, 11], SPIKE) == {("spike", SUSPECT): [1], ("spike", FAIL): [1]}


def test_the_smaller_of_both_sides_decides() -> None:
    assert marked([10, 30, 24], SPIKE) == {}  # 20 up, 6 down: not more than 6
    assert marked([10, 30, 23], SPIKE) == {("spike", SUSPECT): [1]}  # 20 up, 7 down


def test_a_front_of_twelve_degrees_that_stays_is_no_spike() -> None:
    assert marked([28, 28, 16, 15, 15], SPIKE) == {}


def test_a_stair_is_no_spike() -> None:
    assert marked([0, 10, 20], SPIKE) == {}


def test_before_a_spike_may_be_a_gap_of_one_hour_but_not_of_two() -> None:
    assert marked([10, GAP, 18, 10], SPIKE) == {("spike", SUSPECT): [2]}
    assert marked([10, GAP, GAP, 18, 10], SPIKE) == {}


def test_a_spike_whose_return_is_missing_stays_unknown() -> None:
    assert marked([10, 10, 18, GAP, 10], SPIKE) == {}


def test_a_vane_that_turns_away_and_back_is_a_spike_also_across_north() -> None:
    wind = [5, 5, 5]
    assert marked([350, 80, 10], TURN, circular=True, wind=wind) == {("spike", SUSPECT): [1]}
    assert marked([350, 40, 10], TURN, circular=True, wind=wind) == {}


def test_the_opposite_direction_is_a_spike_whichever_way_it_turned() -> None:
    assert marked([0, 180, 10], TURN, circular=True, wind=[5, 5, 5]) == {("spike", SUSPECT): [1]}


def test_a_vane_that_turns_on_is_no_spike() -> None:
    assert marked([0, 90, 180], TURN, circular=True, wind=[5, 5, 5]) == {}


@pytest.mark.parametrize("wind", [[1.9, 5, 5], [5, 1.9, 5], [5, 5, 1.9], [5, GAP, 5]])
def test_in_calm_or_unknown_wind_a_vane_may_turn_as_it_likes(wind: list[float]) -> None:
    assert marked([350, 80, 10], TURN, circular=True, wind=wind) == {}


def test_without_any_wind_speed_a_vane_is_not_judged() -> None:
    assert marked([350, 80, 10, 10, 10, 10], TURN, circular=True) == {}


def test_an_hour_of_rain_between_dry_ones_counts_where_the_limits_say_so() -> None:
    rain = Limits(spike_suspect=20.0, spike_between_at_or_below=0.0)
    assert marked([0, 25, 0], rain) == {("spike", SUSPECT): [1]}
    assert marked([0, 25, 0.2], rain) == {}
    assert marked([0.2, 25, 0], rain) == {}


# Flat lines


def test_a_run_is_suspected_in_full_once_it_is_long_enough() -> None:
    assert marked([1, 2.5, 2.5], FLAT) == {}
    assert marked([1, 2.5, 2.5, 2.5], FLAT) == {("flat_line", SUSPECT): [1, 2, 3]}


def test_one_hour_less_than_failure_is_suspected_only() -> None:
    assert marked([2.5] * 4, FLAT) == {("flat_line", SUSPECT): [0, 1, 2, 3]}


def test_a_longer_run_fails_in_full() -> None:
    both = marked([1, *[2.5] * 6, 3], FLAT)
    assert both == {("flat_line", SUSPECT): [1, 2, 3, 4, 5, 6], ("flat_line", FAIL): [1, 2, 3, 4, 5, 6]}


def test_missing_hours_do_not_end_a_run_and_other_values_do() -> None:
    with_gap = marked([1, 2.5, 2.5, GAP, 2.5, 2.5, 1], FLAT)
    assert with_gap == {("flat_line", SUSPECT): [1, 2, 3, 4, 5], ("flat_line", FAIL): [1, 2, 3, 4, 5]}
    assert marked([2.5, 2.5, 2.6, 2.5, 2.5], FLAT) == {}
    assert marked([GAP] * 10, FLAT) == {}


def test_a_run_counts_from_its_first_value_to_its_last() -> None:
    assert marked([GAP, 2.5, 2.5, GAP, GAP], FLAT) == {}
    assert marked([2.5, GAP, 2.5, 2.5, GAP, 2.5], Limits(flat_hours_fail=6)) == {
        ("flat_line", FAIL): [0, 1, 2, 3, 4, 5]
    }


def test_a_run_that_is_mostly_gap_proves_nothing() -> None:
    assert marked([2.5, GAP, GAP, GAP, 2.5], FLAT) == {}
    assert marked([2.5, GAP, 2.5, GAP], FLAT) == {("flat_line", SUSPECT): [0, 1, 2]}
    day = [2.5, *[GAP] * 11, 2.5, *[GAP] * 10, 2.5]
    assert marked(day, Limits(flat_hours_fail=24)) == {}


def test_gaps_make_no_run_of_calm_dry_or_saturated_hours() -> None:
    lasting = Limits(flat_hours_suspect=3, flat_exempt_at_or_below=0.5, flat_exempt_at_or_above=95.0)
    assert marked([0.0, GAP, 0.0, 0.0, GAP, 99.5, 99.5, GAP, 99.5], lasting) == {}


def test_the_longest_run_that_a_window_shows_is_found() -> None:
    longest = Limits(flat_hours_fail=LOOK_BACK_HOURS + 1)
    assert marked([2.5] * LOOK_BACK_HOURS, longest) == {}
    assert marked([2.5] * (LOOK_BACK_HOURS + 1), longest) == {("flat_line", FAIL): list(range(25))}


def test_whole_numbers_need_a_longer_run_and_are_never_failed() -> None:
    coarse = Limits(flat_hours_suspect=3, flat_hours_fail=4, flat_hours_whole=5)
    assert marked([7.0] * 4, coarse) == {}
    assert marked([7.0] * 6, coarse) == {("flat_line", SUSPECT): [0, 1, 2, 3, 4, 5]}
    assert marked([7.5] * 4, coarse) == {("flat_line", SUSPECT): [0, 1, 2, 3], ("flat_line", FAIL): [0, 1, 2, 3]}


def test_calm_dry_and_saturated_hours_may_last() -> None:
    lasting = Limits(flat_hours_suspect=3, flat_exempt_at_or_below=0.5, flat_exempt_at_or_above=95.0)
    assert marked([0.0] * 9 + [0.5] * 9 + [95.0] * 9 + [99.5] * 9, lasting) == {}
    assert marked([0.6] * 3, lasting) == {("flat_line", SUSPECT): [0, 1, 2]}
    assert marked([94.5] * 3, lasting) == {("flat_line", SUSPECT): [0, 1, 2]}


def test_a_vane_is_stuck_only_where_the_wind_blows() -> None:
    assert marked([90] * 3, TURN, circular=True, wind=[2, 3, 4]) == {("flat_line", SUSPECT): [0, 1, 2]}
    assert marked([90] * 3, TURN, circular=True, wind=[2, 1, 4]) == {}


# All of them


def test_without_limits_nothing_is_found() -> None:
    assert marked([0, 50, 0, 0, 0, 0, 0, 0], Limits()) == {}


def test_the_grid_may_be_a_view_of_many_stations_and_each_has_its_own_past() -> None:
    grid = np.array([[GAP] * LOOK_BACK_HOURS + [1.0, 9.0, 1.0], [GAP] * LOOK_BACK_HOURS + [9.0, 1.0, 1.0]])
    (finding,) = check_temporal(sliding_window_view(grid, LOOK_BACK_HOURS + 1, 1), Limits(spike_suspect=6.0), False)
    assert finding.fired.tolist() == [[False, False, True], [False, False, False]]


EVERY = Limits(rate_of_change=4.0, spike_suspect=3.0, spike_fail=6.0, flat_hours_suspect=3, flat_hours_fail=4)
SERIES = st.lists(st.integers(-6, 6).map(float) | st.just(GAP), min_size=1, max_size=30)


@given(SERIES)
def test_a_slow_oracle_agrees(series: list[float]) -> None:
    assert marked(series, EVERY) == oracle(series)


@given(SERIES, st.integers(1, 30))
def test_missing_hours_in_front_change_nothing(series: list[float], padding: int) -> None:
    later = {key: [hour - padding for hour in hours] for key, hours in marked([GAP] * padding + series, EVERY).items()}
    assert later == marked(series, EVERY)


@given(SERIES, st.integers(0, 30))
def test_forgetting_the_far_past_adds_no_finding(series: list[float], forgotten: int) -> None:
    forgotten = min(forgotten, max(len(series) - 4, 0))
    known, all_known = marked([GAP] * forgotten + series[forgotten:], EVERY), marked(series, EVERY)
    after = {key: {hour for hour in hours if hour >= forgotten + 3} for key, hours in known.items()}
    assert all(hours <= set(all_known.get(key, [])) for key, hours in after.items())


@given(SERIES, st.integers(-100, 100))
def test_a_constant_added_to_all_values_changes_no_finding(series: list[float], constant: int) -> None:
    assert marked([value + constant for value in series], EVERY) == marked(series, EVERY)


def oracle(series: list[float]) -> dict[tuple[str, int], list[int]]:
    """The definitions of EVERY, hour by hour."""
    hours: dict[tuple[str, int], set[int]] = {}
    for now, value in enumerate(series):
        if math.isnan(value):
            continue
        past = [series[now - ago] if now >= ago else GAP for ago in range(1, 4)]
        recent = [other for other in past if not math.isnan(other)]
        if recent and all(abs(value - other) > 4 for other in recent):
            hours.setdefault(("rate_of_change", SUSPECT), set()).add(now)
        before = next((other for other in past[1:] if not math.isnan(other)), GAP)
        for flag, size in ((SUSPECT, 3), (FAIL, 6)):
            above = past[0] - before > size and past[0] - value > size
            below = before - past[0] > size and value - past[0] > size
            if above or below:
                hours.setdefault(("spike", flag), set()).add(now - 1)
        for start in range(max(now - LOOK_BACK_HOURS, 0), now + 1):
            run = [other for other in series[start : now + 1] if not math.isnan(other)]
            span = now + 1 - start
            is_run = series[start] == value and set(run) == {value} and 2 * len(run) > span
            for flag, length in ((SUSPECT, 3), (FAIL, 4)):
                if is_run and span >= length:
                    hours.setdefault(("flat_line", flag), set()).update(range(start, now + 1))
    return {key: sorted(marks) for key, marks in hours.items()}
