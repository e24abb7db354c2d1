"""No forecast outside the physical limits, and forecasts far outside the observed range are marked."""

import numpy as np
import pytest
import torch

from daycast.model.physical_limits import LEAST_HOURS, apply_physical_limits, find_implausible, observed_ranges

ANYTHING = (-100.0, 100.0)


def bound(
    rows: dict[str, list[float]], limits: dict[str, tuple[float, float]], trace: float = 0.0
) -> list[list[float]]:
    quantiles = torch.tensor(list(rows.values()))
    chosen = [limits.get(name, ANYTHING) for name in rows]
    return apply_physical_limits(quantiles, list(rows), chosen, [trace] * len(rows)).tolist()


def test_rain_is_not_negative_and_humidity_at_most_saturated() -> None:
    rows = {"precipitation_mm": [-1.0, 0.5, 3.0], "relative_humidity_pct": [-2.0, 60.0, 104.0]}
    limits = {"precipitation_mm": (0.0, 350.0), "relative_humidity_pct": (0.0, 100.0)}
    assert bound(rows, limits) == [[0.0, 0.5, 3.0], [0.0, 60.0, 100.0]]


def test_less_than_a_trace_is_nothing() -> None:
    assert bound({"precipitation_mm": [-0.04, 0.03, 0.05]}, {}, trace=0.05)[0] == [0.0, 0.0, torch.tensor(0.05).item()]


def test_the_dew_point_is_at_most_the_air_temperature_at_each_level_and_stays_sorted() -> None:
    rows = {
        "dew_point_c": [2.0, 5.0, 5.5, 9.0],
        "station_pressure_hpa": [0.0] * 4,
        "air_temperature_c": [3.0, 4.0, 6.0, 8.0],
    }
    assert bound(rows, {}) == [[2.0, 4.0, 5.5, 8.0], [0.0] * 4, [3.0, 4.0, 6.0, 8.0]]


def test_the_dew_point_follows_the_temperature_of_its_own_window_and_lead() -> None:
    dew, air = (
        torch.full((2, 3, 1, 2), 10.0),
        torch.tensor([[8.0, 9.0, 20.0], [7.0, 30.0, 6.0]])[..., None, None].expand(2, 3, 1, 2),
    )
    both = apply_physical_limits(
        torch.cat([air, dew], dim=2), ["air_temperature_c", "dew_point_c"], [ANYTHING] * 2, [0.0] * 2
    )
    assert both[:, :, 1, 0].tolist() == [[8.0, 9.0, 10.0], [7.0, 10.0, 6.0]]
    assert torch.equal(both[:, :, 0], air[:, :, 0])


def test_a_dew_point_alone_is_left_as_it_is() -> None:
    assert bound({"dew_point_c": [2.0, 5.0]}, {}) == [[2.0, 5.0]]


def test_the_dew_point_is_bound_by_the_temperature_within_its_own_limits() -> None:
    """A temperature that its limits move down takes the dew point with it."""
    rows = {"air_temperature_c": [60.0, 90.0], "dew_point_c": [62.0, 89.0]}
    assert bound(rows, {"air_temperature_c": (-95.0, 65.0)}) == [[60.0, 65.0], [60.0, 65.0]]


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
