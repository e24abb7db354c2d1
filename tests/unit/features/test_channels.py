"""Channels: plain values first, then directions as points on a circle."""

import math

import polars as pl
import pytest

from daycast.features.channels import Channel, make_channels
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
