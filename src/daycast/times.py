"""Time in daycast: always UTC and always timezone-aware; grids are on the full hour.

First the constants (the hours the model reads and writes, the time type of every frame), then how to read a time, a duration or
hours of the day that a user wrote.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

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
_DAILY_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)(?:\s+(\S+))?")
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


@dataclass(frozen=True)
class DailyHours:
    """The same hours of each day, in local time: from `start` to before `end`, over midnight if `end` is earlier."""

    start: time
    end: time
    zone: ZoneInfo

    def include(self, moment: datetime) -> bool:
        """Whether `moment` (aware) lies in these hours."""
        local = moment.astimezone(self.zone).time()
        if self.start < self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end


def parse_daily_hours(text: str) -> DailyHours:
    """Read hours such as `22:00-07:00` (UTC) or `22:00-07:00 Europe/Berlin`. Raises ConfigError that quotes the text."""
    match = _DAILY_HOURS.fullmatch(text.strip())
    if not match:
        raise ConfigError(f"{text!r} are no hours of the day: write for example 22:00-07:00 Europe/Berlin")
    start, end = (time(int(match[i]), int(match[i + 1])) for i in (1, 3))
    if start == end:
        raise ConfigError(f"{text!r} begins when it ends: leave it out, or write for example 22:00-07:00")
    try:
        return DailyHours(start, end, ZoneInfo(match[5] or "UTC"))
    except (KeyError, ValueError, OSError):
        raise ConfigError(f"{text!r} names no time zone: write for example 22:00-07:00 Europe/Berlin") from None


def floor_hour(time: datetime) -> datetime:
    """The full hour at or before `time`."""
    return time.replace(minute=0, second=0, microsecond=0)


def hours_between(start: datetime, end: datetime) -> int:
    """Whole hours from `start` to `end`, rounded down; negative if `end` is earlier."""
    return (end - start) // HOUR


def minutes_and_seconds(seconds: float) -> str:
    """A duration in the form 2:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
