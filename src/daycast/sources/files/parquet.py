"""The source of kind "parquet": readings or external forecasts in Parquet files of a data platform or a notebook."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import partial
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO, Literal

import polars as pl

from daycast.errors import SourceError
from daycast.sources.batch import SourceBatch, declared_units, fingerprint, mapping_text
from daycast.sources.files.inbox import INBOX_SETTINGS, FileChunk, Inbox, InboxFile, UnfinishedFileError
from daycast.sources.streams import read_blocks
from daycast.sources.tables.columns import keys_if_unset
from daycast.sources.tables.typed_table import TypedTable, validate_columns
from daycast.sources.tables.wall_clock import WallClocks, follows_clock_changes
from daycast.stations import STATION_SCHEMA
from daycast.variables import Variable

_READER_VERSION = 1  # raise it if equal files and settings give other readings: they are ingested again
_MAX_ROWS = 1_000_000_000  # of a file: a few kilobytes can announce any number of equal rows
CHUNK_ROWS = 500_000  # that are held in memory at once
_MAGIC = b"PAR1"  # the first and the last four bytes, https://parquet.apache.org/docs/file-format/


class ParquetSource(Inbox, TypedTable):
    """A `[[sources]]` table of kind "parquet".

    `Inbox` says which files are read and when, `TypedTable` says what is in them.
    """

    kind: Literal["parquet"] = "parquet"

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield a batch for each file, by name, with what was received in (since, until]; a large file gives several. See Source.

        Raises ConfigError for a variable or unit that does not exist, and SourceError for a glob without files, both before
        any file is read. Raises SourceError for bad files after all other files.
        """
        self.readers(variables)  # raises before anything is read

        def chunks_of(stream: BinaryIO, file: InboxFile) -> Iterator[FileChunk]:
            clocks = WallClocks(self.timezone)
            for first, table, last in read_chunks(stream, self.needed, file.origin):
                make_batch = partial(self._make_batch, table, file, (since, until), variables, clocks)
                yield FileChunk(f"row {first + 1:,}", last, make_batch, follows_clock_changes(self.timezone))

        return self.read_files(seen, partial(self._fingerprint, variables=variables), chunks_of)

    def head(self, rows: int) -> pl.DataFrame:
        """The first rows of the first file that is ready, with all its columns. Raises SourceError for a damaged file."""
        (file, *_) = self.ready_files()
        try:
            return pl.scan_parquet(file.path).head(rows).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise _damaged(file.origin, error) from None

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA), empty if none is configured. Raises SourceError if it cannot be read."""
        if self.station_list is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return self.station_list.read(self._folder, (), ".")

    def _make_batch(
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
            fingerprint="",  # set by FileLoader
            readings=rows.readings,
            raw=rows.raw,
            problems=rows.problems,
            bad_values=rows.bad_values,
            complete=rows.complete,
            receipt="stated" if received else "assumed",
            waiting=rows.waiting,
            accumulations=self.accumulations(variables),
            doubts=rows.doubts,
            tolerance=self.tolerance,
        )

    def mapping(self, variables: Mapping[str, Variable]) -> str:
        """How files are read; see Source."""
        left_out = {*INBOX_SETTINGS, "name", "station_list", "tolerance"}
        settings = self.model_dump(mode="json", exclude=left_out, exclude_defaults=True)
        return mapping_text(_READER_VERSION, settings, declared_units(self.columns, variables))

    def _fingerprint(self, stream: BinaryIO, file_name: str, variables: Mapping[str, Variable]) -> str:
        left_out = {*INBOX_SETTINGS, "station_list", "tolerance", *keys_if_unset("forecast", self.forecast)}
        reading = {
            "version": _READER_VERSION,
            "settings": self.model_dump(mode="json", exclude=left_out),
            "station": self.station.of_file(file_name),
            "declared": declared_units(self.columns, variables),
        }
        return fingerprint(read_blocks(stream), reading)


def read_chunks(stream: BinaryIO, needed: list[str], origin: str) -> Iterator[tuple[int, pl.DataFrame, bool]]:
    """The `needed` columns of a Parquet file, CHUNK_ROWS rows at a time; at least one chunk.

    Each is (number of its first row, from 0; the rows; whether they are the last). Raises SourceError naming `origin` for a
    file that is not a Parquet file, is damaged, or lacks a column. Raises UnfinishedFileError for a file without the footer,
    which is written last.
    """
    _validate_frame(stream, origin)
    # given a stream of a file on the disk, polars would read all of it into memory
    file = stream.getvalue() if isinstance(stream, BytesIO) else Path(stream.name)
    try:
        validate_columns(needed, list(pl.read_parquet_schema(file)), origin)
        count = pl.scan_parquet(file).select(pl.len()).collect().item()
        if count > _MAX_ROWS:
            raise SourceError(
                f"{origin} announces {count:,} rows, and the limit is {_MAX_ROWS:,}: split it into smaller files"
            )
        for first in range(0, max(count, 1), CHUNK_ROWS):
            chunk = pl.scan_parquet(file).select(needed).slice(first, CHUNK_ROWS)
            yield first, chunk.collect(), first + CHUNK_ROWS >= count
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:  # polars panics at some damaged footers
        raise _damaged(origin, error) from None


def _damaged(origin: str, error: BaseException) -> SourceError:
    return SourceError(f"{origin} is a damaged Parquet file: {str(error).splitlines()[0][:120]}")


def _validate_frame(stream: BinaryIO, origin: str) -> None:
    """Check the first and last bytes of a Parquet file.

    Raises SourceError if it does not begin as one, UnfinishedFileError if it does not end as one.
    """
    stream.seek(0)
    begin = stream.read(8)
    size = stream.seek(0, SEEK_END)
    stream.seek(max(size - len(_MAGIC), 0))
    end = stream.read()
    if not begin:
        raise UnfinishedFileError(f"{origin} is empty: a Parquet file was expected")
    if not begin.startswith(_MAGIC[: len(begin)]):
        raise SourceError(f"{origin} is not a Parquet file (it begins with {begin!r})")
    if end != _MAGIC or size < 3 * len(_MAGIC):
        raise UnfinishedFileError(f"{origin} lacks the footer of a Parquet file: it was cut off")
