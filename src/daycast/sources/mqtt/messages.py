"""What MQTT messages say: from topics and JSON payloads to rows of readings.

Paths into a payload are JSONPath (RFC 9535, as polars reads it): `$` is the whole payload, `$.a.b` a member, `$.a[0]` an
element. Topics are filters of MQTT (version 3.1.1, section 4.7), in which the level `{station}` names the station.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from daycast.errors import ConfigError, did_you_mean
from daycast.sources.batch import READING_KEYS, Problem
from daycast.sources.tables.time_text import (
    MICROSECONDS,
    is_beyond_calendar,
    parse_instant,
    parse_wall,
    within_calendar,
)
from daycast.sources.tables.units import COMPASS, Unit, compass_to_degrees, says_no_direction, unit_of
from daycast.sources.tables.values import parse_number, strip_missing
from daycast.sources.tables.wall_clock import Instants, WallClocks
from daycast.times import BEYOND_CALENDAR, UTC_TIME
from daycast.variables import Variable

_STATION = "{station}"
_SHOWN = 100  # characters of an example


def _validate_path(path: str) -> str:
    """Return the JSONPath; raise ValueError if it is none."""
    try:
        pl.Series(["{}"]).str.json_path_match(path)
    except pl.exceptions.PolarsError:
        raise ValueError(
            f"{path!r} is no JSONPath: write $ for the whole payload, or for example $.sensor.temp"
        ) from None
    return path


JsonPath = Annotated[str, AfterValidator(_validate_path)]


def path_if_bare(value: Any) -> Any:
    """`{"path": value}` if `value` is a JSONPath; otherwise `value` unchanged."""
    return {"path": value} if isinstance(value, str) and value.startswith("$") else value


class PayloadTime(BaseModel):
    """Where the time of observation is: ISO 8601, or a number of seconds or milliseconds since 1970 UTC (`epoch`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: JsonPath
    epoch: Literal["s", "ms"] | None = None

    @property
    def form(self) -> str:
        """What it should look like, for people."""
        return f"a number of {self.epoch} since 1970" if self.epoch else "ISO 8601"


class PayloadValue(BaseModel):
    """Where the value of a variable is; it stands for `value * factor + offset` in `unit`, daycast's own if that is unset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: JsonPath
    unit: str | None = None
    factor: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    offset: Annotated[float, Field(allow_inf_nan=False)] = 0.0


class MessageRule(BaseModel):
    """A `[[sources.messages]]` table: a topic, and where its messages have station, time and values.

    Without `time` a message counts as observed when it was received, which is late where it had waited at the broker. That is
    a doubt, unless time = "arrival" says that it is meant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str  # a filter with + and #; the level {station} names the station
    station: str | None = None  # where the topic does not: a JSONPath, or the name itself
    time: Annotated[PayloadTime | Literal["arrival"] | None, BeforeValidator(path_if_bare)] = None
    columns: Annotated[dict[str, Annotated[PayloadValue, BeforeValidator(path_if_bare)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _validate_topic(self) -> "MessageRule":
        levels = self.topic.split("/")
        for number, level in enumerate(levels, 1):
            whole = level in {"+", _STATION} or (level == "#" and number == len(levels))
            if not whole and re.search(r"[+#{}\0]", level):
                raise ValueError(
                    f"{self.topic!r} is no topic filter: +, # and {_STATION} stand for whole levels, # for the last"
                )
        if not self.topic or levels.count(_STATION) > 1:
            raise ValueError(f"{self.topic!r} is no topic filter with {_STATION} once")
        if (self.station is None) != (_STATION in levels):
            raise ValueError(
                f"say where the station is: {_STATION} as a level of topic, or station = a JSONPath or its name"
            )
        if self.station is not None and self.station.startswith("$"):
            _validate_path(self.station)
        return self

    @property
    def stamp(self) -> PayloadTime | None:
        """Where the time is; None if a message counts as observed when it was received."""
        return self.time if isinstance(self.time, PayloadTime) else None

    @property
    def subscription(self) -> str:
        """The topic filter as the broker reads it."""
        return self.topic.replace(_STATION, "+")

    @property
    def pattern(self) -> str:
        """A regular expression of the topics that match, with the station as its only group, if the topic names it."""
        *above, last = self.topic.split("/")
        levels = [_level_pattern(level) for level in above]
        if last == "#":  # also the level above
            return "^" + "/".join(levels) + ("(?:/.*)?$" if levels else ".*$")
        return "^" + "/".join([*levels, _level_pattern(last)]) + "$"


def _level_pattern(level: str) -> str:
    named = {"+": "[^/]*", _STATION: "([^/]*)"}
    return named.get(level) or pl.escape_regex(level)


@dataclass(frozen=True)
class PayloadReader:
    """Reads one variable from the text at its path, in the column `given`."""

    variable: str
    unit: Unit
    said: PayloadValue

    @property
    def given(self) -> str:
        """The name of the column of text."""
        return f"{self.variable} given"

    def value(self) -> pl.Expr:
        """The variable [daycast's unit], null where missing or unreadable."""
        return self.unit.to_daycast(self._number() * self.said.factor + self.said.offset).alias(self.variable)

    def unreadable(self) -> pl.Expr:
        """True where there is text that is no value."""
        text = self._text()
        no_direction = says_no_direction(text) if self._compass else pl.lit(value=False)
        return (text.is_not_null() & self._number().is_null() & ~no_direction).alias(f"{self.variable} unreadable")

    @property
    def reason(self) -> str:
        """What is wrong with unreadable text."""
        return "no point of the compass" if self._compass else "no finite number"

    @property
    def _compass(self) -> bool:
        return self.said.unit == COMPASS

    def _text(self) -> pl.Expr:
        return strip_missing(pl.col(self.given), ())

    def _number(self) -> pl.Expr:
        return compass_to_degrees(self._text()) if self._compass else parse_number(self._text(), ".")


def readers_of(source: str, rule: MessageRule, variables: Mapping[str, Variable]) -> list[PayloadReader]:
    """A reader for each mapped variable. Raises ConfigError for a variable or unit that does not exist."""
    readers = []
    for name, said in rule.columns.items():
        if name not in variables:
            matches = did_you_mean(name, variables)
            raise ConfigError(
                f"source {source!r}: {name!r} is not a variable{matches}; there are: {', '.join(variables)}"
            )
        try:
            readers.append(PayloadReader(name, unit_of(variables[name], said.unit), said))
        except ConfigError as error:
            raise ConfigError(f"source {source!r}: {error}") from None
    return readers


@dataclass(frozen=True)
class Timing:
    """How times are understood."""

    until: datetime  # nothing is known later
    reporting_delay: timedelta
    clocks: WallClocks
    zone: str  # of times without an offset


@dataclass(frozen=True)
class Read:
    """What messages say: rows in the order of the messages; those stamped later than `until` are counted and left out.

    `waits` has the number of each message left out; `doubts` say what is odd.
    """

    readings: pl.DataFrame  # READING_KEYS and a column for each variable, `number` of the message, and later_at if any
    raw: pl.DataFrame  # topic and payload
    problems: list[Problem]
    bad_values: list[Problem]
    waits: pl.Series
    doubts: list[str]


def read_messages(
    rule: MessageRule, messages: pl.DataFrame, readers: Sequence[PayloadReader], missing: Sequence[str], timing: Timing
) -> Read:
    """The rows of the messages that match `rule`; those without any value, and without a fault, are left out.

    messages: number, topic, payload (text) and arrived_at (UTC_TIME), in the order in which they came. missing: texts that
    stand for no value, as a whole payload or at a path.
    """
    table = _take_apart(rule, messages.filter(pl.col("topic").str.contains(rule.pattern)), readers, missing)
    observed, later = _observed(rule, table, timing)
    table = table.with_columns(observed.alias("observed_at"), later_at=later).with_columns(
        received_at=pl.min_horizontal(pl.col("observed_at") + timing.reporting_delay, pl.lit(timing.until, UTC_TIME))
    )
    late = (table["observed_at"] > timing.until).fill_null(value=False)
    waiting, table = table.filter(late), table.filter(~late)
    values = table.select(reader.value() for reader in readers)
    problems, bad_values = list(_problems(rule, table, readers, timing)), list(_bad_values(table, readers))
    kept = values.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    for problem in [*problems, *bad_values]:
        kept |= problem.where
    twice = ["later_at"] if later.is_not_null().any() else []
    return Read(
        readings=table.select("number", *READING_KEYS, *twice).hstack(values).filter(kept),
        raw=table.select("topic", "payload").filter(kept),
        problems=[_of(kept, one) for one in problems],
        bad_values=[_of(kept, one) for one in bad_values],
        waits=waiting["number"],
        doubts=[*_doubt_waiting(rule, waiting), *_doubt_arrival(rule, table), *_doubt_empty(rule, table, kept)],
    )


def _take_apart(
    rule: MessageRule, messages: pl.DataFrame, readers: Sequence[PayloadReader], missing: Sequence[str]
) -> pl.DataFrame:
    """The messages with is_json, station_id, `said` (the time as text) and a column `given` of each reader."""
    table = messages.with_columns(stated=strip_missing(pl.col("payload"), missing))
    stated = pl.col("stated")

    def at(path: str) -> pl.Expr:
        return strip_missing(stated.str.json_path_match(path), missing)

    return table.with_columns(
        is_json=stated.is_null() | stated.str.json_path_match("$").is_not_null() | (stated == "null"),
        station_id=_station(rule, at),
        said=at(rule.stamp.path) if rule.stamp else pl.lit(None, pl.String),
        **{reader.given: at(reader.said.path) for reader in readers},
    )


def _of(kept: pl.Series, problem: Problem) -> Problem:
    """The problem of the rows that are kept."""
    reason = problem.reason if isinstance(problem.reason, str) else problem.reason.filter(kept)
    return replace(problem, where=problem.where.filter(kept), value=problem.value.filter(kept), reason=reason)


def _station(rule: MessageRule, at: Callable[[str], pl.Expr]) -> pl.Expr:
    if rule.station is None:
        return strip_missing(pl.col("topic").str.extract(rule.pattern, 1), ())
    return at(rule.station) if rule.station.startswith("$") else pl.repeat(rule.station, pl.len(), dtype=pl.String)


def _observed(rule: MessageRule, table: pl.DataFrame, timing: Timing) -> Instants:
    none = pl.repeat(None, len(table), dtype=UTC_TIME, eager=True)
    if rule.stamp is None:
        return Instants(table["arrived_at"], none)
    said = table["said"].str.strip_chars()
    if rule.stamp.epoch:
        counts = said.cast(pl.Float64, strict=False) * MICROSECONDS[rule.stamp.epoch]
        return Instants(within_calendar(counts.round().cast(pl.Int64, strict=False).cast(UTC_TIME)), none)
    at, later = timing.clocks.of(rule.topic).to_utc(parse_wall(said, None), table["station_id"], timing.until)
    return Instants(pl.select(pl.coalesce(parse_instant(said, None), at)).to_series(), later)


def _problems(
    rule: MessageRule, table: pl.DataFrame, readers: Sequence[PayloadReader], timing: Timing
) -> Iterator[Problem]:
    """The faults of each row; a payload that is no JSON has no other, and one without any value has none."""
    is_json, payload = table["is_json"], table["payload"]
    says = table.select(pl.any_horizontal(pl.col(reader.given).is_not_null() for reader in readers)).to_series()
    yield Problem("payload", ~is_json, payload, "no JSON")
    yield Problem("station", says & table["station_id"].is_null(), payload, "no station")
    if rule.stamp is not None:
        form = f"no time in the form {rule.stamp.form}" + (
            "" if rule.stamp.epoch else f", in {timing.zone} without an offset"
        )
        beyond = is_beyond_calendar(table["said"], None)
        told = pl.when(table["said"].is_null()).then(pl.lit("no time")).when(beyond).then(pl.lit(BEYOND_CALENDAR))
        reason = table.select(told.otherwise(pl.lit(form)).alias("reason")).to_series()
        yield Problem(rule.stamp.path, says & table["observed_at"].is_null(), table["said"], reason)


def _bad_values(table: pl.DataFrame, readers: Sequence[PayloadReader]) -> Iterator[Problem]:
    """The values that cannot be read."""
    for reader in readers:
        unreadable = table.select(reader.unreadable()).to_series()
        yield Problem(reader.said.path, unreadable, table[reader.given], reader.reason)


def _doubt_waiting(rule: MessageRule, waiting: pl.DataFrame) -> list[str]:
    if waiting.is_empty():
        return []
    last = waiting.sort("observed_at").row(-1, named=True)
    example = f"{last['said']} by {last['topic']}"
    what = f"messages on {rule.topic} are stamped later than now, for example {example}: they stay at the broker until then"
    return [f"{what}, and many of them hold up all others; set the device's clock, or the offset that it writes"]


def _doubt_arrival(rule: MessageRule, table: pl.DataFrame) -> list[str]:
    if rule.time is not None or table.is_empty():
        return []
    what = (
        f"messages on {rule.topic} carry no time: what had waited at the broker counts as observed when it was fetched"
    )
    return [
        f'{what}; have the device send its time, and name it in time; or set time = "arrival" if that is good enough'
    ]


def _doubt_empty(rule: MessageRule, table: pl.DataFrame, kept: pl.Series) -> list[str]:
    if table.is_empty() or kept.any():
        return []
    last = table.row(-1, named=True)
    paths = ", ".join(dict.fromkeys(value.path for value in rule.columns.values()))
    example = f"{last['topic']} {last['payload'][:_SHOWN]}"
    return [f"no message on {rule.topic} has a value at {paths}, for example {example}: see columns"]
