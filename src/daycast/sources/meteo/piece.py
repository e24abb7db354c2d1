"""One request to Open-Meteo, some places over some days, and the delivery that its answer makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import polars as pl

from daycast.errors import SourceError
from daycast.sources.delivery import READING_KEYS, Delivery, no_problems
from daycast.sources.http.client import Client
from daycast.sources.meteo.answer import read_hours, read_locations, read_units
from daycast.sources.meteo.days import Days
from daycast.sources.meteo.places import Place, position_params
from daycast.sources.meteo.service import HOW_TO_WRITE
from daycast.sources.tables.fingerprint import fingerprint
from daycast.sources.tables.units import Unit
from daycast.times import UTC_TIME
from daycast.variables import Variable

_READER_VERSION = 1  # raise it when the same answers and configuration give other readings


@dataclass(frozen=True)
class Question:
    """What is asked of every place and day, and how the answers are read."""

    source: str
    url: str
    model: str | None
    columns: Mapping[str, str]  # Open-Meteo's hourly variable by ours
    variables: Mapping[str, Variable]
    reporting_delay: timedelta
    look_back: timedelta


@dataclass(frozen=True)
class Piece:
    """Some places over some days."""

    question: Question
    places: Sequence[Place]
    days: Days

    @cached_property
    def key(self) -> str:
        """What was asked and how it is read, as one word, whatever the answer is."""
        return fingerprint(str(self.days).encode(), self._read_as)[:16]

    def fetch(self, client: Client, until: datetime) -> Delivery | None:
        """What was received up to `until`; None where there is nothing. Hours without any value are no readings.

        The fingerprint begins with `key` where the answer is final: complete, and older than anything asked for again.
        Raises SourceError naming the days, the stations and what is wrong with the answer.
        """
        try:
            answer = client.get_json(self.question.url, self._params())
        except SourceError as error:
            raise SourceError(f"{self._origin}: {error}") from None
        try:
            rows, units = self._read(answer)
        except SourceError as error:
            raise SourceError(f"{self._origin}: {self.question.url} {error}") from None
        return self._delivery(rows, units, until)

    def _params(self) -> dict[str, str]:
        params = {
            **position_params(self.places),
            "start_date": self.days.first.isoformat(),
            "end_date": self.days.last.isoformat(),
            "hourly": ",".join(dict.fromkeys(self.question.columns.values())),
            **HOW_TO_WRITE,
        }
        return params if self.question.model is None else {**params, "models": self.question.model}

    def _read(self, answer: Any) -> tuple[pl.DataFrame, Mapping[str, Unit]]:
        """The rows as they came, and the unit of each variable."""
        locations = read_locations(answer, self.places)
        units = read_units(locations, self.question.columns, self.question.variables)
        columns = list(dict.fromkeys(self.question.columns.values()))
        rows = pl.concat(
            read_hours(location, place, columns, self.days)
            for location, place in zip(locations, self.places, strict=True)
        )
        return rows.filter(pl.any_horizontal(pl.col(columns).is_not_null())), units

    def _delivery(self, rows: pl.DataFrame, units: Mapping[str, Unit], until: datetime) -> Delivery | None:
        readings = self._readings(rows, units)
        there = readings["received_at"] <= until
        if not there.any():
            return None
        return Delivery(
            origin=self._origin,
            fingerprint=self._fingerprint(rows, units, until),
            readings=readings.filter(there),
            raw=rows.filter(there),
            problems=no_problems(),
            complete=bool(there.all()),
            receipt="assumed",
        )

    def _readings(self, rows: pl.DataFrame, units: Mapping[str, Unit]) -> pl.DataFrame:
        observed = pl.from_epoch("time", time_unit="s").dt.replace_time_zone("UTC").cast(UTC_TIME)
        columns = self.question.columns
        values = {
            name: units[name].to_daycast(pl.col(columns[name])) if name in columns else pl.lit(None, pl.Float64)
            for name in self.question.variables
        }
        return rows.select(
            "station_id",
            observed_at=observed,
            received_at=observed + self.question.reporting_delay,
            **values,
        ).select(*READING_KEYS, *values)

    def _fingerprint(self, rows: pl.DataFrame, units: Mapping[str, Unit], until: datetime) -> str:
        content = fingerprint(rows.write_csv().encode(), {**self._read_as, "units": repr(units)})
        settled = self.days.end + self.question.reporting_delay + self.question.look_back <= until
        return f"{self.key} {content}" if settled else content

    @property
    def _read_as(self) -> dict[str, Any]:
        question = self.question
        return {
            "version": _READER_VERSION,
            "url": question.url,
            "model": question.model,
            "columns": {name: [column, question.variables[name].unit] for name, column in question.columns.items()},
            "reporting_delay": question.reporting_delay.total_seconds(),
            "places": [place.model_dump(exclude={"name"}) for place in self.places],
        }

    @property
    def _origin(self) -> str:
        ids = [self.places[0].id, self.places[-1].id]
        return f"{self.question.source} {self.days} {'..'.join(dict.fromkeys(ids))}"
