"""The clock, which nothing below reads, and what `--until` means.

Every run knows two times. *Now* is the real clock: it is what `created_at`, `registered_at`, `ingested_at`, `received_at` of a
correction and the stamps of `runs` say, whatever the arguments are. *As of* is now, or the moment of `--until`: nothing that
was received, registered or issued later is used.
"""

from datetime import UTC, datetime

from daycast.errors import ConfigError
from daycast.times import parse_time


def clock(until: str | datetime | None = None) -> datetime:
    """Now, in UTC; with `until` the moment as of which a run uses what there is.

    Raises ConfigError where that moment lies ahead: nothing can be known of it.
    """
    return as_of(until, wall_clock())


def as_of(until: str | datetime | None, now: datetime) -> datetime:
    """The moment as of which a run uses what there is: `until`, by default `now`.

    Raises ConfigError where that moment lies ahead: nothing can be known of it.
    """
    if until is None:
        return now
    moment = parse_time(until) if isinstance(until, str) else until
    if moment > now:
        raise ConfigError(
            f"--until {moment.isoformat()} lies in the future: give a moment that has passed, or leave it out"
        )
    return moment


def wall_clock() -> datetime:
    """The real clock, in UTC. Tests that live through weeks put another one in its place; a user cannot."""
    return datetime.now(UTC)
