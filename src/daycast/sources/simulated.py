"""The simulated network: the built-in demonstration, and the ground truth for tests of quality control."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from daycast.sources.delivery import ISSUE_KEYS, READING_KEYS, Delivery, no_problems
from daycast.sources.simulation.noise import EPOCH
from daycast.sources.simulation.outlook import ERRORS, block_outlooks
from daycast.sources.simulation.places import Network, station_list
from daycast.sources.simulation.readings import BLOCK_SPAN, MOST_STATIONS, block_readings, block_truth
from daycast.sources.simulation.weather import VARIABLES
from daycast.times import floor_hour, parse_duration
from daycast.variables import Variable


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
    trouble: bool = True  # gaps, stuck values, spikes, late, doubled and corrected readings
    forecasts: bool = (
        False  # somebody else's forecasts too, four a day: the truth with an error that grows with the lead
    )

    def fetch(
        self,
        since: datetime | None,
        until: datetime,
        variables: Mapping[str, Variable],
        seen: Collection[str],
    ) -> Iterator[Delivery]:
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
                block_readings(self._network, block, trouble=self.trouble)
                .filter((received > first) & (received <= last))
                .select(columns)
            )
            if readings.height:
                origin = f"{self.name} {first:%Y-%m-%dT%H:%MZ}..{last:%Y-%m-%dT%H:%MZ}"
                yield Delivery(origin, fingerprint, readings, raw=readings, problems=no_problems(), complete=True)
        if self.forecasts:
            yield from self._outlooks(start, until, variables, seen)

    def _outlooks(
        self, start: datetime, until: datetime, variables: Mapping[str, Variable], seen: Collection[str]
    ) -> Iterator[Delivery]:
        """The forecasts that were received in (start, until], in the same pieces."""
        columns = [*ISSUE_KEYS, *(name for name in ERRORS if name in variables)]
        received = pl.col("received_at")
        for block in _blocks(start, until):
            first, last = max(start, EPOCH + block * BLOCK_SPAN), min(until, EPOCH + (block + 1) * BLOCK_SPAN)
            fingerprint = self._fingerprint(first, last, columns)
            if fingerprint in seen:
                continue
            inside = (received > first) & (received <= last)
            issues = block_outlooks(self._network, block).filter(inside).select(columns)
            if issues.height:
                origin = f"{self.name} forecasts {first:%Y-%m-%dT%H:%MZ}..{last:%Y-%m-%dT%H:%MZ}"
                yield Delivery(origin, fingerprint, issues, raw=issues, problems=no_problems(), complete=True)

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
        blocks = (block_truth(self._network, block, trouble=self.trouble) for block in _blocks(since, until))
        return pl.concat([block.filter((hour > since) & (hour <= until)) for block in blocks])

    @property
    def _network(self) -> Network:
        return Network(self.seed, self.station_count, self.latitude, self.longitude, self.extent_km)

    def _fingerprint(self, first: datetime, last: datetime, columns: list[str]) -> str:
        read_as = self.model_dump_json(exclude={"history", "forecasts"})  # neither changes a reading
        return hashlib.sha256(repr((read_as, first.isoformat(), last.isoformat(), columns)).encode()).hexdigest()


def _blocks(since: datetime, until: datetime) -> range:
    """The blocks (start, end] that share an instant with (since, until]."""
    return range((since - EPOCH) // BLOCK_SPAN, -((EPOCH - until) // BLOCK_SPAN))
