"""Which stations are served: those of the sources that are configured. The others are retired, and their history is kept.

`read_serving_stations` is what every step that trains or forecasts reads. A station is retired if every source that delivered it
is no longer configured, or was retired by hand; it serves again once one of them is configured again, or restored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import polars as pl

from daycast.errors import ConfigError, did_you_mean
from daycast.settings import Settings
from daycast.warehouse.observations import read_stations
from daycast.warehouse.readings import (
    read_out_of_serving,
    read_retired_sources,
    read_station_sources,
    restore_source,
    retire_source,
    update_retired_stations,
)


@dataclass(frozen=True)
class SourceState:
    """One source, configured or not: what it delivers, and whether its stations are served."""

    source: str
    configured: bool
    retired_at: datetime | None  # by hand
    stations: int  # that it delivered
    retired: int  # of these, how many are not served

    @property
    def is_retired(self) -> bool:
        """Whether its stations are out of serving, unless another source delivers them too."""
        return not self.configured or self.retired_at is not None

    def __str__(self) -> str:
        plural = "" if self.stations == 1 else "s"
        if not self.is_retired:
            return f"{self.source}: {self.stations:,} station{plural}, served"
        why = f"retired on {self.retired_at:%Y-%m-%d}" if self.retired_at else "no longer configured"
        others = (
            f", {self.stations - self.retired:,} of them served by other sources"
            if self.retired < self.stations
            else ""
        )
        back = f"`daycast sources restore {self.source}`" if self.retired_at else "configure it again"
        return (
            f"{self.source} ({self.stations:,} station{plural}{others}): {why}, its history is kept; {back} to serve it"
        )


def read_serving_stations(con: duckdb.DuckDBPyConnection, settings: Settings) -> pl.DataFrame:
    """The station list without retired stations: columns as from `read_stations`, sorted by id."""
    retired = read_out_of_serving(con, _configured(settings))["station_id"]
    return read_stations(con).filter(~pl.col("station_id").is_in(retired.implode()))


def read_undelivered(con: duckdb.DuckDBPyConnection, settings: Settings, variables: Sequence[str]) -> pl.DataFrame:
    """station_id, variable: which of `variables` none of a station's sources, as they are configured now, can deliver.

    Nothing is known of stations that no configured source delivered.
    """
    measured, by_hand = settings.measured, read_retired_sources(con)
    delivers = pl.DataFrame(
        [
            (source, name, name in names)
            for source, names in measured.items()
            if source not in by_hand
            for name in variables
        ],
        schema={"source": pl.String, "variable": pl.String, "delivers": pl.Boolean},
        orient="row",
    )
    of_stations = read_station_sources(con).join(delivers, on="source")
    pairs = of_stations.group_by("station_id", "variable").agg(pl.col("delivers").any())
    return pairs.filter(~pl.col("delivers")).select("station_id", "variable")


def update_retirements(con: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> None:
    """Bring the table of retired stations, which the published views read, in line with the configuration."""
    update_retired_stations(con, _configured(settings), now)


def list_sources(settings: Settings, now: datetime) -> list[SourceState]:
    """Every source that is configured or ever delivered readings: first those that serve."""
    with settings.warehouse.read(now) as con:
        return read_sources(con, settings)


def read_sources(con: duckdb.DuckDBPyConnection, settings: Settings) -> list[SourceState]:
    """The same from an open warehouse."""
    configured, by_hand, delivered = _configured(settings), read_retired_sources(con), read_station_sources(con)
    retired = delivered.join(read_out_of_serving(con, configured), on=["source", "station_id"], how="semi")
    counts, out = (dict(frame.group_by("source").len().iter_rows()) for frame in (delivered, retired))
    names = [*configured, *sorted({*counts, *by_hand} - set(configured))]
    states = [
        SourceState(name, name in configured, by_hand.get(name), counts.get(name, 0), out.get(name, 0))
        for name in names
    ]
    return sorted(states, key=lambda one: one.is_retired)


def retire(settings: Settings, name: str, now: datetime) -> SourceState:
    """Take the stations of a source out of serving, until it is restored. Raises ConfigError if there is no such source."""
    return _change(settings, name, now, retires=True)


def restore(settings: Settings, name: str, now: datetime) -> SourceState:
    """Take back that a source was retired by hand. Raises ConfigError if there is no such source."""
    return _change(settings, name, now, retires=False)


def _change(settings: Settings, name: str, now: datetime, *, retires: bool) -> SourceState:
    with settings.warehouse.write(now) as con:
        names = [one.source for one in read_sources(con, settings)]
        if name not in names:
            raise ConfigError(f"there is no source {name!r}{did_you_mean(name, names)}; there are: {', '.join(names)}")
        if retires:
            retire_source(con, name, now)
        else:
            restore_source(con, name)
        update_retirements(con, settings, now)
        return next(one for one in read_sources(con, settings) if one.source == name)


def _configured(settings: Settings) -> list[str]:
    return [source.name for source in settings.sources]
