"""The settings that say which columns hold times, and their way to UTC.

Order: columns of text (`TimeColumn`, `TimeParts`), then typed columns (`InstantColumn`): timestamps with or without a zone, and
counts since 1970. How text is read is in time_text.py, wall clocks are in wall_clock.py.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

import polars as pl
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_serializer, model_validator
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from daycast.sources.tables.short_forms import ColumnName, Duration, list_if_bare
from daycast.sources.tables.time_text import (
    MICROSECONDS,
    Epoch,
    is_beyond_calendar,
    is_day_alone,
    parse_epoch,
    parse_instant,
    parse_wall,
    shows_clock,
    validate_format,
    within_calendar,
)
from daycast.sources.tables.values import WrongTypeError
from daycast.sources.tables.wall_clock import TOLD_TWICE, Instants, WallClock
from daycast.times import BEYOND_CALENDAR, DAY, EPOCH, FIRST_TIME, UTC_TIME

Tolerance = Annotated[
    Duration, Field(lt=timedelta(minutes=30))
]  # that a stamp may lie after the full hour it counts for
_JUST_AFTER = timedelta(days=60)  # seconds of these days, taken for milliseconds, are in the first weeks of 1970
_YEAR_US = 31_556_952_000_000  # microseconds
_WAY_OUT = ': see whether the format, the epoch ("s" or "ms") and the timezone are right'
_ISO = r"^\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d)?$"
_DAY_0, _SERIALS = datetime(1899, 12, 30), (20_000, 80_000)  # noqa: DTZ001 spreadsheets know no time zones
_SERIAL = "{}; as a spreadsheet counts days, {} is {}: give the column a format of date and time there, and save the file again"
_DATE_CELL = (
    "{}, and in ISO 8601 as the dates of a spreadsheet are: leave format out if all are dates; where others are text, it has "
    "taken days for months in some, so have it show all as text, or import them again"
)
_UNITS = {"s": "seconds", "ms": "milliseconds"}
_DAY_ALONE = (
    "a day without a clock: name the column of the clock too, time.columns = [day, clock], or set time.daily = true"
)


def earlier(moment: datetime, *spans: timedelta) -> datetime:
    """`moment` minus all `spans`, but never before FIRST_TIME."""
    for span in spans:
        moment = moment - span if moment - FIRST_TIME > span else FIRST_TIME
    return moment


def _in_days() -> pl.Expr:
    """What a spreadsheet shows for the number in `text`, which counts days; null unless it is a time of about these decades."""
    days = pl.col("text").str.extract(r"^(\d{5}(?:[.,]\d+)?)$").str.replace(",", ".", literal=True).cast(pl.Float64)
    seconds = pl.when(days.is_between(*_SERIALS)).then((days * DAY.total_seconds()).round())
    return (pl.lit(_DAY_0) + pl.duration(seconds=seconds.cast(pl.Int64))).dt.strftime("%Y-%m-%d %H:%M:%S")


class TimeColumn(BaseModel):
    """One column of text, or several joined by a blank, in ISO 8601 or in `format` (strptime).

    An offset in the text wins over the source's time zone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: ColumnName | None = None
    columns: Annotated[
        tuple[ColumnName, ...], BeforeValidator(list_if_bare)
    ] = ()  # that are read; `column` alone if that is given
    format: Annotated[str, AfterValidator(validate_format)] | None = None
    epoch: Epoch | None = None  # the text counts seconds or milliseconds since 1970 UTC
    daily: bool = (
        False  # a row stands for a day: a day without a clock is its midnight; otherwise such a time is refused
    )

    @model_validator(mode="before")
    @classmethod
    def _one_is_several(cls, given: Any) -> Any:
        if not isinstance(given, dict) or ("column" in given) == bool(given.get("columns")):
            raise ValueError("give exactly one of column and columns")
        return {**given, "columns": given["column"]} if "column" in given else given

    @model_validator(mode="after")
    def _validate(self) -> "TimeColumn":
        if self.epoch and (self.format or self.daily or len(self.columns) > 1):
            raise ValueError("epoch counts in one column of numbers: leave format, daily and further columns out")
        if self.format and not self.daily and not shows_clock(self.format):
            raise ValueError(
                f"{self.format!r} has no clock: add its column, for example columns = [day, clock], and its format, "
                "for example '%d.%m.%Y %H:%M'; or set daily = true if a row stands for a day"
            )
        return self

    @model_serializer(mode="wrap")
    def _leave_out_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without settings that are unset and were not always there, so that fingerprints stay the same."""
        always = {"column", "format"}
        return {
            name: value
            for name, value in handler(self).items()
            if name in always or (value and not (name == "columns" and self.column))
        }

    @property
    def counts(self) -> Epoch | None:
        """What the text counts since 1970, if it does."""
        return self.epoch or ("s" if self.format == "%s" else None)

    @property
    def form(self) -> str:
        """What the text should look like, for people."""
        return f"{_UNITS[self.epoch]} since 1970" if self.epoch else self.format or "ISO 8601"

    @property
    def as_text(self) -> "TimeColumn":
        """Itself, as other ways to write a time are turned into one text."""
        return self

    def as_written(self) -> pl.Expr:
        """The text to parse."""
        parts = [pl.col(column).str.strip_chars() for column in self.columns]
        return parts[0] if len(parts) == 1 else pl.concat_str(parts, separator=" ", ignore_nulls=True)

    def read_instants(self, text: pl.Series) -> pl.Series:
        """The instant [UTC] that each text names by itself; null if it names none."""
        return parse_epoch(text, self.epoch) if self.epoch else parse_instant(text, self.format)

    def read_walls(self, text: pl.Series) -> pl.Series:
        """The naive time that each text shows; null if it shows none."""
        if self.epoch:
            return pl.repeat(None, len(text), dtype=pl.Datetime("us"), eager=True)
        return parse_wall(text, self.format, daily=self.daily)

    def explain(self, text: pl.Series) -> pl.Series:
        """Why each text is no time; meaningless for a text that is one."""
        if self.epoch:
            counts = text.cast(pl.Int64, strict=False)
            beyond = counts.is_not_null() & within_calendar(counts, self.epoch).is_null()
        else:
            beyond = is_beyond_calendar(text, self.format)
        iso = self.format is None and self.epoch is None and not self.daily
        frame = pl.DataFrame({"text": text, "beyond": beyond, "day": is_day_alone(text) if iso else None})
        is_date = text.str.contains(_ISO) if self.format else pl.lit(value=False)
        frame = frame.with_columns(is_date.alias("date"))
        no_time = pl.lit(f"no time in the form {self.form}")
        return frame.select(
            pl.when(pl.col("text").is_null()).then(pl.lit("no time"))
            .when("beyond").then(pl.lit(BEYOND_CALENDAR))
            .when(pl.col("day").fill_null(value=False)).then(pl.lit(_DAY_ALONE))
            .when(pl.col("date")).then(pl.format(_DATE_CELL, no_time))
            .when(_in_days().is_not_null()).then(pl.format(_SERIAL, no_time, "text", _in_days()))
            .otherwise(no_time)
        ).to_series()  # fmt: skip


class TimeParts(BaseModel):
    """A column each for year, month, day, hour and, if given, minute: whole numbers, hours from 0 to 24, which is midnight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    year: ColumnName
    month: ColumnName
    day: ColumnName
    hour: ColumnName
    minute: ColumnName | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        parts = (self.year, self.month, self.day, self.hour)
        return parts if self.minute is None else (*parts, self.minute)

    @property
    def as_text(self) -> TimeColumn:
        """The parts joined to one text in a format; a missing part leaves too few numbers to parse."""
        form = "%Y %m %d %H" if self.minute is None else "%Y %m %d %H %M"
        return TimeColumn.model_validate({"columns": self.columns, "format": form})


class InstantColumn(BaseModel):
    """One column of timestamps, or of whole numbers that count seconds or milliseconds since 1970 UTC (`epoch`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    epoch: Epoch | None = None


def to_instants(
    times: pl.Series,
    epoch: Epoch | None,
    clock: WallClock,
    keys: pl.Series,
    origin: str,
    latest: pl.Series | None = None,
) -> Instants:
    """The instants of a typed column, null where there is none.

    Timestamps without a zone are read on `clock`, which needs the `keys` of the rows and how late they can be (`latest`). Raises
    WrongTypeError naming `origin`, the column and its type if the column holds no times.
    """
    none = pl.repeat(None, times.len(), dtype=UTC_TIME, eager=True)
    if times.null_count() == times.len():  # databases give a column of nulls any type
        return Instants(none, none)
    _validate_type(times, epoch, origin)
    stamped = _as_timestamps(within_calendar(times, epoch), epoch)
    return Instants(stamped, none) if stamped.dtype == UTC_TIME else clock.to_utc(stamped, keys, latest)


def explain_no_instant(times: pl.Series, epoch: Epoch | None, zone: str, came_twice: pl.Series) -> pl.Series:
    """Why each of `times` is no instant, in words; meaningless for those that are one. came_twice: the clock was set back."""
    wall = times if isinstance(times.dtype, pl.Datetime) else pl.repeat(None, times.len(), dtype=UTC_TIME, eager=True)
    frame = pl.DataFrame(
        {
            "given": times.is_not_null(),
            "written": within_calendar(times, epoch).is_not_null(),
            "clock": writable(wall).dt.strftime("%H:%M"),
            "twice": came_twice,
        }
    )
    return frame.select(
        pl.when(~pl.col("given")).then(pl.lit("no time"))
        .when(~pl.col("written")).then(pl.lit(BEYOND_CALENDAR))
        .when("twice").then(pl.lit(TOLD_TWICE))
        .otherwise(pl.format("{} does not exist in {} on that day", "clock", pl.lit(zone)))
    ).to_series()  # fmt: skip


def doubt_stamps(written: pl.Series, stamped: pl.Series, until: datetime, epoch: Epoch | None) -> list[str]:
    """One line if all rows are stamped later than `until`, or just after 1970: a format, or a unit that counts, is wrong.

    written: the times as the source has them, of any type. stamped: what they were taken for, null where that is no time.
    epoch: what is counted in `written`, if it counts.
    """
    at, counts = stamped.drop_nulls(), written.drop_nulls()
    if at.is_empty() and epoch and len(counts):
        return _doubt_counts(counts.cast(pl.Int64, strict=False).drop_nulls(), epoch)
    if at.is_empty():
        return []
    first: datetime = at.min()  # type: ignore[assignment]
    last: datetime = at.max()  # type: ignore[assignment]
    if first <= until and not (first > EPOCH and last < EPOCH + _JUST_AFTER):
        return []
    value, taken_for = time_as_text(written.filter(stamped.is_not_null()).head(1))[0], at[0]
    seen = "later than now" if first > until else "just after 1970"
    return [f"all {len(at):,} rows are stamped {seen}: {value} was taken for {taken_for:%Y-%m-%dT%H:%MZ}{_WAY_OUT}"]


def _doubt_counts(counts: pl.Series, epoch: Epoch) -> list[str]:
    """The same if all counts lie beyond the calendar."""
    if counts.is_empty() or counts.min() < 0:  # type: ignore[operator]
        return []
    year = EPOCH.year + int(counts[0] * MICROSECONDS[epoch] // _YEAR_US)
    return [f"all {len(counts):,} rows are stamped later than now: {counts[0]} was taken for the year {year}{_WAY_OUT}"]


def writable(column: pl.Series) -> pl.Series:
    """The column, null where a timestamp is outside the years that are read, such as the "infinity" of databases."""
    return within_calendar(column) if isinstance(column.dtype, pl.Datetime) else column


def time_as_text(times: pl.Series) -> pl.Series:
    """The times or counts as text; a time outside the calendar as the number that stores it."""
    frame = pl.DataFrame({"written": writable(times).cast(pl.String), "kept": times.to_physical().cast(pl.String)})
    return frame.select(pl.coalesce("written", "kept")).to_series()


def _validate_type(times: pl.Series, epoch: str | None, origin: str) -> None:
    counts = times.dtype.is_integer()
    if counts if epoch else isinstance(times.dtype, pl.Datetime):
        return
    if epoch:
        wanted = f"not of the whole numbers that time.epoch = {epoch!r} announces"
    elif counts:
        wanted = 'not a timestamp; if it counts seconds or milliseconds since 1970, add epoch = "s" or "ms"'
    else:
        wanted = "but a time must be a timestamp, with date and time"
    raise WrongTypeError.of(times.name, times.dtype, "epoch" if epoch else "time", wanted, origin)


def _as_timestamps(times: pl.Series, epoch: Epoch | None) -> pl.Series:
    """Timestamps in microseconds: UTC_TIME, or without a zone if the column has none."""
    if epoch:
        return (times.cast(pl.Int64) * MICROSECONDS[epoch]).cast(UTC_TIME)
    zone = times.dtype.time_zone if isinstance(times.dtype, pl.Datetime) else None
    stamped = times.cast(pl.Datetime("us", zone))
    return stamped.dt.convert_time_zone("UTC") if zone else stamped
