"""Forecasts far outside anything observed are known; what is merely new is not."""

import numpy as np
import pytest

from daycast.model.physical_limits import LEAST_HOURS, find_implausible, observed_ranges

LIMITS = [(-95.0, 65.0)]  # a twentieth of it is 8


def one(value: float) -> np.ndarray:
    return np.full((1, 1, 1), value, np.float32)


def ranges(low: float, high: float) -> np.ndarray:
    return np.array([[[low, high]]], np.float32)


def test_the_range_of_each_station_is_its_own_and_the_last_row_is_the_networks() -> None:
    values = np.full((2, LEAST_HOURS, 1), np.nan, np.float32)
    values[0, :, 0] = np.linspace(0, 10, LEAST_HOURS)
    values[1, :, 0] = np.linspace(-20, 5, LEAST_HOURS)
    assert observed_ranges(values)[:, 0].tolist() == [[0, 10], [-20, 5], [-20, 10]]


def test_a_station_with_little_history_has_the_networks_range() -> None:
    values = np.full((2, LEAST_HOURS, 2), np.nan, np.float32)
    values[0, :, 0], values[1, 1:, 0] = 3.0, 8.0
    assert observed_ranges(values)[:, 0].tolist() == [[3, 3], [3, 8], [3, 8]]
    assert np.isnan(observed_ranges(values)[:, 1]).all()


@pytest.mark.parametrize(
    ("median", "implausible"),
    [(-25.1, True), (-24.9, False), (10.0, False), (54.9, False), (55.1, True), (1000.0, True), (-1000.0, True)],
)
def test_further_outside_than_half_its_width_is_implausible(median: float, implausible: bool) -> None:
    found = find_implausible(one(median), ranges(-5.0, 35.0), one(20.0), LIMITS)  # the width is 40
    assert found.tolist() == [[[implausible]]]


def test_where_hardly_anything_was_observed_a_twentieth_of_what_is_possible_may_be_added() -> None:
    assert not find_implausible(one(7.9), ranges(0.0, 0.0), one(0.0), LIMITS).any()
    assert find_implausible(one(8.1), ranges(0.0, 0.0), one(0.0), LIMITS).all()


def test_what_the_station_observed_this_week_belongs_to_its_range() -> None:
    assert find_implausible(one(-40.0), ranges(0.0, 10.0), one(5.0), LIMITS).all()
    assert not find_implausible(one(-40.0), ranges(0.0, 10.0), one(-38.0), LIMITS).any()
    nothing_known = ranges(np.nan, np.nan)
    assert find_implausible(one(-40.0), nothing_known, one(5.0), LIMITS).all()
    assert not find_implausible(one(-40.0), nothing_known, one(np.nan), LIMITS).any()
