"""The Observations of one station of a SensorThings service, batch by batch of time.

Order: from the Observations of several Datastreams to wide rows, one for each time (`read_observations`, `join_wide`);
`SeriesReader`, which asks the service for a span of time; `read_station`, which makes the batches.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import polars as pl

from daycast.errors import SourceError
from daycast.sources.batch import PROBLEM_SCHEMA, READING_KEYS, SourceBatch
from daycast.sources.http.client import Client
from daycast.sources.sensorthings.datastreams import Channel
from daycast.sources.sensorthings.things import Entity, entity_url, read_collection
from daycast.sources.tables.time_text import is_beyond_calendar, parse_instant
from daycast.sources.tables.times import earlier
from daycast.sources.tables.values import read_values
from daycast.times import BEYOND_CALENDAR, FIRST_TIME

FIELDS = ("phenomenonTime", "result", "resultTime")  # of an Observation
_KEY = ["observed_at", "received_at", "turn"]


@dataclass(frozen=True, slots=True)
class Timing:
    """How the times of an Observation are understood."""

    reporting_delay: timedelta  # from observation to receipt, if no receipt is stated
    result_time_is_receipt: bool
    longest_interval: timedelta  # the longest that one Observation may stand for


def as_table(observations: Iterable[Entity]) -> pl.DataFrame:
    """FIELDS of the Observations as text, null where null or missing; what is neither text nor null is JSON."""
    kept = list(observations)
    return pl.DataFrame(
        {field: [_as_text(observation.get(field)) for observation in kept] for field in FIELDS},
        schema=dict.fromkeys(FIELDS, pl.String),
    )


def read_observations(table: pl.DataFrame, channel: Channel, timing: Timing) -> pl.DataFrame:
    """The Observations of one Channel (`as_table`), read: the same rows, ordered by result time among equal times.

    Columns: observed_at (the end of phenomenonTime if that is an interval), received_at, turn (0 for the first row of these
    two times, 1 for the second …), value [daycast's unit], raw (FIELDS), and fault (column, value and reason of what cannot
    be read), null if everything can.
    """
    said = table.select(
        _interval_ends().list.first().alias("start"), _interval_ends().list.last().alias("end"), "resultTime"
    )
    reader = channel.reader
    values = read_values(table, [reader])
    return (
        table.with_columns(
            raw=pl.struct(FIELDS),
            unreadable=values[reader.unreadable_name],
            beyond=is_beyond_calendar(said["start"], None) | is_beyond_calendar(said["end"], None),
            started_at=parse_instant(said["start"], None),
            observed_at=parse_instant(said["end"], None),
            resulted_at=parse_instant(said["resultTime"], None),
        )
        .with_columns(received_at=_received_at(timing), value=values[reader.variable], fault=_fault(channel, timing))
        .sort("resulted_at", nulls_last=False, maintain_order=True)
        .with_columns(turn=pl.int_range(pl.len()).over("observed_at", "received_at"))
        .select(*_KEY, "value", "raw", "fault")
    )


def in_span(observations: pl.DataFrame, after: datetime | None, end: datetime) -> pl.DataFrame:
    """The rows observed in (after, end], and those whose time cannot be read; `after` None means from the beginning."""
    observed = pl.col("observed_at")
    started = pl.lit(value=True) if after is None else observed > after
    return observations.filter(observed.is_null() | (started & (observed <= end)))


def join_wide(read: Sequence[tuple[Channel, pl.DataFrame]]) -> pl.DataFrame:
    """The rows of all Channels (`read_observations`), joined where their times are equal, in order of time.

    An Observation that cannot be read has a row of its own, so that it does not spoil another one. Columns: observed_at,
    received_at, each variable, `<variable>.raw`, and fault.
    """
    sound = [_named(channel, rows.filter(pl.col("fault").is_null())).drop("fault") for channel, rows in read]
    joined = reduce(lambda left, right: left.join(right, on=_KEY, how="full", coalesce=True), sound)
    faulty = [_named(channel, rows.filter(pl.col("fault").is_not_null())) for channel, rows in read]
    return pl.concat([joined, *faulty], how="diagonal").sort(*_KEY, nulls_last=True, maintain_order=True).drop("turn")


def list_faults(wide: pl.DataFrame) -> pl.DataFrame:
    """The faults in the rows of `join_wide` as problems (PROBLEM_SCHEMA)."""
    numbered = wide.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row_number"), "fault")
    return numbered.filter(pl.col("fault").is_not_null()).unnest("fault").select(PROBLEM_SCHEMA.keys())


def _as_text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)


def _interval_ends() -> pl.Expr:
    """The start and the end of an interval; an instant is both."""
    return pl.col("phenomenonTime").str.split("/")


def _received_at(timing: Timing) -> pl.Expr:
    observed = pl.col("observed_at")
    assumed = observed + timing.reporting_delay
    if not timing.result_time_is_receipt:
        return assumed
    stated = pl.max_horizontal("resulted_at", "observed_at")  # nothing is known before it is observed
    return pl.when(observed.is_not_null()).then(
        pl.when(pl.col("resulted_at").is_null()).then(assumed).otherwise(stated)
    )


def _fault(channel: Channel, timing: Timing) -> pl.Expr:
    """The first thing that is wrong with a row, null if nothing is."""
    started, ended = pl.col("started_at"), pl.col("observed_at")
    no_time = "no time in ISO 8601 with its offset from UTC"
    too_long = f"stands for more than longest_interval = {timing.longest_interval}"
    no_result_time = pl.col("resultTime").is_not_null() & pl.col("resulted_at").is_null()
    faults = [
        ("phenomenonTime", pl.col("phenomenonTime").is_null(), "no time"),
        ("phenomenonTime", pl.col("beyond"), BEYOND_CALENDAR),
        ("phenomenonTime", started.is_null() | ended.is_null() | (_interval_ends().list.len() > 2), no_time),
        ("phenomenonTime", started > ended, "an interval that ends before it begins"),
        ("phenomenonTime", ended - started > timing.longest_interval, too_long),
        ("resultTime", no_result_time & timing.result_time_is_receipt, no_time),
        ("result", pl.col("unreadable"), channel.reader.reason),
    ]
    return pl.coalesce(
        pl.when(wrong).then(
            pl.struct(
                column=pl.lit(f"Datastreams({channel.datastream.id})/{field}"),
                value=pl.col(field),
                reason=pl.lit(reason),
            )
        )
        for field, wrong, reason in faults
    )


def _named(channel: Channel, rows: pl.DataFrame) -> pl.DataFrame:
    variable = channel.reader.variable
    unread = pl.when(pl.col("fault").is_null()).then("value")
    return rows.select(*_KEY, unread.alias(variable), pl.col("raw").alias(f"{variable}.raw"), "fault")


MAX_BYTES = 2**30  # of the Observations of one batch, as text
_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SeriesReader:
    """Reads Observations of one service. Both public methods raise SourceError if the service cannot answer."""

    client: Client
    root: str
    timing: Timing
    page_size: int

    def between(self, channel: Channel, after: datetime | None, end: datetime) -> pl.DataFrame:
        """The Observations of `channel` in (after, end], read (`read_observations`); `after` None means from the beginning."""
        tables, size = [as_table([])], 0.0
        for page in read_collection(self.client, self._url(channel), self._params(after, end, self.page_size)):
            tables.append(as_table(page))
            size += tables[-1].estimated_size()
            if size > MAX_BYTES:
                raise SourceError(
                    f"{self._url(channel)}: more than {MAX_BYTES:,} bytes from {after} to {end}, the limit "
                    "for one batch; set a shorter piece"
                )
        return in_span(read_observations(pl.concat(tables), channel, self.timing), after, end)

    def first_moment(self, channels: Iterable[Channel], after: datetime | None, until: datetime) -> datetime | None:
        """A moment from `after` on that is before all later Observations of `channels`; None if there is none up to `until`.

        `after` None means from the beginning.
        """
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
            f"{self._url(channel)}: its first phenomenonTime {first[0].get('phenomenonTime')!r} is not a time; set start"
        )

    def _params(self, after: datetime | None, end: datetime, max_count: int) -> dict[str, str]:
        """The query for at most `max_count` Observations in (after, end], the earliest first.

        Servers compare the start of an interval with gt and its end with le. So the filter reaches `longest_interval`
        further back, to find an interval across `after`.
        """
        started = [] if after is None else [f"phenomenonTime gt {_text(earlier(after, self.timing.longest_interval))}"]
        return {
            "$filter": " and ".join([*started, f"phenomenonTime le {_text(end)}"]),
            "$orderby": "phenomenonTime asc",
            "$select": ",".join(FIELDS),
            "$top": str(max_count),
        }

    def _url(self, channel: Channel) -> str:
        return entity_url(self.root, "Datastreams", channel.datastream.id, "Observations")


def _text(moment: datetime) -> str:
    """The moment in ISO 8601 [UTC], rounded down to the millisecond, which is what servers keep."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StationChannels:
    """A Thing as a station, with the Datastreams to read; at least one."""

    station_id: str
    thing_id: int | str
    channels: tuple[Channel, ...]
    variables: tuple[str, ...]  # the columns of its readings, including those without a Datastream


def read_station(
    reader: SeriesReader,
    station: StationChannels,
    span: tuple[datetime | None, datetime],
    batch_span: timedelta,
    read_as: str,
    final_until: datetime = _EPOCH,
    settled: Collection[str] = (),
) -> Iterator[SourceBatch]:
    """Yield what the station observed in `span` (start excluded, None means from the first), at most `batch_span` at a time.

    Batches begin at multiples of `batch_span` since 1970, so that the same history comes in the same batches. Stretches
    without Observations are skipped. `read_as` goes into the fingerprints. The fingerprint of a complete batch that ends by
    `final_until` begins with a key of what was asked; batches whose key is in `settled` are not asked for. Raises
    SourceError if the service cannot answer.
    """
    begin, until = span
    after = begin or reader.first_moment(station.channels, None, until)
    while after is not None and after < until:
        end = min(_EPOCH + ((after - _EPOCH) // batch_span + 1) * batch_span, until)
        key = _hash(f"{end}", station, read_as).hexdigest()[:16]
        if key in settled:
            begin = after = end
            continue
        # without `begin`, the first batch reaches back for ever: times beyond the calendar become problems there
        wide = join_wide([(channel, reader.between(channel, begin and after, end)) for channel in station.channels])
        known = wide.filter((pl.col("received_at") <= until).fill_null(value=True))
        if known.height:
            complete = len(known) == len(wide)
            final = f"{key} " if complete and end <= final_until else ""
            yield _make_batch(
                reader, station, (after, end), known, complete, final + _fingerprint(known, station, read_as)
            )
        begin = after = end if wide.height or end == until else reader.first_moment(station.channels, end, until)


def _make_batch(
    reader: SeriesReader,
    station: StationChannels,
    span: tuple[datetime, datetime],
    wide: pl.DataFrame,
    complete: bool,
    fingerprint: str,
) -> SourceBatch:
    mapped = [channel.reader.variable for channel in station.channels]
    keys = wide.select(pl.lit(station.station_id).alias("station_id"), "observed_at", "received_at")
    unmapped = [pl.lit(None, pl.Float64).alias(name) for name in station.variables if name not in mapped]
    raw = _raw_rows(wide, station)
    return SourceBatch(
        origin=f"{reader.root}/Things({station.thing_id}) {span[0]:%Y-%m-%dT%H:%M:%SZ}..{span[1]:%Y-%m-%dT%H:%M:%SZ}",
        fingerprint=fingerprint,
        readings=keys.hstack(wide.select(mapped)).with_columns(unmapped).select(*READING_KEYS, *station.variables),
        raw=raw,
        problems=list_faults(wide),
        complete=complete,
        receipt="stated" if reader.timing.result_time_is_receipt else "assumed",
    )


def _raw_rows(wide: pl.DataFrame, station: StationChannels) -> pl.DataFrame:
    mapped = [channel.reader.variable for channel in station.channels]
    return wide.select(pl.col(f"{name}.raw").alias(name) for name in mapped)


def _fingerprint(wide: pl.DataFrame, station: StationChannels, read_as: str) -> str:
    """SHA-256 of the Observations as they were sent, and of everything that decides how they are read."""
    digest = _hash("", station, read_as)
    digest.update(_raw_rows(wide, station).write_ndjson().encode())
    return digest.hexdigest()


def _hash(what: str, station: StationChannels, read_as: str) -> "hashlib._Hash":
    read_by = [(channel.reader.variable, channel.datastream.id, channel.unit) for channel in station.channels]
    asked = (read_as, station.station_id, station.thing_id, read_by)
    return hashlib.sha256(repr((*asked, what) if what else asked).encode())
