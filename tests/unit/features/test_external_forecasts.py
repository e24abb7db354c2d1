"""External forecasts as arrays, against reading the rows one by one."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from daycast.features.channels import Channel
from daycast.features.external_forecasts import LONGEST_LEAD_H, OLDEST_H, external_channels, make_external_forecasts
from daycast.times import HOUR, UTC_TIME

START = datetime(2026, 2, 1, tzinfo=UTC)
A, WIND = "air_temperature_c", "wind_from_deg"
STATIONS = pl.DataFrame({"station_id": ["b", "a"]})
SCHEMA = {
    "station_id": pl.String,
    "issued_at": UTC_TIME,
    "valid_at": UTC_TIME,
    "received_at": UTC_TIME,
    A: pl.Float64,
    WIND: pl.Float64,
}


def rows(*of: tuple[str, int, int, float, float | None, float | None]) -> pl.DataFrame:
    """Rows of (station, hour of issue, lead, hour of receipt, a, wind)."""
    numbered = [(s, START + i * HOUR, START + (i + h) * HOUR, START + r * HOUR, a, w) for s, i, h, r, a, w in of]
    return pl.DataFrame(numbered, schema=SCHEMA, orient="row")


def test_a_version_holds_its_issue_by_lead_and_nan_where_it_has_no_value() -> None:
    made = make_external_forecasts(
        rows(("a", 6, 1, 9, 5.0, 90.0), ("a", 6, 3, 9, 7.0, None)), STATIONS, [Channel(A)], START
    )
    np.testing.assert_array_equal(made.values, [[[5.0], [np.nan], [7.0]]])
    assert (made.station.tolist(), made.issued.tolist()) == ([0], [6])  # "a" is the first by name


def test_a_direction_is_read_by_its_parts() -> None:
    channels = [Channel(WIND, "sin"), Channel(WIND, "cos")]
    made = make_external_forecasts(rows(("b", 0, 1, 0, None, 90.0)), STATIONS, channels, START)
    np.testing.assert_allclose(made.values, [[[1.0, 0.0]]], atol=1e-6)


def test_a_later_receipt_adds_to_the_earlier_one_and_wins_where_both_have_a_value() -> None:
    issue = rows(
        ("a", 0, 1, 2, 1.0, None), ("a", 0, 2, 2, 2.0, None), ("a", 0, 1, 5, 9.0, None), ("a", 0, 3, 5, 3.0, None)
    )
    made = make_external_forecasts(issue, STATIONS, [Channel(A)], START)
    np.testing.assert_array_equal(made.values[..., 0], [[1.0, 2.0, np.nan], [9.0, 2.0, 3.0]])


def test_of_two_receipts_within_the_hour_the_later_is_the_last_word() -> None:
    issue = rows(("a", 0, 1, 2.9, 9.0, None), ("a", 0, 1, 2.1, 1.0, None))
    made = make_external_forecasts(issue, STATIONS, [Channel(A)], START)
    np.testing.assert_array_equal(made.values, [[[9.0]]])


def test_other_stations_and_leads_beyond_the_longest_are_left_out() -> None:
    far = LONGEST_LEAD_H + 1
    made = make_external_forecasts(
        rows(("z", 0, 1, 0, 1.0, None), ("a", 0, far, 0, 1.0, None)), STATIONS, [Channel(A)], START
    )
    assert made.values.shape[0] == 0
    assert timedelta(hours=LONGEST_LEAD_H) == timedelta(days=1, hours=OLDEST_H)


def test_only_channels_with_values_are_external_channels() -> None:
    channels = [Channel(A), Channel("dew_point_c"), Channel(WIND, "sin"), Channel(WIND, "cos")]
    assert external_channels(rows(("a", 0, 1, 0, 1.0, None)), channels) == (Channel(A),)
    assert external_channels(rows(("a", 0, 1, 0, None, 7.0)), channels) == tuple(channels[2:])
