"""What cannot be is not forecast."""

import torch

from daycast.model.physical_limits import apply_physical_limits

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
