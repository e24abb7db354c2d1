"""The simulated network's forecasts by somebody else: the truth to come with an error that grows with the lead."""

from datetime import UTC, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from daycast.sources.batch import ISSUE_KEYS
from daycast.sources.simulated.source import SimulatedSource
from daycast.times import DAY, HOUR
from daycast.variables import BUILT_IN

NOW = datetime(2026, 2, 1, 10, 5, tzinfo=UTC)
SINCE = NOW - 100 * DAY
WARMTH = "air_temperature_c"


def issues(source: SimulatedSource, since: datetime, until: datetime) -> pl.DataFrame:
    pieces = [piece for piece in source.fetch(since, until, BUILT_IN, ()) if piece.is_forecast]
    return pl.concat([piece.readings for piece in pieces])


@pytest.fixture(scope="module")
def made() -> pl.DataFrame:
    return issues(SimulatedSource(stations=5, forecasts=True), SINCE, NOW)


def test_there_are_none_unless_they_are_asked_for_and_readings_stay_the_same() -> None:
    plain, more = (
        SimulatedSource(stations=2, forecasts=on).fetch(NOW - DAY, NOW, BUILT_IN, ()) for on in (False, True)
    )
    plain, more = list(plain), list(more)
    assert not any(piece.is_forecast for piece in plain)
    assert [piece.fingerprint for piece in plain] == [piece.fingerprint for piece in more if not piece.is_forecast]


def test_an_issue_comes_every_six_hours_three_hours_later_but_for_some_that_never_do(made: pl.DataFrame) -> None:
    assert set(made["issued_at"].dt.hour().unique()) == {0, 6, 12, 18}
    assert (made["received_at"] - made["issued_at"] == 3 * HOUR).all()
    assert (made["received_at"] > SINCE).all()
    assert 0.85 * 400 < made["issued_at"].n_unique() < 400
    leads = made.with_columns(lead=(pl.col("valid_at") - pl.col("issued_at")).dt.total_hours())
    assert leads.group_by("station_id", "issued_at").agg(pl.col("lead"))["lead"].to_list()[0] == list(range(1, 49))
    assert list(made.columns[:4]) == list(ISSUE_KEYS)


def test_the_error_grows_with_the_lead_and_lasts_from_hour_to_hour(made: pl.DataFrame) -> None:
    truth = SimulatedSource(stations=5).truth(SINCE - DAY, NOW + 3 * DAY).select("station_id", "valid_time", WARMTH)
    both = made.join(truth, left_on=["station_id", "valid_at"], right_on=["station_id", "valid_time"], suffix="_true")
    assert both.height == made.height
    errors = both.with_columns(
        error=pl.col(WARMTH) - pl.col(f"{WARMTH}_true"),
        lead=(pl.col("valid_at") - pl.col("issued_at")).dt.total_hours(),
    ).sort("station_id", "issued_at", "valid_at")
    deviation = errors.group_by("lead").agg(pl.col("error").std()).sort("lead")["error"]
    assert deviation[0] == pytest.approx(2.0 * (0.3 + 0.7 * (1 / 48) ** 0.5), rel=0.1)
    assert deviation[47] == pytest.approx(2.0, rel=0.1)
    assert abs(errors["error"].mean()) < 0.1
    after = errors.with_columns(next=pl.col("error").shift(-1).over("station_id", "issued_at"))
    assert after.select(pl.corr("error", "next")).item() > 0.75


def test_two_fetches_and_a_larger_network_give_the_same(made: pl.DataFrame) -> None:
    source, between = SimulatedSource(stations=5, forecasts=True), NOW - 17 * DAY + 2 * HOUR
    assert_frame_equal(pl.concat([issues(source, SINCE, between), issues(source, between, NOW)]), made)
    more = issues(SimulatedSource(stations=9, forecasts=True), NOW - 9 * DAY, NOW)
    few = made.filter(pl.col("received_at") > NOW - 9 * DAY)
    assert_frame_equal(more.filter(pl.col("station_id") <= "S0005"), few)


def test_no_wind_is_forecast_below_none(made: pl.DataFrame) -> None:
    assert made["wind_speed_m_s"].min() == 0.0
