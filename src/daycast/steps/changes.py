"""What has changed since a model was trained, so that another training is due at once: sources, variables, targets, stations."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from daycast.errors import NotEnoughDataError
from daycast.features.splits import split_hours
from daycast.model.checkpoint import read_header
from daycast.model.fit import choose_reported
from daycast.model.forecaster import Header
from daycast.settings import Settings
from daycast.steps.serving import read_serving_stations
from daycast.times import FIRST_TIME, HORIZON_HOURS, HOUR, floor_hour, hours_between
from daycast.warehouse.observations import count_hours, read_extent, read_first_values, read_stations

_FIRST_LOOK = timedelta(days=7)
_LEAST_H = 2 * HORIZON_HOURS  # of a station's history: a day to read and a day to learn from
_NAMED = 3  # stations and variables that are named; the rest is counted


def read_header_or_none(checkpoint: Path) -> Header | None:
    """The header of a checkpoint; None if it cannot be read, in whatever way it is damaged."""
    try:
        return read_header(checkpoint)
    except Exception:  # noqa: BLE001 - it may be damaged in any way
        return None


def is_foreign(header: Header, stations: pl.DataFrame) -> bool:
    """Whether a model was trained on none of these stations, of which there are some."""
    return not stations.is_empty() and not set(header.stations) & set(stations["station_id"])


def unmeasured(settings: Settings) -> list[str]:
    """The variables that no source of readings is asked for."""
    measured = frozenset[str]().union(*settings.measured.values())
    return [name for name in settings.glossary if name not in measured]


def list_changes(con: duckdb.DuckDBPyConnection, settings: Settings, header: Header, now: datetime) -> tuple[str, ...]:
    """What is different now from what the model with this header was trained on, in words. A training that is made now has no
    difference: what it could not learn yet is no change.
    """
    serving = read_serving_stations(con, settings)
    if serving.is_empty():
        return ()
    changes = [
        (_retired(con, header, serving), "no longer served"),
        (_new_stations(con, header, serving, now), "never seen by the model"),
        *_changed_variables(con, settings, header, serving, now),
    ]
    return tuple(f"{_listed(names)} {what}" for names, what in changes if names)


def _retired(con: duckdb.DuckDBPyConnection, header: Header, serving: pl.DataFrame) -> list[str]:
    """The stations that the model was trained on and that are retired now."""
    listed = set(read_stations(con)["station_id"]) - set(serving["station_id"])
    return [station for station in header.stations if station in listed]


def _new_stations(con: duckdb.DuckDBPyConnection, header: Header, serving: pl.DataFrame, now: datetime) -> list[str]:
    """The stations that a training could learn from and that the model was not trained on.

    If it was trained on none of those that report, whatever they have counts.
    """
    unseen = serving.filter(~pl.col("station_id").is_in(list(header.stations)))
    if unseen.is_empty():
        return []
    least = 1 if len(unseen) == len(serving) else _LEAST_H
    learnable, left = set[str](), unseen
    for since in (now - _FIRST_LOOK, FIRST_TIME):  # the newest hours are enough for most
        hours = count_hours(con, left, since, now)
        learnable |= {station for station, count in hours.items() if count >= least}
        left = left.filter(~pl.col("station_id").is_in(learnable))
    return [station for station in unseen["station_id"] if station in learnable]


def _changed_variables(
    con: duckdb.DuckDBPyConnection, settings: Settings, header: Header, serving: pl.DataFrame, now: datetime
) -> list[tuple[list[str], str]]:
    """Variables and targets that a training would use now and the model does not, or the other way round."""
    absent = set(unmeasured(settings))
    known = {channel.variable for channel in header.channels} - absent
    candidates = [name for name in settings.glossary if name not in known | absent]
    named = [name for name in (*settings.model.targets, *settings.model.inputs) if name not in absent]
    reported = known | set(_learnable(con, settings, serving, candidates, now)) | set(named)
    targets, others = choose_reported(
        [variable for name, variable in settings.glossary.items() if name in reported], settings.model
    )
    chosen, wanted = {variable.name for variable in (*targets, *others)}, {variable.name for variable in targets}
    read = {channel.variable for channel in header.channels}
    forecast = set(header.targets)
    return [
        (sorted(wanted - forecast), "to forecast, which the model does not"),
        (sorted(forecast - wanted), "not to be forecast any more"),
        (sorted(chosen - read - wanted), "to read, which the model does not"),
        (sorted(read - chosen - forecast), "not to be read any more"),
    ]


def _learnable(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    serving: pl.DataFrame,
    candidates: Sequence[str],
    now: datetime,
) -> Collection[str]:
    """Of these variables those with a value in the hours that a training now would learn from."""
    first, last = read_extent(con, now, serving)
    if first is None or last is None or not candidates:
        return ()
    until = _end_of_training(settings, first, min(last, floor_hour(now)))
    return [name for name, since in read_first_values(con, serving, candidates, now).items() if since < until]


def _end_of_training(settings: Settings, first: datetime, last: datetime) -> datetime:
    """The end, exclusive, of the hours that a training on [first, last] learns from."""
    model = settings.model
    try:
        split = split_hours(
            hours_between(first, last) + 1, model.validation_days, model.holdout_days, model.least_training_days
        )
    except NotEnoughDataError:
        return last + HOUR
    return first + split.train.end * HOUR


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}:"
