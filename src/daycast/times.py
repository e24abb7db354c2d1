"""Time in daycast: always UTC and always timezone-aware; grids are on the full hour.

First the constants (the hours the model reads and writes, the time type of every frame), then how to read a time or a duration
that a user wrote.
"""

import re
from datetime import UTC, datetime, timedelta

import polars as pl

from daycast.errors import ConfigError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# no observation is older; outside these years, adding days or time zones could leave Python's calendar
FIRST_TIME, LAST_TIME = datetime(1000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
BEYOND_CALENDAR = f"no time between the years {FIRST_TIME.year} and {LAST_TIME.year}"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HISTORY_HOURS = 168  # T: hours the encoder reads
HORIZON_HOURS = 24  # H: hours the decoder writes
UTC_TIME = pl.Datetime("us", "UTC")  # the one time type of every frame

_DURATION = re.compile(r"(\d+)\s*(s|min|h|d|w)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_time(text: str) -> datetime:
    """Read an ISO 8601 time; without an offset it is UTC. Returns an aware UTC time.

    Raises ConfigError that quotes the text.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time: write ISO 8601, for example 2026-02-01T00:00:00Z") from None
    if not FIRST_TIME.year <= time.year < LAST_TIME.year:
        raise ConfigError(f"{text!r} is {BEYOND_CALENDAR}")
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `90s`, `15min`, `24h`, `7d` or `2w`.

    Raises ConfigError that quotes the text.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ConfigError(f"{text!r} is no duration: write a number and s, min, h, d or w, for example 24h")
    try:
        return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
    except (OverflowError, ValueError):  # ValueError: more digits than Python reads
        raise ConfigError(f"{text[:40]!r} is too long for a duration: write for example 7d") from None


def floor_hour(time: datetime) -> datetime:
    """The full hour at or before `time`."""
    return time.replace(minute=0, second=0, microsecond=0)


def hours_between(start: datetime, end: datetime) -> int:
    """Whole hours from `start` to `end`, rounded down; negative if `end` is earlier."""
    return (end - start) // HOUR
