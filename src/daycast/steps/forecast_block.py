"""The forecasts of a block of stations, made of nothing but what the block holds and the checkpoint that it names."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from daycast.model.calibration_rows import from_rows
from daycast.model.checkpoint import load_checkpoint
from daycast.model.config import MEDIAN
from daycast.model.windows import REGIMES, find_neighbours
from daycast.prepare.network import Network
from daycast.prepare.station_blocks import StationBlock, split_network
from daycast.quality.contracts import QUANTILE_COLUMNS
from daycast.steps.long_rows import make_long_rows
from daycast.times import HORIZON_HOURS, UTC_TIME
from daycast.verify.serving import pick


@dataclass(frozen=True)
class Issue:
    """What the blocks of one hour of issue have in common."""

    t0: datetime
    checkpoint: Path
    device: str
    calibrated: pl.DataFrame  # as of model.calibration_rows


@dataclass(frozen=True)
class ForecastBlock:
    """Some of the stations to be forecast, B."""

    issue: Issue
    stations: StationBlock
    covariates: pl.DataFrame  # what others had forecast for them
    who: np.ndarray  # (B, V) names of forecasters


def make_blocks(
    issue: Issue, network: Network, covariates: pl.DataFrame, wanted: np.ndarray, who: np.ndarray, most: int
) -> Iterator[ForecastBlock]:
    """The `wanted` rows of a network (W,), at most so many a block; who: the forecaster of each station and target, (W, V)."""
    first = 0
    for stations in split_network(network, wanted, find_neighbours(network.stations), most):
        own = covariates.filter(pl.col("station_id").is_in(stations.network.stations["station_id"].implode()))
        yield ForecastBlock(issue, stations, own, who[first : first + len(stations.own)])
        first += len(stations.own)


def forecast_block(block: ForecastBlock) -> pl.DataFrame:
    """The block's rows of the table of forecasts, but for who made them when; in the order of station, variable and lead."""
    issue, stations = block.issue, block.stations
    forecaster = load_checkpoint(issue.checkpoint, issue.device)
    targets = forecaster.header.targets
    forecaster.calibrations = from_rows(issue.calibrated, targets, forecaster.device)
    windows = forecaster.open(stations.network, block.covariates, stations.neighbours)
    issues = stations.network.stations.select(pl.col("station_id").gather(stations.own))
    issues = issues.with_columns(issued_at=pl.lit(issue.t0, UTC_TIME))
    origins = np.full(len(stations.own), stations.network.index_of(issue.t0))
    names = [str(name) for name in np.unique(block.who)]
    parts = []
    for part, quantiles, _, regime in forecaster.predict(windows, stations.own, origins, names):
        keys = issues[part].with_columns(pl.Series("input_regime", np.array(REGIMES)[regime]))
        values = pick(quantiles, block.who[part])
        implausible = forecaster.implausible(stations.network, stations.own[part], origins[0], values[..., MEDIAN])
        parts.append(
            make_long_rows(values, QUANTILE_COLUMNS, keys, targets).with_columns(
                pl.Series("forecaster", np.repeat(block.who[part].ravel(), HORIZON_HOURS)),
                pl.Series("implausible", implausible.transpose(0, 2, 1).ravel()),
            )
        )
    return pl.concat(parts).with_columns(value=pl.col("q50"))
