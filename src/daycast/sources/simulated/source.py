"""The simulated network: the built-in demonstration, and the ground truth for tests of quality control."""

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from daycast.sources.batch import ISSUE_KEYS, READING_KEYS, SourceBatch, no_problems
from daycast.sources.simulated.faults import ROW_FAULTS, VALUE_FAULTS, Codes, Index, send, stamped
from daycast.sources.simulated.places import (
    BLOCK,
    EPOCH,
    Purpose,
    SimulationConfig,
    places,
    remember,
    station_ids,
    station_list,
    stream,
)
from daycast.sources.simulated.weather import VARIABLES, Values, weather
from daycast.times import HOUR, UTC_TIME, floor_hour, parse_duration
from daycast.variables import Variable

# Somebody else's forecast of the simulated weather: the truth to come, with an error that grows and lasts for hours.


EVERY_H = 6  # between issues
RECEIVED_AFTER_H = 3
LEADS_H = 48
MISSING = 0.05  # chance of an issue that is never received
ERRORS = {  # standard deviation at the longest lead, and the lowest value there is
    "air_temperature_c": (2.0, -math.inf),
    "dew_point_c": (2.0, -math.inf),
    "sea_level_pressure_hpa": (2.5, -math.inf),
    "wind_speed_m_s": (1.2, 0.0),
}
_AT_ONCE = 0.3  # share of the error that is there at the first lead; the rest grows as the square root of the lead
_LASTS_H = 6.0  # in which the correlation of the error falls to 1/e
_REACH = 32  # hours of noise that make an error


def block_forecasts(config: SimulationConfig, block: int) -> pl.DataFrame:
    """All that was received in one block (start, end]: ISSUE_KEYS and the variables of ERRORS, by issue, station and hour."""
    first, last = block * BLOCK + 1 - RECEIVED_AFTER_H, (block + 1) * BLOCK - RECEIVED_AFTER_H  # absolute hours
    issues = range(-(-first // EVERY_H) * EVERY_H, last + 1, EVERY_H)
    truth = _truth(config, block)
    start = (block - 1) * BLOCK + 1  # the hour of its first column
    frames = [
        _issue_forecast(config, issue, truth, issue + 1 - start) for issue in issues if not _is_missing(config, issue)
    ]
    return pl.concat(frames)


def _is_missing(config: SimulationConfig, issue: int) -> bool:
    return bool(stream(config.seed, Purpose.OUTLOOK_MISSING, issue).random() < MISSING)


def _issue_forecast(config: SimulationConfig, issue: int, truth: Values, at: int) -> pl.DataFrame:
    """One issue; `at` is the column of `truth` with its first lead."""
    S = config.stations
    noise = stream(config.seed, Purpose.OUTLOOK, issue).standard_normal((S, len(ERRORS), LEADS_H + _REACH - 1))
    variance = (1 - math.exp(-2 * _REACH / _LASTS_H)) / (1 - math.exp(-2 / _LASTS_H))
    lasting = remember(noise.astype(np.float32).reshape(S * len(ERRORS), -1), _REACH, _LASTS_H) * variance**-0.5
    growth = _AT_ONCE + (1 - _AT_ONCE) * np.sqrt(np.arange(1, LEADS_H + 1) / LEADS_H)
    errors = growth * lasting.reshape(S, len(ERRORS), LEADS_H)
    issued = EPOCH + issue * HOUR
    leads = np.tile(np.arange(1, LEADS_H + 1), S)
    return pl.DataFrame(
        {
            "station_id": station_ids(config).gather(np.repeat(np.arange(S), LEADS_H)),
            "issued_at": pl.repeat(issued, S * LEADS_H, dtype=UTC_TIME, eager=True),
            "valid_at": issued + pl.Series(leads).cast(pl.Int64) * HOUR,
            "received_at": pl.repeat(issued + RECEIVED_AFTER_H * HOUR, S * LEADS_H, dtype=UTC_TIME, eager=True),
            **{
                name: _forecast(truth[name][:, at : at + LEADS_H], deviation * errors[:, v], lowest)
                for v, (name, (deviation, lowest)) in enumerate(ERRORS.items())
            },
        }
    )


def _forecast(truth: NDArray[np.float64], error: NDArray[np.float64], lowest: float) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.maximum(np.round(truth + error, 1), lowest).ravel()
    return rounded


@lru_cache(maxsize=1)  # whoever fetches hour after hour asks for the same block again
def _truth(config: SimulationConfig, block: int) -> Values:
    """The true weather from the block before to the one after, each (S, 3 × BLOCK)."""
    parts = [weather(config, near) for near in (block - 1, block, block + 1)]
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in ERRORS}


# One block of the simulated network as frames: the readings as received, and the truth with its faults.


BLOCK_SPAN = BLOCK * HOUR
MOST_STATIONS = 4000  # a block then has two million rows

_ORDER = "order"  # received_at, then station, as one number
_STATIONS_BOUND = 4096  # above MOST_STATIONS
_EPOCH_US = int(EPOCH.timestamp()) * 1_000_000


@lru_cache(maxsize=1)  # whoever fetches hour after hour asks for the same block again
def block_readings(config: SimulationConfig, block: int, *, faults: bool) -> pl.DataFrame:
    """All readings received in one block (start, end], ordered by received_at, then station.

    Late ones may have been observed in the block before: no reading is later than a block is long.
    """
    before = [_sent_frames(config, block - 1, faults=faults)[1]] if faults else []  # made last time: ask for it first
    in_time, extras = _sent_frames(config, block, faults=faults)
    others = pl.concat([*before, extras]).filter(pl.col(_ORDER).is_between(*_orders(block), closed="left"))
    return in_time.merge_sorted(others.sort(_ORDER, maintain_order=True), key=_ORDER).drop(_ORDER)


def block_truth(config: SimulationConfig, block: int, *, faults: bool) -> pl.DataFrame:
    """The truth of one block and the faults that befell it, ordered by hour, then station."""
    truth = weather(config, block)
    sent = send(config, block, truth, faults=faults)
    rows = np.arange(config.stations * BLOCK).reshape(config.stations, BLOCK).T.ravel()
    stamps = stamped(config, block).ravel()[rows]
    columns = {
        "station_id": station_ids(config).gather(rows // BLOCK),
        "valid_time": _times((block * BLOCK + 1 + rows % BLOCK) * 3600),
        "observed_at": _times(stamps),
        **{name: values.ravel()[rows] for name, values in truth.items()},
        **{f"{name}_fault": _names(VALUE_FAULTS, codes[rows]) for name, codes in sent.value_faults.items()},
        "row_fault": _names(ROW_FAULTS, sent.row_faults[rows]),
    }
    return pl.DataFrame(columns)


@lru_cache(maxsize=2)  # a block needs the one before it
def _sent_frames(config: SimulationConfig, block: int, *, faults: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The readings of one block received in time, in order, and the late, doubled and corrected ones in no order."""
    sent = send(config, block, weather(config, block), faults=faults)
    row_faults = {fault: sent.row_faults == number for number, fault in enumerate(ROW_FAULTS)}
    in_time = _by_reception(config)
    in_time = in_time[~(row_faults["missing"] | row_faults["outage"] | row_faults["late"])[in_time]]
    extra = np.flatnonzero(row_faults["late"] | row_faults["duplicate"])
    again = row_faults["corrected"][sent.corrected]  # not those lost in an outage
    right = {name: values[again] for name, values in sent.right.items()}
    taken = {name: values[extra] for name, values in sent.values.items()}
    extras = [
        _frame(config, block, extra, sent.received[extra], taken),
        _frame(config, block, sent.corrected[again], sent.corrected_received[again], right),
    ]
    values = {name: values[in_time] for name, values in sent.values.items()}
    return _frame(config, block, in_time, sent.received[in_time], values), pl.concat(extras)


def _by_reception(config: SimulationConfig) -> Index:
    """The rows of a block in the order of undisturbed reception: by hour, then as fast as the stations are."""
    at = places(config)
    stations = np.argsort(at.lag_s - at.offset_s, kind="stable")
    return (stations[None, :] * BLOCK + np.arange(BLOCK)[:, None]).ravel()


def _frame(config: SimulationConfig, block: int, rows: Index, received: Index, values: Values) -> pl.DataFrame:
    """Readings of some rows of a block; `values` belongs to these rows, NaN becomes null."""
    station = rows // BLOCK
    columns = {
        "station_id": station_ids(config).gather(station),
        "observed_at": _times(stamped(config, block).ravel()[rows]),
        "received_at": _times(received),
        **{name: pl.Series(values[name], nan_to_null=True) for name in VARIABLES},
        _ORDER: received * _STATIONS_BOUND + station,
    }
    return pl.DataFrame(columns)


def _orders(block: int) -> tuple[int, int]:
    """The order of the first row that may be received in a block, and of the first one after it."""
    first, last = (block * BLOCK * 3600 + 1, (block + 1) * BLOCK * 3600)  # seconds; (start, end]
    return first * _STATIONS_BOUND, (last + 1) * _STATIONS_BOUND


def _times(seconds: Index) -> pl.Series:
    """Seconds after the epoch as UTC times."""
    return pl.Series(seconds * 1_000_000 + _EPOCH_US).cast(UTC_TIME)


def _names(faults: tuple[str | None, ...], codes: Codes) -> pl.Series:
    return pl.Series(faults, dtype=pl.String).gather(codes)


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


class SimulatedSource(BaseModel):
    """A `[[sources]]` table of kind "simulated", and the source it describes.

    What a station reports at an hour depends on seed, centre, extent, trouble, station and hour alone, never on the
    range asked for or on how many stations there are. Refuses unknown keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    resumes: ClassVar[bool] = True

    kind: Literal["simulated"] = "simulated"
    name: str = "simulated"
    station_count: int = Field(default=12, ge=1, le=MOST_STATIONS, alias="stations")
    history: Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))] = timedelta(days=540)
    seed: int = Field(default=7, ge=0)
    latitude: float = Field(default=47.0, ge=-80, le=80)  # of the centre, degrees north
    longitude: float = Field(default=8.0, ge=-180, le=180)  # of the centre, degrees east
    extent_km: float = Field(default=150.0, ge=0, le=2000)  # diameter of the disc the stations stand in
    faults: bool = True  # gaps, stuck values, spikes, late, doubled and corrected readings
    forecasts: bool = (
        False  # somebody else's forecasts too, four a day: the truth with an error that grows with the lead
    )

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[SourceBatch]:
        """Yield what was received in (since, until], one piece for each block of 512 hours; each is complete.

        Without `since` it starts `history` before the full hour of `until`. Readings hold those of the seven
        simulated variables that `variables` lists. Raises nothing.
        """
        start = floor_hour(until) - self.history if since is None else since
        columns = [*READING_KEYS, *(name for name in VARIABLES if name in variables)]
        for block in _blocks(start, until):
            first, last = max(start, EPOCH + block * BLOCK_SPAN), min(until, EPOCH + (block + 1) * BLOCK_SPAN)
            fingerprint = self._fingerprint(first, last, columns)
            if fingerprint in seen:
                continue
            received = pl.col("received_at")
            readings = (
                block_readings(self._network, block, faults=self.faults)
                .filter((received > first) & (received <= last))
                .select(columns)
            )
            if readings.height:
                origin = f"{self.name} {first:%Y-%m-%dT%H:%MZ}..{last:%Y-%m-%dT%H:%MZ}"
                yield SourceBatch(origin, fingerprint, readings, raw=readings, problems=no_problems(), complete=True)
        if self.forecasts:
            yield from self._external_forecasts(start, until, variables, seen)

    def _external_forecasts(
        self, start: datetime, until: datetime, variables: Mapping[str, Variable], seen: Collection[str]
    ) -> Iterator[SourceBatch]:
        """The forecasts that were received in (start, until], in the same pieces."""
        columns = [*ISSUE_KEYS, *(name for name in ERRORS if name in variables)]
        received = pl.col("received_at")
        for block in _blocks(start, until):
            first, last = max(start, EPOCH + block * BLOCK_SPAN), min(until, EPOCH + (block + 1) * BLOCK_SPAN)
            fingerprint = self._fingerprint(first, last, columns)
            if fingerprint in seen:
                continue
            inside = (received > first) & (received <= last)
            issues = block_forecasts(self._network, block).filter(inside).select(columns)
            if issues.height:
                origin = f"{self.name} forecasts {first:%Y-%m-%dT%H:%MZ}..{last:%Y-%m-%dT%H:%MZ}"
                yield SourceBatch(origin, fingerprint, issues, raw=issues, problems=no_problems(), complete=True)

    def stations(self) -> pl.DataFrame:
        """The station list (daycast.stations.STATION_SCHEMA)."""
        return station_list(self._network)

    def truth(self, since: datetime, until: datetime) -> pl.DataFrame:
        """The true hourly values of the hours in (since, until], and the faults of their readings; `since` is earlier.

        Columns: station_id, valid_time (the full hour), observed_at (the stamp of its reading), the seven variables,
        for each of them `<variable>_fault` (null, missing, stuck, spike, gross, first_wrong), and row_fault (null,
        missing, outage, duplicate, late, corrected). Ordered by hour, then station.
        """
        hour = pl.col("valid_time")
        blocks = (block_truth(self._network, block, faults=self.faults) for block in _blocks(since, until))
        return pl.concat([block.filter((hour > since) & (hour <= until)) for block in blocks])

    @property
    def _network(self) -> SimulationConfig:
        return SimulationConfig(self.seed, self.station_count, self.latitude, self.longitude, self.extent_km)

    def _fingerprint(self, first: datetime, last: datetime, columns: list[str]) -> str:
        read_as = self.model_dump_json(exclude={"history", "forecasts"})  # neither changes a reading
        return hashlib.sha256(repr((read_as, first.isoformat(), last.isoformat(), columns)).encode()).hexdigest()


def _blocks(since: datetime, until: datetime) -> range:
    """The blocks (start, end] that share an instant with (since, until]."""
    return range((since - EPOCH) // BLOCK_SPAN, -((EPOCH - until) // BLOCK_SPAN))
