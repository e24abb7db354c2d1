"""A profile of readings, made before they are stored: what they cover, what repeats or is missing, the daily cycle, the rain.

A person who knows the place sees in it whether the readings were understood. Everything is counted as daycast counts: by station
and hour, where an hour is (h - 1 h, h] and a station's hours are those from its first to its last.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from daycast.features.deduplicate import KEY
from daycast.features.hourly import full_hour_after
from daycast.times import DAY, HOUR, hours_between

_HOUR_KEY = ["station_id", "hour"]
_CYCLE_VARIABLE, _RAIN_VARIABLE = "air_temperature_c", "precipitation_mm"
_LEAST_CYCLE_HOURS = 72  # of a station; with fewer, the change from day to day looks like a cycle
# As in the view station_clock: the warmest hour is usually two and a half hours after solar noon.
_USUAL_WARMEST_H = 14.5
_SUSPECT_OFFSET_H, _SUSPECT_AMPLITUDE_C, _SUSPECT_HOURS = 3.5, 1.0, 240


@dataclass(frozen=True)
class Gap:
    """Hours without any reading of a station, between two that have some."""

    station_id: str
    after: datetime  # the last hour before it
    hours: int


@dataclass(frozen=True)
class Coverage:
    """Which hours have readings."""

    station_ids: tuple[str, ...]  # sorted
    first: datetime  # instants
    last: datetime
    step: timedelta | None  # the most frequent time from one row of a station to the next; None if no station has two
    hours: int  # of all stations
    covered: int  # of these
    longest_gap: Gap | None

    @property
    def stations(self) -> int:
        """The number of stations."""
        return len(self.station_ids)


@dataclass(frozen=True)
class DailyCycle:
    """The first harmonic of air temperature over the day, averaged over stations."""

    hours: int  # hourly values that it rests on
    amplitude_c: float  # half the difference between the warmest and the coolest hour
    warmest_h: float  # hour of the day in UTC
    warmest_by_the_sun_h: float | None  # in mean solar time, of the stations whose longitude is known


@dataclass(frozen=True)
class ClockSuspect:
    """A station whose days are warmest at an hour that the sun does not explain."""

    station_id: str
    offset_h: float  # hours late (or early, if negative) of the usual hour


@dataclass(frozen=True)
class Rain:
    """Rain as daycast adds it up."""

    months: tuple[tuple[date, float], ...]  # first day, UTC; mm, the mean over the stations that have any value in it
    highest_mm: float  # of an hour
    highest_at: datetime
    highest_station: str


@dataclass(frozen=True)
class Profile:
    """What readings are like; each part is None where there is nothing to tell."""

    rows: int
    coverage: Coverage | None
    values: int
    repeated: int  # values of a station, instant and variable that has one in an earlier row
    missing: dict[str, float]  # by variable: the share of the covered hours without a value
    cycle: DailyCycle | None
    clock_suspects: tuple[ClockSuspect, ...]
    rain: Rain | None


def make_profile(
    readings: pl.DataFrame, variables: Collection[str], stations: pl.DataFrame, tolerance: timedelta = timedelta(0)
) -> Profile:
    """The profile of readings.

    readings: station_id, observed_at (never null) and a column for each of `variables`, in the order they were delivered.
    stations: station_id, longitude (null where unknown). tolerance: how long after a full hour a reading still counts for it.
    """
    names = list(variables)
    last = [pl.col(name).drop_nulls().last() for name in names]
    absent = [pl.lit(None, pl.Float64).alias(name) for name in (_CYCLE_VARIABLE, _RAIN_VARIABLE) if name not in names]
    instants = readings.group_by(KEY, maintain_order=True).agg(last)
    instants = instants.with_columns(*absent, hour=full_hour_after(pl.col("observed_at") - tolerance))
    values = _count_values(readings, names)
    cycles = _daily_cycles(instants, stations)
    return Profile(
        rows=len(readings),
        coverage=_coverage(instants),
        values=values,
        repeated=values - _count_values(instants, names),
        missing=_missing(instants, names),
        cycle=_mean_cycle(cycles),
        clock_suspects=_clock_suspects(cycles),
        rain=_rain(instants),
    )


def _count_values(rows: pl.DataFrame, names: list[str]) -> int:
    return sum(len(rows) - rows[name].null_count() for name in names)


def _coverage(instants: pl.DataFrame) -> Coverage | None:
    if instants.is_empty():
        return None
    sorted_rows = instants.select(*KEY, "hour").sort(KEY)
    steps = sorted_rows.select(pl.col("observed_at").diff().over("station_id").alias("step")).drop_nulls().to_series()
    hours = sorted_rows.select(_HOUR_KEY).unique(maintain_order=True)
    spans = hours.group_by("station_id").agg(pl.col("hour").min().alias("first"), pl.col("hour").max().alias("last"))
    total = spans.select(((pl.col("last") - pl.col("first")) / HOUR).sum()).item() + len(spans)
    return Coverage(
        station_ids=tuple(spans["station_id"].sort()),
        first=sorted_rows["observed_at"].min(),  # type: ignore[arg-type]
        last=sorted_rows["observed_at"].max(),  # type: ignore[arg-type]
        step=steps.mode().sort().item(0) if len(steps) else None,
        hours=round(total),
        covered=len(hours),
        longest_gap=_longest_gap(hours),
    )


def _longest_gap(hours: pl.DataFrame) -> Gap | None:
    """hours: station_id, hour; each once, sorted."""
    before = pl.col("hour").shift().over("station_id").alias("before")
    gaps = hours.with_columns(before).filter(pl.col("hour") - pl.col("before") > HOUR)
    if gaps.is_empty():
        return None
    longest = gaps.sort(pl.col("hour") - pl.col("before"), descending=True, maintain_order=True).row(0, named=True)
    return Gap(longest["station_id"], longest["before"], hours_between(longest["before"], longest["hour"]) - 1)


def _missing(instants: pl.DataFrame, names: list[str]) -> dict[str, float]:
    if instants.is_empty():
        return {}
    hours = instants.group_by(_HOUR_KEY).agg(pl.col(name).is_not_null().any() for name in names)
    return {name: 1 - float(hours[name].mean() or 0) for name in names}  # type: ignore[arg-type]


def _daily_cycles(instants: pl.DataFrame, stations: pl.DataFrame) -> pl.DataFrame:
    """The harmonic of each station that has every hour of the day: station_id, longitude, hours, cosine and sine in UTC [°C]."""
    hourly = instants.drop_nulls(_CYCLE_VARIABLE).sort("observed_at").group_by(_HOUR_KEY, maintain_order=True)
    values = hourly.agg(pl.col(_CYCLE_VARIABLE).last().alias("value"))
    hour_of_day = pl.col("hour").dt.hour().alias("hour_of_day")
    by_hour = values.group_by("station_id", hour_of_day).agg(pl.col("value").mean(), pl.len())
    angle = pl.col("hour_of_day") * (2 * np.pi / 24)
    harmonics = by_hour.group_by("station_id").agg(
        pl.col("len").sum().alias("hours"),
        pl.len().alias("hours_of_day"),
        ((pl.col("value") * angle.cos()).sum() / 12).alias("cosine"),
        ((pl.col("value") * angle.sin()).sum() / 12).alias("sine"),
    )
    enough = (pl.col("hours_of_day") == DAY // HOUR) & (pl.col("hours") >= _LEAST_CYCLE_HOURS)
    places = stations.select("station_id", "longitude").unique("station_id", keep="first")
    return harmonics.filter(enough).join(places, on="station_id", how="left").sort("station_id")


def _mean_cycle(cycles: pl.DataFrame) -> DailyCycle | None:
    if cycles.is_empty():
        return None
    vectors = _vectors(cycles)
    mean = vectors.mean()
    placed = cycles.drop_nulls("longitude")
    by_the_sun = _hour_of((_vectors(placed) * _turned(placed)).mean()) if len(placed) else None
    return DailyCycle(int(cycles["hours"].sum()), float(abs(mean)), _hour_of(mean), by_the_sun)


def _clock_suspects(cycles: pl.DataFrame) -> tuple[ClockSuspect, ...]:
    placed = cycles.drop_nulls("longitude").filter(pl.col("hours") >= _SUSPECT_HOURS)
    found = []
    for station, vector in zip(placed["station_id"], _vectors(placed) * _turned(placed), strict=True):
        offset = (_hour_of(vector) - _USUAL_WARMEST_H + 36) % 24 - 12
        if abs(vector) >= _SUSPECT_AMPLITUDE_C and abs(offset) >= _SUSPECT_OFFSET_H:
            found.append(ClockSuspect(station, offset))
    return tuple(found)


def _vectors(cycles: pl.DataFrame) -> np.ndarray:
    """The harmonics as complex numbers (N,), whose angle is the warmest time in UTC."""
    return cycles["cosine"].to_numpy() + 1j * cycles["sine"].to_numpy()


def _turned(placed: pl.DataFrame) -> np.ndarray:
    """What turns harmonics from UTC to mean solar time (N,)."""
    return np.exp(1j * np.radians(placed["longitude"].to_numpy().astype(np.float64)))


def _hour_of(vector: complex) -> float:
    return float(np.angle(vector)) * 12 / np.pi % 24


def _rain(instants: pl.DataFrame) -> Rain | None:
    fallen = instants.drop_nulls(_RAIN_VARIABLE).group_by(_HOUR_KEY).agg(pl.col(_RAIN_VARIABLE).sum().alias("mm"))
    if fallen.is_empty():
        return None
    month = (
        (pl.col("hour") - HOUR).dt.truncate("1mo").dt.date().alias("month")
    )  # an hour belongs to the day it begins in
    by_station = fallen.group_by("station_id", month).agg(pl.col("mm").sum())
    months = by_station.group_by("month").agg(pl.col("mm").mean()).sort("month")
    wettest = fallen.sort("mm", "hour", "station_id", descending=[True, False, False]).row(0, named=True)
    return Rain(tuple(months.iter_rows()), wettest["mm"], wettest["hour"], wettest["station_id"])
