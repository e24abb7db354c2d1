"""A simulated network as `fit_forecaster` takes it: versions of checked observations, with holes."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from daycast.sources.simulated import SimulatedSource

UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
VARIABLES = ("air_temperature_c", "dew_point_c", "sea_level_pressure_hpa", "wind_speed_m_s", "precipitation_mm")
HOLES = 0.02  # share of the readings that are missing


def make_versions(stations: int, history: timedelta) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Versions of every station and hour but the holes, each known at its hour, and the station list."""
    source = SimulatedSource(stations=stations, history=history)
    truth = source.truth(UNTIL - history, UNTIL)
    hour = pl.col("valid_time")
    versions = truth.select(
        "station_id",
        hour.alias("observed_at"),
        hour.alias("known_from"),
        pl.lit(None, pl.Datetime("us", "UTC")).alias("known_until"),
        *VARIABLES,
    ).sort("station_id", "observed_at")
    kept = np.random.default_rng(1).random(len(versions)) >= HOLES
    return versions.filter(kept), source.stations()
