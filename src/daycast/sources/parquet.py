"""Readings in Parquet files: what a data platform or a notebook leaves in a folder."""

import io
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Literal

import polars as pl

from daycast.errors import SourceError
from daycast.sources.delivery import Delivery
from daycast.sources.folders.drop_folder import HOW_FILES_COME, DropFolder
from daycast.sources.folders.dropped_file import DroppedFile, UnfinishedFileError
from daycast.sources.tables.csv_file import read_bytes
from daycast.sources.tables.fingerprint import fingerprint
from daycast.sources.tables.forecast_columns import unused
from daycast.sources.tables.mapped_columns import declared_units
from daycast.sources.tables.typed_table import TypedTable, validate_columns
from daycast.stations import STATION_SCHEMA
from daycast.variables import Variable

_READER_VERSION = 1  # raise it when the same file and configuration give other readings: then files are read again
_MAGIC = b"PAR1"  # the first and the last four bytes, https://parquet.apache.org/docs/file-format/


class ParquetSource(DropFolder, TypedTable):
    """A `[[sources]]` table of kind "parquet": DropFolder says which files are read, and when, TypedTable what is in them."""

    kind: Literal["parquet"] = "parquet"

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[Delivery]:
        """Yield one delivery a file, by name, of what was received in (since, until]; see Source.

        Raises ConfigError for a variable or unit that does not exist and SourceError for a glob without files, both before any
        file is read; SourceError for a bad file after all the others were delivered.
        """
        self.readers(variables)

        def deliver(file: DroppedFile) -> Delivery | None:
            content = read_bytes(file.path, file.origin)
            read_as = self._fingerprint(content, file.path.name, variables)
            if read_as in seen:
                file.put_away()  # a run that was killed between the commit and this
                return None
            table = read_columns(content, self.needed, file.origin)
            station = self.station.of_file(file.path.name)
            received = self.forecast.received if self.forecast else None
            rows = self.read(table, station, received, (since, until), variables, file.origin)
            return Delivery(
                origin=file.origin,
                fingerprint=read_as,
                readings=rows.readings,
                raw=rows.raw,
                problems=rows.problems,
                complete=rows.complete,
                receipt="stated" if received else "assumed",
                waiting=rows.waiting,
                finish=file.put_away,
            )

        return self.deliver_each(self.arrived(), deliver)

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA), empty if none is configured; raises SourceError if it cannot be read."""
        if self.station_list is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return self.station_list.read(self._folder, (), ".")

    def _fingerprint(self, content: bytes, file_name: str, variables: Mapping[str, Variable]) -> str:
        reading = {
            "version": _READER_VERSION,
            "settings": self.model_dump(mode="json", exclude={*HOW_FILES_COME, "station_list", *unused(self.forecast)}),
            "station": self.station.of_file(file_name),
            "declared": declared_units(self.columns, variables),
        }
        return fingerprint(content, reading)


def read_columns(content: bytes, needed: list[str], origin: str) -> pl.DataFrame:
    """The `needed` columns of a Parquet file, and no others.

    Raises SourceError naming `origin` for what is no Parquet file, damaged or without a column, and its UnfinishedFileError for a
    file without the footer that is written last.
    """
    if not content:
        raise UnfinishedFileError(f"{origin} is empty: a Parquet file was expected")
    if not content.startswith(_MAGIC[: len(content)]):
        raise SourceError(f"{origin} is no Parquet file (it begins with {content[:8]!r})")
    if not content.endswith(_MAGIC) or len(content) < 3 * len(_MAGIC):
        raise UnfinishedFileError(f"{origin} has no footer as a Parquet file has: it was cut off")
    try:
        validate_columns(needed, list(pl.read_parquet_schema(io.BytesIO(content))), origin)
        return pl.read_parquet(io.BytesIO(content), columns=needed)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:  # it panics at some damaged footers
        raise SourceError(f"{origin} is a damaged Parquet file: {str(error).splitlines()[0][:120]}") from None
