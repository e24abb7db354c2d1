"""Readings in Parquet files: what a data platform or a notebook leaves in a folder."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO, Literal

import polars as pl

from daycast.errors import SourceError
from daycast.sources.batch import SourceBatch, fingerprint
from daycast.sources.files.inbox import HOW_FILES_COME, FileChunks, Inbox, InboxFile, UnfinishedFileError
from daycast.sources.streams import blocks_of, open_bytes
from daycast.sources.tables.columns import declared_units, unused
from daycast.sources.tables.times import WallClocks
from daycast.sources.tables.typed_table import TypedTable, validate_columns
from daycast.stations import STATION_SCHEMA
from daycast.variables import Variable

_READER_VERSION = 1  # raise it when the same file and configuration give other readings: then files are read again
_MOST_ROWS = 1_000_000_000  # of a file: a few kilobytes can announce any number of equal rows
CHUNK_ROWS = 500_000  # what is held in memory at once
_MAGIC = b"PAR1"  # the first and the last four bytes, https://parquet.apache.org/docs/file-format/


class ParquetSource(Inbox, TypedTable):
    """A `[[sources]]` table of kind "parquet": DropFolder says which files are read, and when, TypedTable what is in them."""

    kind: Literal["parquet"] = "parquet"

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield one delivery a file, by name, of what was received in (since, until], of a large file several; see Source.

        Raises ConfigError for a variable or unit that does not exist and SourceError for a glob without files, both before any
        file is read; SourceError for a bad file after all the others were delivered.
        """
        self.readers(variables)

        def deliver(file: InboxFile) -> Iterator[SourceBatch]:
            with open_bytes(file.path, file.origin) as stream:
                chunks = FileChunks(file, self._fingerprint(stream, file.path.name, variables), seen)
                if chunks.all_seen:
                    file.put_away()  # a run that was killed between the commit and this
                    return
                clocks = WallClocks(self.timezone)
                for first, table, last in read_chunks(stream, self.needed, file.origin):
                    if (read_as := chunks.next(last=last)) is not None:
                        delivery = self._delivery(table, file, (since, until), variables, clocks)
                        origin = chunks.origin(f"row {first + 1:,}")
                        yield replace(delivery, origin=origin, fingerprint=read_as, finish=chunks.finish)

        return self.deliver_each(self.arrived(), deliver)

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA), empty if none is configured; raises SourceError if it cannot be read."""
        if self.station_list is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return self.station_list.read(self._folder, (), ".")

    def _delivery(
        self,
        table: pl.DataFrame,
        file: InboxFile,
        span: tuple[datetime | None, datetime],
        variables: Mapping[str, Variable],
        clocks: WallClocks,
    ) -> SourceBatch:
        station = self.station.of_file(file.path.name)
        received = self.forecast.received if self.forecast else None
        rows = self.read(table, station, received, span, variables, file.origin, clocks)
        return SourceBatch(
            origin=file.origin,
            fingerprint="",
            readings=rows.readings,
            raw=rows.raw,
            problems=rows.problems,
            complete=rows.complete,
            receipt="stated" if received else "assumed",
            waiting=rows.waiting,
        )

    def _fingerprint(self, stream: BinaryIO, file_name: str, variables: Mapping[str, Variable]) -> str:
        left_out = {*HOW_FILES_COME, "station_list", *unused("forecast", self.forecast)}
        reading = {
            "version": _READER_VERSION,
            "settings": self.model_dump(mode="json", exclude=left_out),
            "station": self.station.of_file(file_name),
            "declared": declared_units(self.columns, variables),
        }
        return fingerprint(blocks_of(stream), reading)


def read_chunks(stream: BinaryIO, needed: list[str], origin: str) -> Iterator[tuple[int, pl.DataFrame, bool]]:
    """The `needed` columns of a Parquet file, PIECE_ROWS rows at once; at least one piece.

    Each is (the number of its first row, from 0, the rows, whether they are the last).

    Raises SourceError naming `origin` for what is no Parquet file, damaged or without a column, and its UnfinishedFileError for a
    file without the footer that is written last.
    """
    _validate_frame(stream, origin)
    # of a stream on the disk polars would read all into memory
    file = stream.getvalue() if isinstance(stream, BytesIO) else Path(stream.name)
    try:
        validate_columns(needed, list(pl.read_parquet_schema(file)), origin)
        count = pl.scan_parquet(file).select(pl.len()).collect().item()
        if count > _MOST_ROWS:
            raise SourceError(f"{origin} announces {count:,} rows, and at most {_MOST_ROWS:,} are read: cut it up")
        for first in range(0, max(count, 1), CHUNK_ROWS):
            chunk = pl.scan_parquet(file).select(needed).slice(first, CHUNK_ROWS)
            yield first, chunk.collect(), first + CHUNK_ROWS >= count
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:  # it panics at some damaged footers
        raise SourceError(f"{origin} is a damaged Parquet file: {str(error).splitlines()[0][:120]}") from None


def _validate_frame(stream: BinaryIO, origin: str) -> None:
    """Raise SourceError for what does not begin as a Parquet file, UnfinishedFileError for what does not end as one."""
    stream.seek(0)
    begin = stream.read(8)
    size = stream.seek(0, SEEK_END)
    stream.seek(max(size - len(_MAGIC), 0))
    end = stream.read()
    if not begin:
        raise UnfinishedFileError(f"{origin} is empty: a Parquet file was expected")
    if not begin.startswith(_MAGIC[: len(begin)]):
        raise SourceError(f"{origin} is no Parquet file (it begins with {begin!r})")
    if end != _MAGIC or size < 3 * len(_MAGIC):
        raise UnfinishedFileError(f"{origin} has no footer as a Parquet file has: it was cut off")
