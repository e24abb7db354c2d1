import base64
import gzip
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from daycast.report.station_data import find_time_zones, make_station_data, pack
from daycast.variables import BUILT_IN, Variable

T0 = datetime(2026, 3, 1, 10, tzinfo=UTC)
NOW = T0 + timedelta(minutes=3)
HOUR_0 = int(T0.timestamp()) // 3600
UTC_TIME = pl.Datetime("us", "UTC")
TEMPERATURE, RAIN = BUILT_IN["air_temperature_c"], BUILT_IN["precipitation_mm"]
LEVELS = (5, 10, 25, 50, 75, 90, 95)


def _stations(*ids, **columns):
    given = {
        "name": [None] * len(ids),
        "latitude": [47.4] * len(ids),
        "longitude": [8.5] * len(ids),
        "elevation_m": [None] * len(ids),
        "first_observed_at": [T0 - timedelta(days=9)] * len(ids),
        "last_observed_at": [T0] * len(ids),
        "hours_observed": [200] * len(ids),
        "share_observed": [0.9] * len(ids),
        "time_zone": ["Europe/Zurich"] * len(ids),
        **columns,
    }
    types = {
        "name": pl.String,
        "elevation_m": pl.Float64,
        "latitude": pl.Float64,
        "longitude": pl.Float64,
        "first_observed_at": UTC_TIME,
        "last_observed_at": UTC_TIME,
        "time_zone": pl.String,
    }
    return pl.DataFrame({"station_id": list(ids), **given}, schema_overrides=types)


def _forecasts(station_id, medians, issued_at=T0, variable=TEMPERATURE, offsets=(-3, -2, -1, 0, 1, 2, 3)):
    rows = [
        {
            "station_id": station_id,
            "variable": variable.name,
            "issued_at": issued_at,
            "valid_at": issued_at + timedelta(hours=lead),
            "input_regime": "gappy",
            **{f"q{level:02}": median + offset for level, offset in zip(LEVELS, offsets, strict=True)},
        }
        for lead, median in enumerate(medians, 1)
    ]
    return pl.DataFrame(rows, schema_overrides={"issued_at": UTC_TIME, "valid_at": UTC_TIME})


def _observations(station_id, values, variable=TEMPERATURE):
    """Newest first, the newest at T0."""
    times = [T0 - timedelta(hours=hours) for hours in range(len(values))]
    return pl.DataFrame(
        {"station_id": station_id, "observed_at": times, variable.name: values},
        schema_overrides={"observed_at": UTC_TIME, variable.name: pl.Float64},
    )


def _make(stations, forecasts, observations, now=NOW):
    return make_station_data(now, now - timedelta(days=1), stations, forecasts, observations, BUILT_IN)


def _unpack(packed, exponents, bases):
    """What the scripts of the page do, value by value."""
    body = gzip.decompress(base64.b64decode(packed["data"]))
    half, count, counts = len(body) // 2, 0, []
    for lower, higher in zip(body[:half], body[half:], strict=True):
        zigzag = lower + 256 * higher
        count += zigzag // 2 if zigzag % 2 == 0 else -(zigzag + 1) // 2
        count = (count + 32768) % 65536 - 32768
        counts.append(count)
    values = np.array(counts, float).reshape(packed["shape"])
    values[values == -32768] = np.nan
    shape = [-1, *[1] * (values.ndim - 1)]
    return (values + np.reshape(bases, shape)) * 10.0 ** np.reshape(exponents, shape)


def _read(data, kind):
    variables = data["variables"]
    return _unpack(data[kind], [v["exponent"] for v in variables], [v["base"] for v in variables])


@pytest.mark.parametrize(
    ("width", "exponent"),
    [(160, -1), (1.0, -3), (1400, 0), (999_000, 2), (50_000, 0), (0.0, -1), (float("inf"), -1)],
    ids=lambda value: f"{value:g}",
)
def test_values_travel_in_steps_of_a_thousandth_of_their_range_or_as_fine_as_two_bytes_allow(width, exponent):
    variable = Variable("x", "x", "1", 0.0, width)
    forecast = _forecasts("a", [0.0] * 24, variable=variable)
    data = make_station_data(NOW, NOW, _stations("a"), forecast, _observations("a", [0.0], variable), {"x": variable})
    assert data["variables"][0]["exponent"] == exponent


def test_what_is_packed_comes_back_within_half_a_step_and_gaps_stay_gaps():
    pascal = Variable("pressure_pa", "pressure", "Pa", 85_000.0, 110_000.0)
    rng = np.random.default_rng(3)
    values = np.stack([rng.uniform(-95, 65, (2, 5, 24)), rng.uniform(85_000, 110_000, (2, 5, 24))])
    values[rng.random(values.shape) < 0.2] = np.nan
    values[0, 0, 0, :4] = [-95.0, 65.0, np.nan, -95.0]
    back = _unpack(pack(values.astype(np.float32), [TEMPERATURE, pascal]), [-1, 0], [-150, 97_500])
    assert np.array_equal(np.isnan(back), np.isnan(values))
    assert np.nanmax(np.abs(back[0] - values[0])) < 0.051
    assert np.nanmax(np.abs(back[1] - values[1])) < 0.51


def test_one_axis_of_time_holds_two_days_of_observations_and_the_hours_ahead():
    observations = _observations("a", [1.5, None, 3.5])
    data = _make(_stations("a", "b"), _forecasts("b", range(24)), observations)
    assert (data["end"], data["history"]) == (HOUR_0, 48)
    observed, forecast = _read(data, "observed"), _read(data, "forecast")
    assert (observed.shape, forecast.shape) == ((1, 2, 49), (1, 5, 2, 24))
    assert observed[0, 0, -3:] == pytest.approx([3.5, np.nan, 1.5], nan_ok=True)
    assert np.isnan(observed[0, 0, :-3]).all()
    assert np.isnan(observed[0, 1]).all()
    assert np.isnan(forecast[0, :, 0]).all()
    assert forecast[0, :, 1, 5] == pytest.approx([2, 4, 5, 6, 8])  # 5, 25, 50, 75, 95 %


def test_of_an_older_issue_only_the_hours_ahead_count():
    older = _forecasts("b", [-40.0, -40.0, -40.0, *range(21)], issued_at=T0 - timedelta(hours=3))
    data = _make(_stations("a", "b"), pl.concat([_forecasts("a", [5.0] * 24), older]), _observations("a", [1.0]))
    assert data["summaries"] == [{"low": [5.0, 0.0], "high": [5.0, 20.0]}]
    assert np.isnan(_read(data, "forecast")[0, 2, 1]).sum() == 3  # the last three hours
    assert data["stations"]["issued"] == [HOUR_0, HOUR_0 - 3]


def test_the_sum_of_rain_is_the_sum_of_means_and_not_of_medians():
    dry_but_for_the_tail = (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0)
    rain = _forecasts("a", [0.0] * 24, variable=RAIN, offsets=dry_but_for_the_tail)
    data = _make(_stations("a", "b"), rain, _observations("a", [0.0], RAIN))
    hour = 0.15 * (0 + 1) / 2 + 0.05 * (1 + 2) / 2 + 0.05 * 2  # 75 to 90, 90 to 95, above 95 %
    assert data["summaries"] == [{"sum": [pytest.approx(24 * hour, abs=0.05), None]}]


def test_a_direction_has_no_highest_value():
    direction = Variable("wind_from_deg", "wind direction", "°", 0.0, 360.0, circular=True)
    forecast, observed = _forecasts("a", [350.0] * 24, variable=direction), _observations("a", [1.0], direction)
    data = make_station_data(NOW, NOW, _stations("a"), forecast, observed, {direction.name: direction})
    assert data["summaries"] == [{}]


def test_a_station_that_stands_in_no_list_is_shown_with_its_forecast():
    data = _make(_stations("b"), _forecasts("a", [5.0] * 24), _observations("b", [1.0]))
    assert data["stations"]["id"] == ["b", "a"]
    assert data["stations"]["last"] == [HOUR_0, None]
    assert data["stations"]["regime"] == [None, 1]
    assert data["summaries"][0]["high"] == [None, 5.0]


def test_before_the_first_forecast_what_was_observed_is_shown():
    data = _make(_stations("a"), _forecasts("a", [5.0]).clear(), _observations("a", [1.0, 2.0]), now=NOW)
    assert [variable["name"] for variable in data["variables"]] == [TEMPERATURE.name]
    assert _read(data, "observed")[0, 0, -2:] == pytest.approx([2.0, 1.0])
    assert data["summaries"] == [{"low": [None], "high": [None]}]


def test_observations_after_the_newest_issue_are_shown_up_to_now():
    later = _observations("a", [1.0, 2.0]).with_columns(pl.col("observed_at") + timedelta(hours=2))
    data = _make(_stations("a"), _forecasts("a", [5.0] * 24), later, now=NOW + timedelta(hours=2))
    observed = _read(data, "observed")
    assert observed.shape == (1, 1, 51)
    assert observed[0, 0, -2:] == pytest.approx([2.0, 1.0])


PLACES = {  # far from every border
    (47.37, 8.55): "Europe/Zurich",
    (22.57, 88.36): "Asia/Kolkata",
    (-43.53, 172.64): "Pacific/Auckland",
    (64.13, -21.9): "Atlantic/Reykjavik",  # not what its longitude says
    (37.0, 105.5): "Asia/Shanghai",  # two hours from what its longitude says
}


def test_a_position_tells_the_time_zone():
    latitudes, longitudes = zip(*PLACES, strict=True)
    stations = _stations(*"abcde", latitude=latitudes, longitude=longitudes)
    assert find_time_zones(stations, None, {}).to_list() == list(PLACES.values())


def test_without_a_position_and_a_setting_the_zone_is_unknown():
    assert find_time_zones(_stations("a", "b", latitude=[None, 47.4]), None, {}).to_list() == [None, "Europe/Zurich"]
    assert find_time_zones(_stations("a", latitude=[None], longitude=[None]), None, {}).to_list() == [None]


def test_the_setting_of_one_station_counts_more_than_that_of_all_and_that_more_than_the_position():
    stations = _stations("a", "b")
    assert find_time_zones(stations, "Asia/Tokyo", {"b": "+05:30"}).to_list() == ["Asia/Tokyo", "+05:30"]
    assert find_time_zones(stations, None, {"b": "Asia/Tokyo"}).to_list() == ["Europe/Zurich", "Asia/Tokyo"]


def test_the_order_of_stations_is_kept_where_many_share_a_place():
    latitudes = [47.4, -43.53, 47.4, None]
    zones = find_time_zones(_stations(*"dbca", latitude=latitudes, longitude=[8.5, 172.64, 8.5, 8.5]), None, {})
    assert zones.to_list() == ["Europe/Zurich", "Pacific/Auckland", "Europe/Zurich", None]
