"""The source of kind "simulated": readings, external forecasts and the truth of the simulated network.

Order: external forecasts (the truth to come with an error that grows with the lead and lasts for hours), blocks of readings
and truth as frames, and `SimulatedSource`.
"""

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import product
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from daycast.sources.batch import EXTERNAL_FORECAST_KEYS, READING_KEYS, SourceBatch, mapping_text, no_problems
from daycast.sources.simulated.faults import ROW_FAULTS, VALUE_FAULTS, Codes, Index, Measurements, measure, stamp_times
from daycast.sources.simulated.places import (
    BLOCK,
    EPOCH,
    Purpose,
    SimulationConfig,
    decaying_sum,
    places,
    random_stream,
    station_ids,
    station_list,
)
from daycast.sources.simulated.weather import VARIABLES, Values, weather
from daycast.times import HOUR, UTC_TIME, floor_hour, parse_duration
from daycast.variables import Variable

EVERY_H = 6  # between forecasts
RECEIVED_AFTER_H = 3
LEADS_H = 48
MISSING = 0.05  # probability that a forecast is never received
ERRORS = {  # standard deviation at the longest lead, and the lowest possible value
    "air_temperature_c": (2.0, -math.inf),
    "dew_point_c": (2.0, -math.inf),
    "sea_level_pressure_hpa": (2.5, -math.inf),
    "wind_speed_m_s": (1.2, 0.0),
}
_AT_ONCE = 0.3  # share of the error at the first lead; the rest grows with the square root of the lead
_LASTS_H = 6.0  # until the correlation of the error has fallen to 1/e
_REACH = 32  # hours of noise in one error


def block_forecasts(config: SimulationConfig, block: int) -> pl.DataFrame:
    """The forecasts received in one block (start, end], by issue time, station and hour.

    Columns: EXTERNAL_FORECAST_KEYS and the variables of ERRORS.
    """
    first, last = block * BLOCK + 1 - RECEIVED_AFTER_H, (block + 1) * BLOCK - RECEIVED_AFTER_H  # absolute hours
    issue_hours = range(-(-first // EVERY_H) * EVERY_H, last + 1, EVERY_H)
    truth = _truth(config, block)
    start = (block - 1) * BLOCK + 1  # the hour of its first column
    frames = [
        _make_forecast(config, issue_hour, truth, issue_hour + 1 - start)
        for issue_hour in issue_hours
        if not _is_missing(config, issue_hour)
    ]
    return pl.concat(frames)


def _is_missing(config: SimulationConfig, issue_hour: int) -> bool:
    return bool(random_stream(config.seed, Purpose.EXTERNAL_FORECAST_MISSING, issue_hour).random() < MISSING)


def _make_forecast(config: SimulationConfig, issue_hour: int, truth: Values, at: int) -> pl.DataFrame:
    """The forecast issued at absolute hour `issue_hour`; `at` is the column of `truth` with its first lead."""
    S = config.stations
    noise = random_stream(config.station_seed, Purpose.EXTERNAL_FORECAST, issue_hour).standard_normal(
        (S, len(ERRORS), LEADS_H + _REACH - 1)
    )
    variance = (1 - math.exp(-2 * _REACH / _LASTS_H)) / (1 - math.exp(-2 / _LASTS_H))
    lasting = decaying_sum(noise.astype(np.float32).reshape(S * len(ERRORS), -1), _REACH, _LASTS_H) * variance**-0.5
    growth = _AT_ONCE + (1 - _AT_ONCE) * np.sqrt(np.arange(1, LEADS_H + 1) / LEADS_H)
    errors = growth * lasting.reshape(S, len(ERRORS), LEADS_H)
    issued = EPOCH + issue_hour * HOUR
    leads = np.tile(np.arange(1, LEADS_H + 1), S)
    return pl.DataFrame(
        {
            "station_id": station_ids(config).gather(np.repeat(np.arange(S), LEADS_H)),
            "issued_at": pl.repeat(issued, S * LEADS_H, dtype=UTC_TIME, eager=True),
            "valid_at": issued + pl.Series(leads).cast(pl.Int64) * HOUR,
            "received_at": pl.repeat(issued + RECEIVED_AFTER_H * HOUR, S * LEADS_H, dtype=UTC_TIME, eager=True),
            **{
                name: _forecast(truth[name][:, at : at + LEADS_H], deviation * errors[:, v], minimum)
                for v, (name, (deviation, minimum)) in enumerate(ERRORS.items())
            },
        }
    )


def _forecast(truth: NDArray[np.float64], error: NDArray[np.float64], minimum: float) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.maximum(np.round(truth + error, 1), minimum).ravel()
    return rounded


@lru_cache(maxsize=1)  # hourly fetches ask for the same block again
def _truth(config: SimulationConfig, block: int) -> Values:
    """The true weather from the block before to the block after, each (S, 3 × BLOCK)."""
    parts = [weather(config, near) for near in (block - 1, block, block + 1)]
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in ERRORS}


BLOCK_SPAN = BLOCK * HOUR
PART = 4000  # stations made at once: a block of them has two million rows

_ORDER = "order"  # received_at, then station, as one number
_ORDER_STRIDE = 4096  # above PART
_SECOND = timedelta(seconds=1)
_EPOCH_US = int(EPOCH.timestamp()) * 1_000_000


def block_readings(
    config: SimulationConfig, block: int, first: datetime, last: datetime, *, faults: bool
) -> pl.DataFrame:
    """All readings received in (first, last], which lies in one block, ordered by received_at, then station.

    Late ones may have been observed in the block before: no delay is longer than a block.
    """
    span = (first - EPOCH) // _SECOND, (last - EPOCH) // _SECOND
    # the block before is probably still cached, so ask for it first
    blocks = (block - 1, block) if faults else (block,)
    others = pl.concat([_extra_readings(config, one, span, faults=faults) for one in blocks])
    in_time = _readings_in_time(config, block, span, faults=faults)
    return in_time.merge_sorted(others.sort(_ORDER, maintain_order=True), key=_ORDER).drop(_ORDER)


def block_truth(config: SimulationConfig, block: int, *, faults: bool) -> pl.DataFrame:
    """The truth of one block and the faults of its readings, ordered by hour, then station."""
    truth = weather(config, block)
    measured = measure(config, block, truth, faults=faults)
    rows = np.arange(config.stations * BLOCK).reshape(config.stations, BLOCK).T.ravel()
    stamps = stamp_times(config, block).ravel()[rows]
    columns = {
        "station_id": station_ids(config).gather(rows // BLOCK),
        "valid_time": _times((block * BLOCK + 1 + rows % BLOCK) * 3600),
        "observed_at": _times(stamps),
        **{name: values.ravel()[rows] for name, values in truth.items()},
        **{f"{name}_fault": _names(VALUE_FAULTS, codes[rows]) for name, codes in measured.value_faults.items()},
        "row_fault": _names(ROW_FAULTS, measured.row_faults[rows]),
    }
    return pl.DataFrame(columns)


@lru_cache(maxsize=2)  # a block needs the one before it, and hourly fetches ask for the same block again
def _measured(config: SimulationConfig, block: int, *, faults: bool) -> Measurements:
    return measure(config, block, weather(config, block), faults=faults)


def _readings_in_time(config: SimulationConfig, block: int, span: tuple[int, int], *, faults: bool) -> pl.DataFrame:
    """The readings of a block that were received without delay, within the span [seconds after EPOCH], in order."""
    measured, rows = _measured(config, block, faults=faults), _by_reception(config)
    never = [ROW_FAULTS.index(fault) for fault in ("missing", "outage", "late")]
    is_wanted = _within(measured.received, span) & ~np.isin(measured.row_faults, never)
    rows = rows[is_wanted[rows]]
    return _frame(config, block, rows, measured.received, measured.values, rows)


def _extra_readings(config: SimulationConfig, block: int, span: tuple[int, int], *, faults: bool) -> pl.DataFrame:
    """The late, doubled and corrected readings of a block that were received within the span, in no order."""
    measured = _measured(config, block, faults=faults)
    again = [ROW_FAULTS.index(fault) for fault in ("late", "duplicate")]
    rows = np.flatnonzero(np.isin(measured.row_faults, again) & _within(measured.received, span))
    is_corrected = (measured.row_faults == ROW_FAULTS.index("corrected"))[measured.corrected]  # not lost in an outage
    at = np.flatnonzero(is_corrected & _within(measured.corrected_received, span))
    frames = [
        _frame(config, block, rows, measured.received, measured.values, rows),
        _frame(config, block, measured.corrected[at], measured.corrected_received, measured.right, at),
    ]
    return pl.concat(frames)


def _within(received: Index, span: tuple[int, int]) -> NDArray[np.bool_]:
    return (received > span[0]) & (received <= span[1])


def _by_reception(config: SimulationConfig) -> Index:
    """The rows of a block in the order of faultless reception: by hour, then by the delay of the stations."""
    at = places(config)
    stations = np.argsort(at.lag_s - at.offset_s, kind="stable")
    return (stations[None, :] * BLOCK + np.arange(BLOCK)[:, None]).ravel()


def _frame(
    config: SimulationConfig, block: int, rows: Index, received: Index, values: Values, at: Index
) -> pl.DataFrame:
    """Readings of some rows of a block, from the positions `at` of `received` and `values`; NaN becomes null."""
    station, hour = np.divmod(rows, BLOCK)
    columns = {
        "station_id": station_ids(config).gather(station),
        "observed_at": _times((block * BLOCK + 1 + hour) * 3600 - places(config).offset_s[station]),
        "received_at": _times(received[at]),
        **{name: pl.Series(values[name][at], nan_to_null=True) for name in VARIABLES},
        _ORDER: received[at] * _ORDER_STRIDE + station,
    }
    return pl.DataFrame(columns)


def _times(seconds: Index) -> pl.Series:
    """Seconds after EPOCH as UTC times."""
    return pl.Series(seconds * 1_000_000 + _EPOCH_US).cast(UTC_TIME)


def _names(faults: tuple[str | None, ...], codes: Codes) -> pl.Series:
    return pl.Series(faults, dtype=pl.String).gather(codes)


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


class SimulatedSource(BaseModel):
    """A `[[sources]]` table of kind "simulated", and the Source it describes.

    What a station reports at an hour depends only on seed, centre, extent, faults, station and hour; never on the range that
    is asked for, or on the number of stations. Unknown keys are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    resumes: ClassVar[bool] = True

    kind: Literal["simulated"] = "simulated"
    name: str = "simulated"
    station_count: int = Field(default=12, ge=1, alias="stations")
    history: Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))] = timedelta(days=540)
    seed: int = Field(default=7, ge=0)
    latitude: float = Field(default=47.0, ge=-80, le=80)  # of the centre, degrees north
    longitude: float = Field(default=8.0, ge=-180, le=180)  # of the centre, degrees east
    extent_km: float = Field(default=150.0, ge=0, le=2000)  # diameter of the disc the stations stand in
    faults: bool = True  # gaps, stuck values, spikes, late, doubled and corrected readings
    forecasts: bool = False  # external forecasts too, four a day: the truth with an error that grows with the lead

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield what was received in (since, until], a batch for each block of 512 hours and 4,000 stations; each is complete.

        Without `since` it starts `history` before the full hour of `until`. Readings have those of the seven simulated
        variables that `variables` lists. Raises nothing.
        """
        start = floor_hour(until) - self.history if since is None else since
        columns = [*READING_KEYS, *(name for name in VARIABLES if name in variables)]
        for part, block in product(self._parts, _blocks(start, until)):
            first, last = max(start, EPOCH + block * BLOCK_SPAN), min(until, EPOCH + (block + 1) * BLOCK_SPAN)
            fingerprint = self._fingerprint(first, last, columns, part)
            if fingerprint in seen:
                continue
            readings = block_readings(part, block, first, last, faults=self.faults).select(columns)
            if readings.height:
                origin = f"{self.name} {first:%Y-%m-%dT%H:%MZ}..{last:%Y-%m-%dT%H:%MZ}"
                yield SourceBatch(origin, fingerprint, readings, raw=readings, problems=no_problems(), complete=True)
        if self.forecasts:
            yield from self._external_forecasts(start, until, variables, seen)

    def _external_forecasts(
        self, start: datetime, until: datetime, variables: Mapping[str, Variable], seen: Collection[str]
    ) -> Iterator[SourceBatch]:
        """The forecasts received in (start, until], in the same blocks."""
        columns = [*EXTERNAL_FORECAST_KEYS, *(name for name in ERRORS if name in variables)]
        received = pl.col("received_at")
        for part, block in product(self._parts, _blocks(start, until)):
            first, last = max(start, EPOCH + block * BLOCK_SPAN), min(until, EPOCH + (block + 1) * BLOCK_SPAN)
            fingerprint = self._fingerprint(first, last, columns, part)
            if fingerprint in seen:
                continue
            inside = (received > first) & (received <= last)
            forecasts = block_forecasts(part, block).filter(inside).select(columns)
            if forecasts.height:
                origin = f"{self.name} forecasts {first:%Y-%m-%dT%H:%MZ}..{last:%Y-%m-%dT%H:%MZ}"
                yield SourceBatch(origin, fingerprint, forecasts, raw=forecasts, problems=no_problems(), complete=True)

    def stations(self) -> pl.DataFrame:
        """The station list (STATION_SCHEMA)."""
        return pl.concat([station_list(part) for part in self._parts])

    def truth(self, since: datetime, until: datetime) -> pl.DataFrame:
        """The true hourly values of the hours in (since, until], and the faults of their readings; `since` is earlier.

        Columns: station_id, valid_time (the full hour), observed_at (the stamp of its reading), the seven variables, for
        each of them `<variable>_fault` (null, missing, stuck, spike, gross, first_wrong), and row_fault (null, missing,
        outage, duplicate, late, corrected). Ordered by hour, then station.
        """
        hour = pl.col("valid_time")
        blocks = product(_blocks(since, until), self._parts)
        truth = (block_truth(part, block, faults=self.faults) for block, part in blocks)
        frames = [frame.filter((hour > since) & (hour <= until)) for frame in truth]
        return pl.concat(frames).sort("valid_time", maintain_order=True)  # of each hour, part after part

    @property
    def _parts(self) -> list[SimulationConfig]:
        """The network in parts of at most PART stations, so that no block is too large; the weather passes over all of them."""
        where = (self.latitude, self.longitude, self.extent_km)
        return [
            SimulationConfig(self.seed, min(PART, self.station_count - first), *where, first)
            for first in range(0, self.station_count, PART)
        ]

    def mapping(self, variables: Mapping[str, Variable]) -> str:  # noqa: ARG002 (it knows its own units)
        """What its weather follows from; see Source."""
        left_out = {"name", "history", "forecasts"}
        return mapping_text(1, self.model_dump(mode="json", exclude=left_out, exclude_defaults=True))

    def _fingerprint(self, first: datetime, last: datetime, columns: list[str], part: SimulationConfig) -> str:
        read_as = self.model_dump_json(exclude={"history", "forecasts"})  # neither changes a reading
        whole = (read_as, first.isoformat(), last.isoformat(), columns)
        return hashlib.sha256(repr((*whole, part.first) if part.first else whole).encode()).hexdigest()


def _blocks(since: datetime, until: datetime) -> range:
    """The blocks (start, end] that share an instant with (since, until]."""
    return range((since - EPOCH) // BLOCK_SPAN, -((EPOCH - until) // BLOCK_SPAN))
