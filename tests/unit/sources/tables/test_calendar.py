from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from daycast.sources.tables.times import earlier, within_calendar
from daycast.times import FIRST_TIME

FAR = 2**62


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_time_that_no_calendar_can_write_is_none(unit, zone):
    good = datetime(2024, 7, 1, 12, tzinfo=UTC)
    counts = pl.Series([int(good.timestamp()) * {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit], None])
    times = counts.cast(pl.Datetime(unit, zone))
    if unit != "ns":  # whose range ends in 2262
        times = pl.concat([times, pl.Series([FAR, -FAR]).cast(pl.Datetime(unit, zone))])
    kept = within_calendar(times)
    assert kept.dtype == times.dtype
    assert kept.is_not_null().to_list() == [True, False, False, False][: len(times)]


def test_a_moment_before_the_calendar_is_its_first():
    moment = datetime(2024, 7, 1, tzinfo=UTC)
    assert earlier(moment, timedelta(days=1), timedelta(hours=1)) == moment - timedelta(hours=25)
    assert earlier(moment, timedelta(days=10**6)) == FIRST_TIME
    assert earlier(datetime(1, 1, 1, tzinfo=UTC), timedelta(days=1), timedelta(days=1)) == FIRST_TIME
