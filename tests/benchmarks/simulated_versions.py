"""A simulated network as `fit_forecaster` takes it: versions of checked observations, with holes."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from daycast.sources.simulated.source import SimulatedSource

UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
VARIABLES = ("air_temperature_c", "dew_point_c", "sea_level_pressure_hpa", "wind_speed_m_s", "precipitation_mm")
AT_ONCE = 2_500  # stations of one simulated network
HOLES = 0.02  # share of the readings that are missing


def make_versions(stations: int, history: timedelta) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Versions of every station and hour but the holes, each known at its hour, and the station list; by networks of 2,500."""
    parts = [
        _one_network(k, min(stations - first, AT_ONCE), history) for k, first in enumerate(range(0, stations, AT_ONCE))
    ]
    versions, places = (pl.concat(frames) for frames in zip(*parts, strict=True))
    kept = np.random.default_rng(1).random(len(versions)) >= HOLES
    return versions.filter(kept), places


def _one_network(k: int, stations: int, history: timedelta) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The k-th of several networks that stand south of each other, in the order of stations and hours."""
    source = SimulatedSource(stations=stations, history=history, seed=7 + k, latitude=47.0 - 2 * k)
    station, hour = pl.format("{}{}", pl.lit(f"N{k:02}"), "station_id").alias("station_id"), pl.col("valid_time")
    versions = source.truth(UNTIL - history, UNTIL).select(
        station,
        hour.alias("observed_at"),
        hour.alias("known_from"),
        pl.lit(None, pl.Datetime("us", "UTC")).alias("known_until"),
        *VARIABLES,
    )
    return versions.sort("station_id", "observed_at"), source.stations().with_columns(station)
