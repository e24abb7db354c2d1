"""From a snapshot to a checkpoint, in this very process."""

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from daycast.model.checkpoint import save_checkpoint
from daycast.model.circumstances import Circumstances
from daycast.model.config import ModelConfig
from daycast.model.fit import fit_forecaster
from daycast.model.train import Progress
from daycast.variables import Variable


def fit_and_save(
    snapshot: Path,
    checkpoint: Path,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    circumstances: Circumstances,
    watch: Callable[[Progress], None],
) -> None:
    """Fit a forecaster to the Parquet files of a snapshot and write its checkpoint; of several processes the first one does."""
    versions = pl.scan_parquet(snapshot / "observations.parquet", glob=False)  # a folder may be called "[garden]"
    stations = pl.read_parquet(snapshot / "stations.parquet", glob=False)
    issues = snapshot / "covariates.parquet"
    covariates = pl.read_parquet(issues, glob=False) if issues.exists() else None
    forecaster = fit_forecaster(versions, stations, glossary, config, snapshot.name, watch, circumstances, covariates)
    if circumstances.ranks.rank == 0:
        save_checkpoint(forecaster, checkpoint)
