"""Asking a SensorThings service for the Observations of a span of time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

import polars as pl

from daycast.errors import SourceError
from daycast.sources.http.client import Client
from daycast.sources.tables.text_time import parse_instant
from daycast.sources.things.columns import Channel
from daycast.sources.things.observations import FIELDS, Timing, as_table, in_span, read_observations
from daycast.sources.things.pages import entity_url, read_collection

_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SeriesReader:
    """Reads the Observations of one service; both methods raise SourceError where it cannot answer."""

    client: Client
    root: str
    timing: Timing
    page_size: int

    def between(self, channel: Channel, after: datetime, end: datetime) -> pl.DataFrame:
        """What `channel` observed in (after, end], read (`read_observations`)."""
        params = {
            # Servers compare the start of an interval with gt and its end with le, so that one across `after` needs the reach.
            "$filter": f"phenomenonTime gt {_text(after - self.timing.longest_interval)} and phenomenonTime le {_text(end)}",
            "$orderby": "phenomenonTime asc",
            "$select": ",".join(FIELDS),
            "$top": str(self.page_size),
        }
        table = as_table(chain.from_iterable(read_collection(self.client, self._url(channel), params)))
        return in_span(read_observations(table, channel, self.timing), after, end)

    def first_moment(self, channels: Iterable[Channel], after: datetime | None, until: datetime) -> datetime | None:
        """A moment from `after` on (None: ever) and before all that `channels` observed since, None if nothing until `until`."""
        moments = [moment for channel in channels if (moment := self._first(channel, after, until))]
        return max(min(moments), after or min(moments)) if moments else None

    def _first(self, channel: Channel, after: datetime | None, until: datetime) -> datetime | None:
        begun = [f"phenomenonTime gt {_text(after - self.timing.longest_interval)}"] if after else []
        params = {
            "$filter": " and ".join([*begun, f"phenomenonTime le {_text(until)}"]),
            "$orderby": "phenomenonTime asc",
            "$select": ",".join(FIELDS),
            "$top": "1",
        }
        first = next(read_collection(self.client, self._url(channel), params))
        if not first:
            return None
        started = as_table(first[:1]).select(pl.col("phenomenonTime").str.split("/").list.first()).to_series()
        moment = parse_instant(started, None).item()
        if moment is None:
            raise SourceError(
                f"{self._url(channel)}: its first phenomenonTime {first[0].get('phenomenonTime')!r} is no time; set start"
            )
        return moment - _MOMENT

    def _url(self, channel: Channel) -> str:
        return entity_url(self.root, "Datastreams", channel.datastream.id, "Observations")


def _text(moment: datetime) -> str:
    """The moment in ISO 8601 [UTC], rounded down to the millisecond that servers keep."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
