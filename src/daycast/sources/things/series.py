"""Asking a SensorThings service for the Observations of a span of time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from daycast.errors import SourceError
from daycast.sources.http.client import Client
from daycast.sources.tables.calendar import earlier
from daycast.sources.tables.text_time import parse_instant
from daycast.sources.things.columns import Channel
from daycast.sources.things.observations import FIELDS, Timing, as_table, in_span, read_observations
from daycast.sources.things.pages import entity_url, read_collection
from daycast.times import FIRST_TIME

MOST_BYTES = 2**30  # of the Observations of one delivery, as text
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SeriesReader:
    """Reads the Observations of one service; both methods raise SourceError where it cannot answer."""

    client: Client
    root: str
    timing: Timing
    page_size: int

    def between(self, channel: Channel, after: datetime | None, end: datetime) -> pl.DataFrame:
        """What `channel` observed in (after, end], None meaning ever, read (`read_observations`)."""
        tables, size = [as_table([])], 0.0
        for page in read_collection(self.client, self._url(channel), self._params(after, end, self.page_size)):
            tables.append(as_table(page))
            size += tables[-1].estimated_size()
            if size > MOST_BYTES:
                raise SourceError(
                    f"{self._url(channel)}: more than {MOST_BYTES:,} bytes from {after} to {end}, the most that is read at "
                    "once; set a shorter piece"
                )
        return in_span(read_observations(pl.concat(tables), channel, self.timing), after, end)

    def first_moment(self, channels: Iterable[Channel], after: datetime | None, until: datetime) -> datetime | None:
        """A moment from `after` on (None: ever) and before all that `channels` observed since, None if nothing until `until`."""
        moments = [moment for channel in channels if (moment := self._first(channel, after, until))]
        return max(min(moments), after or min(moments)) if moments else None

    def _first(self, channel: Channel, after: datetime | None, until: datetime) -> datetime | None:
        first = next(read_collection(self.client, self._url(channel), self._params(after, until, 1)))
        if not first:
            return None
        started = as_table(first[:1]).select(pl.col("phenomenonTime").str.split("/").list.first()).to_series()
        moment: datetime | None = parse_instant(started, None).item()
        if moment is not None:
            return moment - _MOMENT
        if after is None:
            return self._first(channel, FIRST_TIME, until)
        raise SourceError(
            f"{self._url(channel)}: its first phenomenonTime {first[0].get('phenomenonTime')!r} is no time; set start"
        )

    def _params(self, after: datetime | None, end: datetime, most: int) -> dict[str, str]:
        """The query for at most so many Observations of (after, end], the earliest first.

        Servers compare the start of an interval with gt and its end with le, so that one across `after` needs the reach.
        """
        begun = [] if after is None else [f"phenomenonTime gt {_text(earlier(after, self.timing.longest_interval))}"]
        return {
            "$filter": " and ".join([*begun, f"phenomenonTime le {_text(end)}"]),
            "$orderby": "phenomenonTime asc",
            "$select": ",".join(FIELDS),
            "$top": str(most),
        }

    def _url(self, channel: Channel) -> str:
        return entity_url(self.root, "Datastreams", channel.datastream.id, "Observations")


def _text(moment: datetime) -> str:
    """The moment in ISO 8601 [UTC], rounded down to the millisecond that servers keep."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
