"""What Open-Meteo answers, checked against what was asked.

The format: https://open-meteo.com/en/docs and https://open-meteo.com/en/docs/historical-weather-api, "JSON Return Object". One
location is an object, several are a list of such objects in the order asked for; from the second on each has its `location_id`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from daycast.errors import ConfigError, SourceError
from daycast.sources.meteo.days import Days
from daycast.sources.meteo.places import Place
from daycast.sources.tables.units import Unit, unit_of
from daycast.times import HOUR
from daycast.variables import Variable

_TIME = "time"


def read_locations(answer: Any, places: Sequence[Place]) -> list[Mapping[str, Any]]:
    """The answer's part for each place, in order. Raises SourceError where there are more or fewer, or in another order."""
    locations = answer if isinstance(answer, list) else [answer]
    if len(locations) != len(places):
        raise SourceError(f"answers for {len(locations)} locations, asked were {len(places)}")
    for index, location in enumerate(locations):
        if not isinstance(location, dict) or not isinstance(location.get("hourly"), dict):
            raise SourceError(f"has no 'hourly' for station {places[index].id!r}: does url lead to Open-Meteo?")
        if location.get("location_id", index) != index:
            raise SourceError(f"answers for location {location['location_id']!r} where {index} was expected")
        if location.get("utc_offset_seconds", 0) != 0:
            raise SourceError(f"answers in time zone {location.get('timezone')!r} though GMT was asked for")
    return locations


def read_units(
    locations: Sequence[Mapping[str, Any]], columns: Mapping[str, str], variables: Mapping[str, Variable]
) -> dict[str, Unit]:
    """The unit of each variable of `columns` (Open-Meteo's name by ours).

    Raises SourceError where one has no unit, another one at another location, or one that cannot be converted.
    """
    wanted = [_TIME, *columns.values()]
    given = [_units(location) for location in locations]
    for units in given:
        for column in wanted:
            if units.get(column) != given[0].get(column) or not isinstance(units.get(column), str):
                raise SourceError(f"says {units.get(column)!r} for the unit of {column}")
    if given[0][_TIME] != "unixtime":
        raise SourceError(f"writes times as {given[0][_TIME]!r} though unixtime was asked for")
    try:
        return {name: unit_of(variables[name], given[0][column]) for name, column in columns.items()}
    except ConfigError as error:
        raise SourceError(f"gives {error}") from None


def read_hours(location: Mapping[str, Any], place: Place, columns: Sequence[str], days: Days) -> pl.DataFrame:
    """The rows of one place as they came: station_id, time [seconds since 1970, UTC] and `columns`; nulls are missing.

    Raises SourceError for a column that is absent, of another length than the times or not made of numbers, and for times
    that are not full hours of `days`, each once and in order.
    """
    hourly = location["hourly"]
    absent = [column for column in (_TIME, *columns) if not isinstance(hourly.get(column), list)]
    if absent:
        raise SourceError(f"sends no {absent[0]} for station {place.id!r}")
    count = len(hourly[_TIME])
    for column in columns:
        if len(hourly[column]) != count:
            raise SourceError(
                f"sends {len(hourly[column])} values of {column} for {count} hours of station {place.id!r}"
            )
    times = _series(_TIME, hourly[_TIME], pl.Int64(), place)
    _validate_times(times, place, days)
    values = [_series(column, hourly[column], pl.Float64(), place) for column in columns]
    stations = pl.repeat(place.id, count, dtype=pl.String(), eager=True).alias("station_id")
    return pl.DataFrame([stations, times, *values])


def _units(location: Mapping[str, Any]) -> Mapping[str, Any]:
    units = location.get("hourly_units")
    return units if isinstance(units, dict) else {}


def _series(column: str, values: list[Any], dtype: pl.DataType, place: Place) -> pl.Series:
    try:
        return pl.Series(column, values, dtype=dtype, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        kinds = {int} if dtype.is_integer() else {int, float}
        odd = next((value for value in values if value is not None and not _fits(value, kinds)), values)
        raise SourceError(
            f"sends {repr(odd)[:40]} in {column} of station {place.id!r}, which is no number of 64 bits"
        ) from None


def _fits(value: Any, kinds: Collection[type]) -> bool:
    return type(value) in kinds and abs(value) < 2**63


def _validate_times(times: pl.Series, place: Place, days: Days) -> None:
    begin, end, hour = (int(each) for each in (days.begin.timestamp(), days.end.timestamp(), HOUR.total_seconds()))
    if times.null_count() or not (times.diff().drop_nulls() > 0).all():
        raise SourceError(f"sends hours of station {place.id!r} that are missing, repeated or out of order")
    strange = times.filter((times < begin) | (times >= end) | (times % hour != 0))
    if not strange.is_empty():
        raise SourceError(f"sends time {strange[0]} for station {place.id!r}, which is no full hour of {days}")
