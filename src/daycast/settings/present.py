"""The clock, which nothing below reads."""

from datetime import UTC, datetime

from daycast.errors import ConfigError
from daycast.times import parse_time


def clock(until: str | datetime | None = None) -> datetime:
    """The present, in UTC; or the moment it is to be taken for.

    Raises ConfigError where that moment lies ahead: nothing can be known of it.
    """
    now = datetime.now(UTC)
    if until is None:
        return now
    moment = parse_time(until) if isinstance(until, str) else until
    if moment > now:
        raise ConfigError(
            f"--until {moment.isoformat()} lies in the future: give a moment that has passed, or leave it out"
        )
    return moment
