"""From the wall clock of a place to UTC, through the two nights a year that make it hard."""

from datetime import datetime
from zoneinfo import available_timezones

import polars as pl

from daycast.sources.nearest import did_you_mean


def validate_timezone(name: str) -> str:
    """Return `name` if polars knows the zone; raise ValueError with close matches if not."""
    try:
        pl.Series([datetime(2000, 1, 1)]).dt.replace_time_zone(name)  # noqa: DTZ001 wall time is meant
    except pl.exceptions.PolarsError:
        matches = did_you_mean(name, available_timezones())
        raise ValueError(f"{name!r} is no time zone{matches}: write an IANA name, for example Europe/Berlin") from None
    return name


class WallClock:
    """The clock of a place, which tells the UTC of one column of times, piece by piece of a source."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._doubled = pl.DataFrame(schema={"station": pl.String, "wall": pl.Datetime("us")})  # came in earlier pieces

    def to_utc(self, wall: pl.Series, stations: pl.Series) -> pl.Series:
        """The instants (UTC_TIME) of naive times `wall` at these stations; null where the clock skipped that time.

        When the clock is set back, the times of an hour happen twice. The first row of a station with such a time is the
        earlier instant, any further row with it the later one: rows must stand in the order they were measured.
        """
        if self._zone == "UTC":
            return wall.dt.replace_time_zone("UTC")
        earlier, later = (
            wall.dt.replace_time_zone(self._zone, ambiguous=which, non_existent="null").dt.convert_time_zone("UTC")
            for which in ("earliest", "latest")
        )
        doubled = (earlier != later).fill_null(value=False)
        if not doubled.any():
            return earlier
        rows = pl.DataFrame([stations.alias("station"), wall.alias("wall")]).filter(doubled)
        came = pl.concat([self._doubled, rows])
        again = ~came.select(pl.struct(pl.all()).is_first_distinct()).to_series()
        self._doubled = came.unique()
        second = pl.Series([False]).new_from_index(0, len(wall)).scatter(doubled.arg_true(), again.tail(len(rows)))
        return second.to_frame("second").select(pl.when("second").then(later).otherwise(earlier)).to_series()


class WallClocks:
    """A clock for each column of times of a source, all of one zone."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._clocks: dict[tuple[str, ...], WallClock] = {}

    def of(self, *columns: str) -> WallClock:
        """The clock of the times in these columns."""
        return self._clocks.setdefault(columns, WallClock(self._zone))
