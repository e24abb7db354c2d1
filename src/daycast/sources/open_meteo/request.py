"""One request to Open-Meteo: some places over some days, the checks of its response, and the batch that it makes.

The format is described at https://open-meteo.com/en/docs and https://open-meteo.com/en/docs/historical-weather-api, "JSON
Return Object". One location is an object. Several are a list of such objects, in the order asked for; from the second on,
each has its `location_id`.

Order: `Days`, the parts of a response (`read_locations`, `read_units`, `read_hours`), and `Request`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any

import polars as pl

from daycast.errors import ConfigError, SourceError
from daycast.sources.batch import READING_KEYS, SourceBatch, fingerprint, no_problems
from daycast.sources.http.client import Client
from daycast.sources.open_meteo.places import FORMAT_PARAMS, Place, position_params
from daycast.sources.tables.units import Unit, unit_of
from daycast.times import DAY, HOUR, UTC_TIME
from daycast.variables import Variable


@dataclass(frozen=True)
class Days:
    """Whole days, UTC, from `first` to `last`, both included, as Open-Meteo counts them."""

    first: date
    last: date

    @property
    def begin(self) -> datetime:
        """The first instant."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def end(self) -> datetime:
        """The instant after the last."""
        return datetime.combine(self.last, time(), UTC) + DAY

    def __str__(self) -> str:
        return f"{self.first:%Y-%m-%d}..{self.last:%Y-%m-%d}"


def split_days(days: Days, length: int) -> Iterator[Days]:
    """`days` in order, without gap or overlap, in parts of at most `length` days.

    A part ends before each day whose number is a multiple of `length`, counted from 1 January of year 1. So the cuts do not
    depend on where `days` begin, and a part in the middle is the same in every run.
    """
    first = days.first
    while first <= days.last:
        last = min(date.fromordinal((first.toordinal() // length + 1) * length - 1), days.last)
        yield Days(first, last)
        first = last + timedelta(days=1)


_TIME = "time"


def read_locations(response: Any, places: Sequence[Place]) -> list[Mapping[str, Any]]:
    """The response for each place, in order.

    Raises SourceError if it is an error, which comes with status 200 too, or if places are missing, added or in another order.
    """
    locations = response if isinstance(response, list) else [response]
    for location in locations:
        if isinstance(location, dict) and location.get("error"):
            raise SourceError(f"answers with an error: {_reason(location)}")
    if len(locations) != len(places):
        raise SourceError(f"answers for {len(locations)} locations instead of {len(places)}")
    for index, location in enumerate(locations):
        if not isinstance(location, dict) or not isinstance(location.get("hourly"), dict):
            raise SourceError(f"has no 'hourly' for station {places[index].id!r}: does url lead to Open-Meteo?")
        if location.get("location_id", index) != index:
            raise SourceError(f"answers for location {location['location_id']!r} where {index} was expected")
        if location.get("utc_offset_seconds", 0) != 0:
            raise SourceError(f"answers in time zone {location.get('timezone')!r} though GMT was asked for")
    return locations


def _reason(location: Mapping[str, Any]) -> str:
    """What an error object says, in one line."""
    error = location.get("error")
    reason = location.get("reason") or (error if isinstance(error, str) else None) or "it gives no reason"
    return " ".join(str(reason).split())[:300]


def read_units(
    locations: Sequence[Mapping[str, Any]], columns: Mapping[str, str], variables: Mapping[str, Variable]
) -> dict[str, Unit]:
    """The unit of each variable of `columns` (Open-Meteo's name by ours).

    Raises SourceError if a column has no unit, different units at different places, or a unit that cannot be converted.
    """
    wanted = [_TIME, *columns.values()]
    units_by_place = [_units(location) for location in locations]
    for units in units_by_place:
        for column in wanted:
            if units.get(column) != units_by_place[0].get(column) or not isinstance(units.get(column), str):
                raise SourceError(f"says {units.get(column)!r} for the unit of {column}")
    if units_by_place[0][_TIME] != "unixtime":
        raise SourceError(f"writes times as {units_by_place[0][_TIME]!r} though unixtime was asked for")
    try:
        return {name: unit_of(variables[name], units_by_place[0][column]) for name, column in columns.items()}
    except ConfigError as error:
        raise SourceError(f"gives {error}") from None


def read_hours(location: Mapping[str, Any], place: Place, columns: Sequence[str], days: Days) -> pl.DataFrame:
    """The rows of one place as they were sent: station_id, time [seconds since 1970, UTC] and `columns`; missing values are null.

    Raises SourceError for a column that is absent, has another length than the times, or does not hold numbers; and for
    times that are not full hours of `days`, each once and in order.
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
            f"sends {repr(odd)[:40]} in {column} of station {place.id!r}, which is not a 64-bit number"
        ) from None


def _fits(value: Any, kinds: Collection[type]) -> bool:
    return type(value) in kinds and abs(value) < 2**63


def _validate_times(times: pl.Series, place: Place, days: Days) -> None:
    begin, end, hour = (int(each) for each in (days.begin.timestamp(), days.end.timestamp(), HOUR.total_seconds()))
    if times.null_count() or not (times.diff().drop_nulls() > 0).all():
        raise SourceError(f"sends hours of station {place.id!r} that are missing, repeated or out of order")
    strange = times.filter((times < begin) | (times >= end) | (times % hour != 0))
    if not strange.is_empty():
        raise SourceError(f"sends time {strange[0]} for station {place.id!r}, which is not a full hour of {days}")


READER_VERSION = 1  # raise it if equal responses and settings give other readings: they are ingested again


@dataclass(frozen=True)
class RequestTemplate:
    """What is the same in all requests of a fetch, and how responses are read."""

    source: str
    url: str
    model: str | None
    columns: Mapping[str, str]  # Open-Meteo's hourly variable by ours
    variables: Mapping[str, Variable]
    reporting_delay: timedelta
    look_back: timedelta


@dataclass(frozen=True)
class Request:
    """Some places over some days."""

    template: RequestTemplate
    places: Sequence[Place]
    days: Days

    @cached_property
    def key(self) -> str:
        """What is asked and how it is read, in 16 hexadecimal digits, whatever the response is."""
        return fingerprint(str(self.days).encode(), self._read_as)[:16]

    def fetch(self, client: Client, until: datetime) -> SourceBatch | None:
        """What was received up to `until`; None if there is nothing. Hours without any value are not handed over.

        The fingerprint begins with `key` if the response is final: complete, and older than anything that is asked for
        again. Raises SourceError naming the days, the stations and what is wrong with the response.
        """
        try:
            response = client.get_json(self.template.url, self._params())
        except SourceError as error:
            raise SourceError(f"{self._origin}: {error}").passing(may_pass=error.may_pass) from None
        try:
            rows, units = self._read(response)
        except SourceError as error:
            raise SourceError(f"{self._origin}: {self.template.url} {error}") from None
        return self._make_batch(rows, units, until)

    def _params(self) -> dict[str, str]:
        params = {
            **position_params(self.places),
            "start_date": self.days.first.isoformat(),
            "end_date": self.days.last.isoformat(),
            "hourly": ",".join(dict.fromkeys(self.template.columns.values())),
            **FORMAT_PARAMS,
        }
        return params if self.template.model is None else {**params, "models": self.template.model}

    def _read(self, response: Any) -> tuple[pl.DataFrame, Mapping[str, Unit]]:
        """The rows as they were sent, and the unit of each variable."""
        locations = read_locations(response, self.places)
        units = read_units(locations, self.template.columns, self.template.variables)
        columns = list(dict.fromkeys(self.template.columns.values()))
        rows = pl.concat(
            read_hours(location, place, columns, self.days)
            for location, place in zip(locations, self.places, strict=True)
        )
        return rows.filter(pl.any_horizontal(pl.col(columns).is_not_null())), units

    def _make_batch(self, rows: pl.DataFrame, units: Mapping[str, Unit], until: datetime) -> SourceBatch | None:
        readings = self._readings(rows, units)
        received = readings["received_at"] <= until
        if not received.any():
            return None
        return SourceBatch(
            origin=self._origin,
            fingerprint=self._fingerprint(rows, units, until),
            readings=readings.filter(received),
            raw=rows.filter(received),
            problems=no_problems(),
            complete=bool(received.all()),
            receipt="assumed",
        )

    def _readings(self, rows: pl.DataFrame, units: Mapping[str, Unit]) -> pl.DataFrame:
        observed = pl.from_epoch("time", time_unit="s").dt.replace_time_zone("UTC").cast(UTC_TIME)
        columns = self.template.columns
        values = {
            name: units[name].to_daycast(pl.col(columns[name])) if name in columns else pl.lit(None, pl.Float64)
            for name in self.template.variables
        }
        return rows.select(
            "station_id",
            observed_at=observed,
            received_at=observed + self.template.reporting_delay,
            **values,
        ).select(*READING_KEYS, *values)

    def _fingerprint(self, rows: pl.DataFrame, units: Mapping[str, Unit], until: datetime) -> str:
        content = fingerprint(rows.write_csv().encode(), {**self._read_as, "units": repr(units)})
        settled = self.days.end + self.template.reporting_delay + self.template.look_back <= until
        return f"{self.key} {content}" if settled else content

    @property
    def _read_as(self) -> dict[str, Any]:
        template = self.template
        return {
            "version": READER_VERSION,
            "url": template.url,
            "model": template.model,
            "columns": {name: [column, template.variables[name].unit] for name, column in template.columns.items()},
            "reporting_delay": template.reporting_delay.total_seconds(),
            "places": [place.model_dump(exclude={"name"}) for place in self.places],
        }

    @property
    def _origin(self) -> str:
        ids = [self.places[0].id, self.places[-1].id]
        return f"{self.template.source} {self.days} {'..'.join(dict.fromkeys(ids))}"
