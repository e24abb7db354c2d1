"""Channels: plain values first, then directions as points on a circle; their scaling."""

import math

import numpy as np
import polars as pl
import pytest

from daycast.features.channels import Channel, fit_scale, make_channels
from daycast.variables import BUILT_IN

NAMES = ("wind_from_deg", "air_temperature_c", "wind_speed_m_s")


def test_a_circular_variable_comes_last_and_as_two_channels() -> None:
    assert make_channels(BUILT_IN[name] for name in NAMES) == (
        Channel("air_temperature_c"),
        Channel("wind_speed_m_s"),
        Channel("wind_from_deg", "sin"),
        Channel("wind_from_deg", "cos"),
    )


@pytest.mark.parametrize(
    ("degrees", "sine", "cosine"), [(0, 0, 1), (90, 1, 0), (180, 0, -1), (270, -1, 0), (360, 0, 1)]
)
def test_a_direction_becomes_the_point_where_it_stands(degrees: float, sine: float, cosine: float) -> None:
    frame = pl.DataFrame({"wind_from_deg": [float(degrees)]})
    parts = frame.select(Channel("wind_from_deg", part).expression.alias(part) for part in ("sin", "cos")).row(0)
    assert parts == pytest.approx((sine, cosine), abs=1e-12)


def test_neighbouring_directions_across_north_are_near_each_other() -> None:
    frame = pl.DataFrame({"wind_from_deg": [359.0, 1.0]})
    apart = [frame.select(Channel("wind_from_deg", part).expression.diff()).row(1)[0] for part in ("sin", "cos")]
    assert math.hypot(*apart) == pytest.approx(2 * math.sin(math.radians(1)))


def test_a_missing_direction_stays_missing() -> None:
    frame = pl.DataFrame({"wind_from_deg": [None]}, schema={"wind_from_deg": pl.Float64})
    assert frame.select(Channel("wind_from_deg", "sin").expression).item() is None


def test_the_scale_is_the_mean_and_the_population_deviation() -> None:
    values = np.array([[[1.0, 10.0], [3.0, 10.0]], [[5.0, 40.0], [7.0, 40.0]]], np.float32)  # (2, 2, 2)
    scale = fit_scale(values)
    assert scale.mean == pytest.approx([4.0, 25.0])
    assert scale.deviation == pytest.approx([5**0.5, 15.0])  # ((9 + 1 + 1 + 9) / 4) ** ½


def test_missing_values_are_left_out() -> None:
    values = np.array([[[1.0], [np.nan], [3.0], [np.nan]]], np.float32)
    scale = fit_scale(values)
    assert (scale.mean.item(), scale.deviation.item()) == (2.0, 1.0)


def test_a_channel_that_never_varies_has_deviation_one() -> None:
    scale = fit_scale(np.full((2, 50, 1), 3.5, np.float32))
    assert (scale.mean.item(), scale.deviation.item()) == (3.5, 1.0)


def test_hours_beyond_one_chunk_count_as_much_as_the_first() -> None:
    values = np.zeros((1, 10_000, 1), np.float32)
    values[:, 5_000:] = 2.0
    scale = fit_scale(values)
    assert (scale.mean.item(), scale.deviation.item()) == pytest.approx((1.0, 1.0))


def test_unscaling_scaled_values_gives_them_back() -> None:
    values = np.random.default_rng(1).normal([1013.0, -3.0], [9.0, 0.02], (3, 400, 2)).astype(np.float32)
    scale = fit_scale(values)
    scaled = (values - scale.mean) / scale.deviation
    np.testing.assert_allclose(scaled * scale.deviation + scale.mean, values, rtol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=(0, 1)), 1.0, rtol=1e-3)
