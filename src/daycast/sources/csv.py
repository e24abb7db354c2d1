"""Readings in CSV files: any logger's export, told apart from any other by its configuration alone."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, PrivateAttr, Tag

from daycast.errors import ConfigError, SourceError
from daycast.sources.csv_file import Separator, parse_table, read_bytes
from daycast.sources.csv_problems import Complaint, complaints_about_layout, complaints_about_values, list_problems
from daycast.sources.csv_station import StationKey
from daycast.sources.csv_station_list import StationList
from daycast.sources.csv_time import TimeColumn, TimeParts, parse_instant, parse_wall
from daycast.sources.csv_values import ValueReader, present
from daycast.sources.delivery import READING_KEYS, Delivery
from daycast.sources.local_time import local_to_utc, validate_timezone
from daycast.sources.matched_files import matched_files
from daycast.sources.nearest import did_you_mean
from daycast.sources.units import COMPASS, unit_of
from daycast.stations import STATION_SCHEMA
from daycast.times import parse_duration
from daycast.variables import BUILT_IN, Variable

_READER_VERSION = 1  # raise it when the same file and configuration give other readings: then files are read again


def _column_if_bare(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


def _list_if_bare(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _duration_if_text(value: Any) -> Any:
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except ConfigError as error:
        raise ValueError(str(error)) from None  # so that pydantic adds where it stands


def _time_tag(value: Any) -> str:
    return "text" if isinstance(value, TimeColumn) or (isinstance(value, dict) and "column" in value) else "parts"


Text = Annotated[str, Field(coerce_numbers_to_str=True)]
Time = Annotated[
    Annotated[TimeColumn, Tag("text")] | Annotated[TimeParts, Tag("parts")],
    Discriminator(_time_tag),
    BeforeValidator(_column_if_bare),
]


class ValueColumn(BaseModel):
    """The column of one variable; without a unit it is in daycast's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    unit: str | None = None


class CsvSource(BaseModel):
    """A `[[sources]]` table of kind "csv", and the Source that reads as it says.

    Files are relative to the folder of the configuration, which comes in the validation context as `folder`.
    Every row is delivered or held back; what cannot be read in it is a problem with a reason, and is kept as it came.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["csv"] = "csv"
    name: str
    files: Annotated[tuple[str, ...], BeforeValidator(_list_if_bare), Field(min_length=1)]  # globs
    separator: Separator = ","
    decimal: Literal[".", ","] = "."
    missing: Annotated[tuple[Text, ...], BeforeValidator(_list_if_bare)] = ()  # markers beside the empty field
    timezone: Annotated[str, AfterValidator(validate_timezone)] = "UTC"  # of times that name no offset
    reporting_delay: Annotated[timedelta, BeforeValidator(_duration_if_text)] = timedelta(0)
    station: Annotated[StationKey, BeforeValidator(_column_if_bare)]
    time: Time
    columns: Annotated[
        dict[str, Annotated[ValueColumn, BeforeValidator(_column_if_bare)]], Field(min_length=1)
    ]  # by variable
    station_list: StationList | None = None

    _folder: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any, /) -> None:
        """Remember the folder that `files` and `station_list` are relative to."""
        self._folder = Path((context or {}).get("folder", "."))

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[Delivery]:
        """Yield one delivery a file, by name, of what was received in (since, until]; see Source.

        Rows whose time cannot be read are in every delivery of their file.
        Raises ConfigError for a variable or unit that does not exist and SourceError for a glob without files, both
        before any file is read; SourceError for a bad file after all the others were delivered.
        """
        readers = self._readers(variables)
        files = matched_files(self.files, self._folder)
        return self._deliveries(files, readers, (since, until), variables, seen)

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA), empty if none is configured; raises SourceError if it cannot be read."""
        if self.station_list is None:
            return pl.DataFrame(schema=STATION_SCHEMA)
        return self.station_list.read(self._folder, self.missing, self.decimal)

    def _readers(self, variables: Mapping[str, Variable]) -> list[ValueReader]:
        readers = []
        for name, given in self.columns.items():
            if name not in variables:
                matches = did_you_mean(name, variables)
                raise ConfigError(
                    f"source {self.name!r}: {name!r} is no variable{matches}; there are: {', '.join(variables)}"
                )
            try:
                unit = unit_of(variables[name], given.unit)
            except ConfigError as error:
                raise ConfigError(f"source {self.name!r}: {error}") from None
            readers.append(ValueReader(name, given.column, unit, given.unit == COMPASS, self.missing, self.decimal))
        return readers

    def _deliveries(
        self,
        files: list[tuple[str, Path]],
        readers: list[ValueReader],
        span: tuple[datetime | None, datetime],
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[Delivery]:
        needed = [*self.station.columns, *self.time.columns, *(reader.column for reader in readers)]
        errors = []
        for origin, path in files:
            try:
                content = read_bytes(path, origin)
                fingerprint = self._fingerprint(content, path.name, variables)
                if fingerprint in seen:
                    continue
                table = parse_table(content, self.separator, needed, origin)
            except SourceError as error:
                errors.append(error)
                continue
            keys = self._keys(table, path.name)
            received = keys["received_at"]
            held_back = (received > span[1]).fill_null(value=False)
            old = (received <= span[0]).fill_null(value=False) if span[0] else held_back
            raw, keys = table.filter(~held_back & ~old), keys.filter(~held_back & ~old)
            yield Delivery(
                origin=origin,
                fingerprint=fingerprint,
                readings=self._readings(raw, keys, readers, variables),
                raw=raw,
                problems=self._problems(raw, keys, readers),
                complete=not (held_back | old).any(),
                receipt="assumed",
            )
        if errors:
            others = f" (and {len(errors) - 1} more files cannot be read)" if errors[1:] else ""
            raise SourceError(f"{errors[0]}{others}")

    def _keys(self, table: pl.DataFrame, file_name: str) -> pl.DataFrame:
        """READING_KEYS of every row, with the steps to them: `written`, `text` and `wall`."""
        text, wall, observed = pl.col("text"), pl.col("wall"), pl.col("observed_at")
        utc = local_to_utc(wall, self.timezone, pl.col("station_id"))
        return (
            table.select(
                row=pl.int_range(pl.len()),  # a constant station alone would make one row
                station_id=self.station.read(file_name, self.missing),
                written=self.time.as_written(),
            )
            .with_columns(text=present(pl.col("written"), self.missing))
            .with_columns(wall=parse_wall(text, self.time.format))
            .with_columns(observed_at=pl.coalesce(parse_instant(text, self.time.format), utc))
            .with_columns(received_at=observed + self.reporting_delay)
        )

    def _readings(
        self, raw: pl.DataFrame, keys: pl.DataFrame, readers: list[ValueReader], variables: Mapping[str, Variable]
    ) -> pl.DataFrame:
        values = raw.select(reader.value() for reader in readers)
        unmapped = [pl.lit(None, pl.Float64).alias(name) for name in variables if name not in self.columns]
        return keys.select(READING_KEYS.keys()).hstack(values).with_columns(unmapped).select(*READING_KEYS, *variables)

    def _problems(self, raw: pl.DataFrame, keys: pl.DataFrame, readers: list[ValueReader]) -> pl.DataFrame:
        text, wall = pl.col("text"), pl.col("wall")
        skipped = pl.format("{} does not exist in {} on that day", wall.dt.strftime("%H:%M"), pl.lit(self.timezone))
        reasons = keys.select(
            pl.when(text.is_null()).then(pl.lit("no time"))
            .when(wall.is_null()).then(pl.lit(f"no time in the form {self.time.form}"))
            .otherwise(skipped)
        ).to_series()  # fmt: skip
        no_station, no_time = keys["station_id"].is_null(), keys["observed_at"].is_null()
        station = raw[self.station.column] if self.station.column else keys["station_id"]
        return list_problems(
            [
                Complaint(", ".join(self.station.columns), no_station, station, "no station"),
                Complaint(", ".join(self.time.columns), no_time, keys["written"], reasons),
                *complaints_about_values(raw, readers),
                *complaints_about_layout(raw),
            ]
        )

    def _fingerprint(self, content: bytes, file_name: str, variables: Mapping[str, Variable]) -> str:
        """SHA-256 of the file and of all that decides how it is read."""
        reading = {
            "version": _READER_VERSION,
            "settings": self.model_dump(mode="json", exclude={"files", "station_list"}),
            "station": self.station.of_file(file_name),
            "declared": {name: variables[name].unit for name in self.columns if name not in BUILT_IN},
        }
        digest = hashlib.sha256(json.dumps(reading, sort_keys=True).encode())
        digest.update(content)
        return digest.hexdigest()
