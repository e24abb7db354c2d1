"""From columns of times to UTC: text, parts of a date, timestamps with or without a zone, and counts since 1970.

Order: the years that are read (`within_calendar`), wall clocks (`WallClock`: the two nights a year on which clocks change),
columns of text (`TimeColumn`, `TimeParts`), and typed columns (`InstantColumn`).
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import available_timezones

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict

from daycast.errors import SourceError, did_you_mean
from daycast.sources.tables.short_forms import ColumnName
from daycast.times import BEYOND_CALENDAR, FIRST_TIME, LAST_TIME, UTC_TIME

_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000}  # in a second; nanoseconds end in the year 2262 and need no limits


def within_calendar(times: pl.Series, epoch: Literal["s", "ms"] | None = None) -> pl.Series:
    """The times, null outside the years FIRST_TIME to LAST_TIME.

    Takes timestamps with or without a zone, or whole numbers that count since 1970 in `epoch`. .NET's empty date is in the
    year 1, the "infinity" of databases in the year 294247; Python and time zone tables fail at such times.
    """
    ticks = _TICKS.get(times.dtype.time_unit if isinstance(times.dtype, pl.Datetime) else epoch or "")
    if ticks is None:
        return times
    counts = times.to_physical().cast(pl.Int64, strict=False)
    first, last = (int(each.timestamp()) * ticks for each in (FIRST_TIME, LAST_TIME))
    inside = counts.is_between(first, last)
    return times.to_frame("time").select(pl.when(inside).then("time").alias(times.name)).to_series()


def earlier(moment: datetime, *spans: timedelta) -> datetime:
    """`moment` minus all `spans`, but never before FIRST_TIME."""
    for span in spans:
        moment = moment - span if moment - FIRST_TIME > span else FIRST_TIME
    return moment


def validate_timezone(name: str) -> str:
    """Return `name` if polars knows this time zone; raise ValueError with close matches if not."""
    try:
        pl.Series([datetime(2000, 1, 1)]).dt.replace_time_zone(name)  # noqa: DTZ001 wall time is meant
    except pl.exceptions.PolarsError:
        matches = did_you_mean(name, available_timezones())
        raise ValueError(
            f"{name!r} is not a time zone{matches}: write an IANA name, for example Europe/Berlin"
        ) from None
    return name


class WallClock:
    """Converts wall time of one zone to UTC; remembers ambiguous times from chunk to chunk of a source."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._ambiguous = pl.DataFrame(schema={"station": pl.String, "wall": pl.Datetime("us")})  # of earlier chunks

    def to_utc(self, wall: pl.Series, stations: pl.Series) -> pl.Series:
        """The instants (UTC_TIME) of naive times `wall` at these stations; null where the clock skipped that time.

        When the clock is set back, the times of one hour happen twice. The first row of a station with such a time is the
        earlier instant, any further row with it the later one. So rows must stand in the order in which they were measured.
        """
        if self._zone == "UTC":
            return wall.dt.replace_time_zone("UTC")
        earlier, later = (
            wall.dt.replace_time_zone(self._zone, ambiguous=which, non_existent="null").dt.convert_time_zone("UTC")
            for which in ("earliest", "latest")
        )
        ambiguous = (earlier != later).fill_null(value=False)
        if not ambiguous.any():
            return earlier
        rows = pl.DataFrame([stations.alias("station"), wall.alias("wall")]).filter(ambiguous)
        seen = pl.concat([self._ambiguous, rows])
        is_repeated = ~seen.select(pl.struct(pl.all()).is_first_distinct()).to_series()
        self._ambiguous = seen.unique()
        second = (
            pl.Series([False]).new_from_index(0, len(wall)).scatter(ambiguous.arg_true(), is_repeated.tail(len(rows)))
        )
        return second.to_frame("second").select(pl.when("second").then(later).otherwise(earlier)).to_series()


class WallClocks:
    """A clock for each column of times, all of the same zone."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._clocks: dict[tuple[str, ...], WallClock] = {}

    def of(self, *columns: str) -> WallClock:
        """The clock of the times in these columns."""
        return self._clocks.setdefault(columns, WallClock(self._zone))


_WALL = pl.Datetime("us")
_INSTANT = pl.Datetime("us", "UTC")
_ISO_WALL = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_ISO_INSTANT = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
_NAMES_INSTANT = re.compile(r"%(?:[:#]*z|s|\+)")  # an offset, or seconds since 1970
_PROBE = datetime(2001, 2, 13, 14, 0, tzinfo=UTC)


def parse_wall(text: pl.Series, time_format: str | None) -> pl.Series:
    """The naive time in `text`, in `time_format` (None: ISO 8601); null if it shows none, names an offset, or is out of range."""
    return within_calendar(_parse(text, time_format, _WALL))


def parse_instant(text: pl.Series, time_format: str | None) -> pl.Series:
    """The instant [UTC] that `text` names by an offset from UTC or in seconds since 1970; null if it names none.

    Null, too, for years outside FIRST_TIME to LAST_TIME.
    """
    return within_calendar(_parse(text, time_format, _INSTANT))


def is_beyond_calendar(text: pl.Series, time_format: str | None) -> pl.Series:
    """True where `text` shows a time in this format, of a year that is not read."""
    beyond = pl.repeat(False, len(text), eager=True)
    for dtype in (_WALL, _INSTANT):
        parsed = _parse(text, time_format, dtype)
        beyond |= parsed.is_not_null() & within_calendar(parsed).is_null()
    return beyond


def _parse(text: pl.Series, time_format: str | None, dtype: pl.Datetime) -> pl.Series:
    if time_format is None:
        return _parse_iso(text, dtype, _ISO_INSTANT if dtype == _INSTANT else _ISO_WALL)
    if (_NAMES_INSTANT.search(time_format) is None) == (dtype == _INSTANT):
        return _nulls(text, dtype)
    return text.to_frame("text").select(_strptime(pl.col("text"), dtype, time_format)).to_series()


def _parse_iso(text: pl.Series, dtype: pl.Datetime, forms: Iterable[str]) -> pl.Series:
    """Parse each text by the first of `forms` that fits it; later forms are tried only while texts are left."""
    parsed = _nulls(text, dtype)
    for spelling in (_without_t, _with_z):
        for form in forms:
            if parsed.null_count() > text.null_count():
                parsed = parsed.zip_with(parsed.is_not_null(), spelling(text).str.strptime(dtype, form, strict=False))
    return parsed


def _without_t(text: pl.Series) -> pl.Series:
    return text.str.replace("T", " ", literal=True)


def _with_z(text: pl.Series) -> pl.Series:
    """The text with Z in place of the other names of UTC."""
    return _without_t(text.str.replace(r"\s*(?:UTC|GMT|z)$", "Z"))


def _nulls(text: pl.Series, dtype: pl.Datetime) -> pl.Series:
    return pl.repeat(None, len(text), dtype=dtype, eager=True)


def _strptime(text: pl.Expr, dtype: pl.Datetime, time_format: str) -> pl.Expr:
    if "%H" in time_format and "%M" not in time_format:  # polars parses no hours without minutes
        text, time_format = text + " 0", time_format + " %M"
    return text.str.strptime(dtype, time_format, strict=False)


def _validate_format(time_format: str) -> str:
    """Return the format if it reads back the day that it wrote; raise ValueError if not."""
    zone = "UTC" if _NAMES_INSTANT.search(time_format) else None
    probe = pl.Series([_PROBE]).dt.replace_time_zone(zone)
    try:
        written = probe.dt.strftime(time_format).to_frame("text")
        read = written.select(_strptime(pl.col("text"), pl.Datetime("us", zone), time_format)).item()
    except pl.exceptions.PolarsError:
        read = None
    if read is None or read.date() != _PROBE.date():
        raise ValueError(f"{time_format!r} is not a date and time format: write for example '%d.%m.%Y %H:%M'")
    return time_format


class TimeColumn(BaseModel):
    """One column of text in ISO 8601 or in `format` (strptime). An offset in the text wins over the source's time zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: ColumnName
    format: Annotated[str, AfterValidator(_validate_format)] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.column,)

    @property
    def form(self) -> str:
        """What the text should look like, for people."""
        return self.format or "ISO 8601"

    def as_written(self) -> pl.Expr:
        """The text to parse."""
        return pl.col(self.column).str.strip_chars()


class TimeParts(BaseModel):
    """A column each for year, month, day, hour and, if given, minute: whole numbers, hours from 0 to 23."""

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
    def format(self) -> str:
        """The format of `as_written`."""
        return "%Y %m %d %H" if self.minute is None else "%Y %m %d %H %M"

    @property
    def form(self) -> str:
        """What the text should look like, for people."""
        return "year month day hour" if self.minute is None else "year month day hour minute"

    def as_written(self) -> pl.Expr:
        """The parts as one text; a missing part leaves too few numbers to parse."""
        parts = [pl.col(column).str.strip_chars() for column in self.columns]
        return pl.concat_str(parts, separator=" ", ignore_nulls=True)


_MICROSECONDS = {"s": 1_000_000, "ms": 1_000}


class InstantColumn(BaseModel):
    """One column of timestamps, or of whole numbers that count seconds or milliseconds since 1970 UTC (`epoch`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    epoch: Literal["s", "ms"] | None = None


def to_instants(
    times: pl.Series, epoch: Literal["s", "ms"] | None, clock: WallClock, stations: pl.Series, origin: str
) -> pl.Series:
    """The instants (UTC_TIME) of a typed column, null where there is none.

    Timestamps without a zone are read on `clock`, which also needs the `stations` of the rows. Raises SourceError naming
    `origin`, the column and its type if the column holds no times.
    """
    if times.null_count() == times.len():  # databases give a column of nulls any type
        return pl.repeat(None, times.len(), dtype=UTC_TIME, eager=True)
    _validate_type(times, epoch, origin)
    stamped = _as_timestamps(within_calendar(times, epoch), epoch)
    return stamped if stamped.dtype == UTC_TIME else clock.to_utc(stamped, stations)


def explain_no_instant(times: pl.Series, epoch: Literal["s", "ms"] | None, zone: str) -> pl.Series:
    """Why each of `times` is no instant, in words; meaningless for those that are one."""
    wall = times if isinstance(times.dtype, pl.Datetime) else pl.repeat(None, times.len(), dtype=UTC_TIME, eager=True)
    frame = pl.DataFrame(
        {
            "given": times.is_not_null(),
            "written": within_calendar(times, epoch).is_not_null(),
            "clock": writable(wall).dt.strftime("%H:%M"),
        }
    )
    return frame.select(
        pl.when(~pl.col("given")).then(pl.lit("no time"))
        .when(~pl.col("written")).then(pl.lit(BEYOND_CALENDAR))
        .otherwise(pl.format("{} does not exist in {} on that day", "clock", pl.lit(zone)))
    ).to_series()  # fmt: skip


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
    raise SourceError(f"{origin}: column {times.name!r} is of type {times.dtype}, {wanted}")


def _as_timestamps(times: pl.Series, epoch: Literal["s", "ms"] | None) -> pl.Series:
    """Timestamps in microseconds: UTC_TIME, or without a zone if the column has none."""
    if epoch:
        return (times.cast(pl.Int64) * _MICROSECONDS[epoch]).cast(UTC_TIME)
    zone = times.dtype.time_zone if isinstance(times.dtype, pl.Datetime) else None
    stamped = times.cast(pl.Datetime("us", zone))
    return stamped.dt.convert_time_zone("UTC") if zone else stamped
