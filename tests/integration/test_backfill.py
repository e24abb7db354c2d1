"""Hours nobody forecast are found, and only those."""

from datetime import timedelta

import pytest

from daycast.errors import ConfigError
from daycast.steps.backfill import find_missing_hours
from daycast.steps.forecast import issue_forecasts
from daycast.times import floor_hour


def test_the_missing_hours_are_those_without_a_forecast_in_a_half_open_range(trained):
    last = floor_hour(trained.at)
    hours = [last - timedelta(hours=back) for back in (4, 3, 2, 1, 0)]
    for there in (hours[1], hours[4]):
        issue_forecasts(trained.settings, trained.at, there)
    missing = find_missing_hours(trained.settings, hours[0] - timedelta(minutes=30), trained.at, trained.at)
    assert missing == [hours[0], hours[2], hours[3]]
    assert find_missing_hours(trained.settings, hours[2], hours[3], trained.at) == [hours[2]]


def test_a_range_without_a_full_hour_is_refused(trained):
    with pytest.raises(ConfigError, match="no full hour"):
        find_missing_hours(trained.settings, trained.at, trained.at + timedelta(minutes=10), trained.at)
