"""The deliveries of one station of a SensorThings service, piece by piece of time."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from daycast.sources.delivery import READING_KEYS, Delivery
from daycast.sources.things.columns import Channel
from daycast.sources.things.observations import join_wide, list_faults
from daycast.sources.things.series import SeriesReader

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StationChannels:
    """A Thing as the station it is, with the Datastreams to read; at least one."""

    station_id: str
    thing_id: int | str
    channels: tuple[Channel, ...]
    variables: tuple[str, ...]  # the columns of its readings: also those it has no Datastream for


def read_station(
    reader: SeriesReader,
    station: StationChannels,
    span: tuple[datetime | None, datetime],
    piece: timedelta,
    read_as: str,
    final_until: datetime = _EPOCH,
    settled: Collection[str] = (),
) -> Iterator[Delivery]:
    """Yield what the station observed in `span` (start excluded, None meaning from the first), at most a `piece` at a time.

    Pieces begin at multiples of `piece` since 1970, so that the same history comes in the same pieces; stretches without
    Observations are leapt over. `read_as` goes into the fingerprints. The fingerprint of a complete piece that ends by
    `final_until` begins with a key of what was asked; pieces whose key is in `settled` are not asked for.
    Raises SourceError where the service cannot answer.
    """
    begin, until = span
    after = begin or reader.first_moment(station.channels, None, until)
    while after is not None and after < until:
        end = min(_EPOCH + ((after - _EPOCH) // piece + 1) * piece, until)
        key = _hash(f"{end}", station, read_as).hexdigest()[:16]
        if key in settled:
            begin = after = end
            continue
        # what lies before the first moment are times beyond the calendar, which are to be accounted for
        wide = join_wide([(channel, reader.between(channel, begin and after, end)) for channel in station.channels])
        known = wide.filter((pl.col("received_at") <= until).fill_null(value=True))
        if known.height:
            complete = len(known) == len(wide)
            final = f"{key} " if complete and end <= final_until else ""
            yield _delivery(
                reader, station, (after, end), known, complete, final + _fingerprint(known, station, read_as)
            )
        begin = after = end if wide.height or end == until else reader.first_moment(station.channels, end, until)


def _delivery(
    reader: SeriesReader,
    station: StationChannels,
    span: tuple[datetime, datetime],
    wide: pl.DataFrame,
    complete: bool,
    fingerprint: str,
) -> Delivery:
    mapped = [channel.reader.variable for channel in station.channels]
    keys = wide.select(pl.lit(station.station_id).alias("station_id"), "observed_at", "received_at")
    unmapped = [pl.lit(None, pl.Float64).alias(name) for name in station.variables if name not in mapped]
    raw = _as_it_came(wide, station)
    return Delivery(
        origin=f"{reader.root}/Things({station.thing_id}) {span[0]:%Y-%m-%dT%H:%M:%SZ}..{span[1]:%Y-%m-%dT%H:%M:%SZ}",
        fingerprint=fingerprint,
        readings=keys.hstack(wide.select(mapped)).with_columns(unmapped).select(*READING_KEYS, *station.variables),
        raw=raw,
        problems=list_faults(wide),
        complete=complete,
        receipt="stated" if reader.timing.result_time_is_receipt else "assumed",
    )


def _as_it_came(wide: pl.DataFrame, station: StationChannels) -> pl.DataFrame:
    mapped = [channel.reader.variable for channel in station.channels]
    return wide.select(pl.col(f"{name}.as_it_came").alias(name) for name in mapped)


def _fingerprint(wide: pl.DataFrame, station: StationChannels, read_as: str) -> str:
    """SHA-256 of the Observations as they came and of all that decides how they are read."""
    digest = _hash("", station, read_as)
    digest.update(_as_it_came(wide, station).write_ndjson().encode())
    return digest.hexdigest()


def _hash(what: str, station: StationChannels, read_as: str) -> "hashlib._Hash":
    read_by = [(channel.reader.variable, channel.datastream.id, channel.unit) for channel in station.channels]
    asked = (read_as, station.station_id, station.thing_id, read_by)
    return hashlib.sha256(repr((*asked, what) if what else asked).encode())
