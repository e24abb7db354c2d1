"""From the Observations of several Datastreams to wide rows: one a time, with what could not be read apart."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import polars as pl

from daycast.sources.delivery import PROBLEM_SCHEMA
from daycast.sources.tables.text_time import is_beyond_calendar, parse_instant
from daycast.sources.things.columns import Channel
from daycast.sources.things.pages import Entity
from daycast.times import BEYOND_CALENDAR

FIELDS = ("phenomenonTime", "result", "resultTime")  # of an Observation, as they are asked for and kept
_KEY = ["observed_at", "received_at", "turn"]


@dataclass(frozen=True, slots=True)
class Timing:
    """How the times of an Observation are understood."""

    reporting_delay: timedelta  # from the time it stands for to its receipt, where none is stated
    result_time_is_receipt: bool
    longest_interval: timedelta  # that one Observation may stand for


def as_table(observations: Iterable[Entity]) -> pl.DataFrame:
    """FIELDS of the Observations as text, null where null or missing; what is neither text nor null is JSON."""
    kept = list(observations)
    return pl.DataFrame(
        {field: [_as_text(observation.get(field)) for observation in kept] for field in FIELDS},
        schema=dict.fromkeys(FIELDS, pl.String),
    )


def read_observations(table: pl.DataFrame, channel: Channel, timing: Timing) -> pl.DataFrame:
    """Observations of one Channel (`as_table`), read: the same rows, ordered by result time within equal times.

    Columns: observed_at (where phenomenonTime is an interval, its end), received_at, turn (0 for the first row of these two
    times, 1 for the second …), value [daycast's unit], as_it_came (FIELDS), and fault (column, value and reason of what
    cannot be read), null where all can.
    """
    said = table.select(_ends().list.first().alias("start"), _ends().list.last().alias("end"), "resultTime")
    return (
        table.with_columns(
            as_it_came=pl.struct(FIELDS),
            beyond=is_beyond_calendar(said["start"], None) | is_beyond_calendar(said["end"], None),
            started_at=parse_instant(said["start"], None),
            observed_at=parse_instant(said["end"], None),
            resulted_at=parse_instant(said["resultTime"], None),
        )
        .with_columns(received_at=_received_at(timing), value=channel.reader.value(), fault=_fault(channel, timing))
        .sort("resulted_at", nulls_last=False, maintain_order=True)
        .with_columns(turn=pl.int_range(pl.len()).over("observed_at", "received_at"))
        .select(*_KEY, "value", "as_it_came", "fault")
    )


def in_span(observations: pl.DataFrame, after: datetime | None, end: datetime) -> pl.DataFrame:
    """The rows observed in (after, end], None meaning ever, and those whose time cannot be read."""
    observed = pl.col("observed_at")
    begun = pl.lit(value=True) if after is None else observed > after
    return observations.filter(observed.is_null() | (begun & (observed <= end)))


def join_wide(read: Sequence[tuple[Channel, pl.DataFrame]]) -> pl.DataFrame:
    """The rows of all Channels (`read_observations`) joined where their times are equal, in order of time.

    An Observation that cannot be read has a row to itself, so that it spoils no other. Columns: observed_at, received_at,
    each variable, `<variable>.as_it_came`, and fault.
    """
    sound = [_named(channel, rows.filter(pl.col("fault").is_null())).drop("fault") for channel, rows in read]
    joined = reduce(lambda left, right: left.join(right, on=_KEY, how="full", coalesce=True), sound)
    faulty = [_named(channel, rows.filter(pl.col("fault").is_not_null())) for channel, rows in read]
    return pl.concat([joined, *faulty], how="diagonal").sort(*_KEY, nulls_last=True, maintain_order=True).drop("turn")


def list_faults(wide: pl.DataFrame) -> pl.DataFrame:
    """The faults in rows of `join_wide` as problems (PROBLEM_SCHEMA)."""
    numbered = wide.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("row_number"), "fault")
    return numbered.filter(pl.col("fault").is_not_null()).unnest("fault").select(PROBLEM_SCHEMA.keys())


def _as_text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value)


def _ends() -> pl.Expr:
    """The start and the end of an interval; twice the same of an instant."""
    return pl.col("phenomenonTime").str.split("/")


def _received_at(timing: Timing) -> pl.Expr:
    observed = pl.col("observed_at")
    assumed = observed + timing.reporting_delay
    if not timing.result_time_is_receipt:
        return assumed
    stated = pl.max_horizontal("resulted_at", "observed_at")  # nothing is known before it happened
    return pl.when(observed.is_not_null()).then(
        pl.when(pl.col("resulted_at").is_null()).then(assumed).otherwise(stated)
    )


def _fault(channel: Channel, timing: Timing) -> pl.Expr:
    """The first thing wrong with a row, null where nothing is."""
    started, ended = pl.col("started_at"), pl.col("observed_at")
    no_time = "no time in ISO 8601 with its offset from UTC"
    too_long = f"stands for more than longest_interval = {timing.longest_interval}"
    no_result_time = pl.col("resultTime").is_not_null() & pl.col("resulted_at").is_null()
    faults = [
        ("phenomenonTime", pl.col("phenomenonTime").is_null(), "no time"),
        ("phenomenonTime", pl.col("beyond"), BEYOND_CALENDAR),
        ("phenomenonTime", started.is_null() | ended.is_null() | (_ends().list.len() > 2), no_time),
        ("phenomenonTime", started > ended, "an interval that ends before it begins"),
        ("phenomenonTime", ended - started > timing.longest_interval, too_long),
        ("resultTime", no_result_time & timing.result_time_is_receipt, no_time),
        ("result", channel.reader.unreadable(), channel.reader.reason),
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
    return rows.select(*_KEY, unread.alias(variable), pl.col("as_it_came").alias(f"{variable}.as_it_came"), "fault")
