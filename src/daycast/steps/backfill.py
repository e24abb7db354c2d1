"""Which past hours nobody forecast."""

from datetime import datetime

from daycast.errors import ConfigError
from daycast.settings import Settings
from daycast.times import HOUR, floor_hour
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.forecasts import read_hours_of_issue


def find_missing_hours(settings: Settings, since: datetime, until: datetime, now: datetime) -> list[datetime]:
    """The full hours of [since, until) at which no forecast was issued, oldest first.

    Raises ConfigError where there is no hour in that range.
    """
    first = floor_hour(since) if since == floor_hour(since) else floor_hour(since) + HOUR
    if first >= until:
        raise ConfigError(f"there is no full hour from {since.isoformat()} to before {until.isoformat()}")
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        there = read_hours_of_issue(con, first, until)
    return [hour for i in range(-(-(until - first) // HOUR)) if (hour := first + i * HOUR) not in there]
