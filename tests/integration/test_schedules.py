"""When clocks are put forward and back, what is scheduled runs neither twice nor never."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect.server.schemas.schedules import CronSchedule

from daycast.times import DAY, HOUR

ROOT = Path(__file__).parents[2]
FORWARD, BACK = date(2026, 3, 29), date(2026, 10, 25)  # in Berlin, at 02:00 and at 03:00 local time
BERLIN = ZoneInfo("Europe/Berlin")
OURS = [
    (deployment["name"], schedule["cron"], schedule["timezone"])
    for deployment in yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())["deployments"]
    for schedule in deployment.get("schedules", [])
]


def runs(cron: str, timezone: str, since: datetime, until: datetime) -> list[datetime]:
    """When Prefect would run it in [since, until), in UTC."""
    schedule = CronSchedule(cron=cron, timezone=timezone)
    dates = asyncio.run(schedule.get_dates(n=1000, start=since, end=until - timedelta(seconds=1)))
    return [moment.astimezone(UTC) for moment in dates]


@pytest.mark.parametrize("change", [FORWARD, BACK])
@pytest.mark.parametrize(("name", "cron", "timezone"), OURS, ids=[name for name, _, _ in OURS])
def test_our_own_schedules_do_not_notice(name, cron, timezone, change):
    since = datetime(change.year, change.month, change.day, tzinfo=UTC) - 3 * DAY
    minute, hour, _, _, weekday = cron.split()
    every = [since + n * HOUR + timedelta(minutes=int(minute)) for n in range(7 * 24)]
    expected = [
        moment
        for moment in every
        if hour in ("*", str(moment.hour)) and weekday in ("*", str(moment.isoweekday()))  # Monday is 1 in both
    ]
    assert runs(cron, timezone, since, since + 7 * DAY) == expected
    assert expected


@pytest.mark.parametrize("change", [FORWARD, BACK])
@pytest.mark.parametrize("clock", ["30 1", "0 2", "30 2", "0 3", "50 4"])
def test_a_daily_schedule_in_local_time_runs_once_each_local_day(clock, change):
    since = datetime(change.year, change.month, change.day, tzinfo=BERLIN) - 2 * DAY
    moments = runs(f"{clock} * * *", "Europe/Berlin", since, since + 5 * DAY)
    assert [moment.astimezone(BERLIN).date() for moment in moments] == [change + n * DAY for n in range(-2, 3)]


def test_an_hourly_schedule_in_local_time_leaves_out_the_hour_that_comes_twice_so_ours_are_in_utc():
    midnight = datetime(2026, 10, 25, tzinfo=BERLIN)
    moments = runs("5 * * * *", "Europe/Berlin", midnight, midnight + DAY)
    hours = [moment.hour for moment in moments]
    assert hours[:4] == [22, 23, 0, 2]  # not 1, which is two o'clock again in Berlin
    assert all(timezone == "UTC" for _, cron, timezone in OURS if cron.split()[1] == "*")
