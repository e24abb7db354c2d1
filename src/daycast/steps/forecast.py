"""Issue the next 24 hours: the champion reads what was known at t0 and its quantiles become rows."""

from collections.abc import Collection
from datetime import datetime

import numpy as np
import polars as pl

from daycast.errors import ConfigError, ModelError, NotEnoughDataError
from daycast.model.calibration_rows import from_rows
from daycast.model.checkpoint import load_checkpoint
from daycast.model.forecaster import Forecaster
from daycast.model.windows import REGIMES, Windows
from daycast.prepare.covariates import OLDEST_H
from daycast.prepare.network import make_network
from daycast.quality.contracts import QUANTILE_COLUMNS, forecasts_contract, validate_frame
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.long_rows import make_long_rows
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR, UTC_TIME, floor_hour
from daycast.verify.serving import assign, pick
from daycast.warehouse.calibrations import read_calibrations
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.covariates import read_covariates
from daycast.warehouse.forecasts import replace_forecasts
from daycast.warehouse.models import read_champion, read_substitutes
from daycast.warehouse.observations import read_stations, read_versions


def issue_forecasts(
    settings: Settings, now: datetime, issued_at: datetime | None = None, stations: Collection[str] = ()
) -> pl.DataFrame:
    """Forecast from `issued_at`, by default the last full hour, for every station heard of in the week before.

    The forecasts are written, and returned as they are in the table.

    Only what was observed at or before issued_at and received by then is read. Raises ModelError without a champion,
    ConfigError for a station that is not there, NotEnoughDataError where no station was heard of.
    """
    t0 = issued_at or floor_hour(now)
    if t0 != floor_hour(t0) or t0 > now:
        raise ConfigError(f"{t0.isoformat()} cannot be an hour of issue: give a full hour that is not in the future")
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        champion = read_champion(con)
        substitutes = read_substitutes(con, str(champion["model_id"])) if champion else ()
        calibrated = read_calibrations(con, str(champion["model_id"]) if champion else "", t0)
        known = read_stations(con)
        versions = read_versions(con, t0 - (HISTORY_HOURS - 1) * HOUR, t0, t0)
        issues = read_covariates(con, t0 - OLDEST_H * HOUR, t0, t0)
    if champion is None:
        raise ModelError("there is no champion to forecast with: run `daycast retrain` first")
    if unknown := sorted(set(stations) - set(known["station_id"])):
        raise ConfigError(f"there is no station {unknown[0]!r}; there are: {', '.join(known['station_id'].head(20))}")
    heard = known.filter(pl.col("station_id").is_in(versions["station_id"].unique().implode()))
    wanted = heard.filter(pl.col("station_id").is_in(list(stations))) if stations else heard
    if wanted.is_empty():
        raise NotEnoughDataError(
            f"no station reported in the {HISTORY_HOURS} hours before {t0.isoformat()}: ingest first"
        )
    usable = keep_usable(versions, list(settings.glossary))
    forecaster = load_checkpoint(settings.checkpoints / str(champion["checkpoint"]), settings.model.device)
    forecaster.calibrations = from_rows(calibrated, forecaster.header.targets, forecaster.device)
    start = t0 - (HISTORY_HOURS - 1) * HOUR
    network = make_network(usable, heard, forecaster.header.channels, start, t0)  # the neighbours of those wanted, too
    at = np.flatnonzero(network.stations["station_id"].is_in(wanted["station_id"].implode()))
    ids, targets = network.stations["station_id"].gather(at).to_list(), forecaster.header.targets
    who = assign(str(champion["forecaster"]), substitutes, ids, targets)
    rows = _forecast_rows(forecaster, who, at, forecaster.open(network, issues), t0).with_columns(
        model_id=pl.lit(str(champion["model_id"])), created_at=pl.lit(now, UTC_TIME)
    )
    served = validate_frame(rows, forecasts_contract(), "forecasts")
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        replace_forecasts(con, served)
    return served


def _forecast_rows(
    forecaster: Forecaster, who: np.ndarray, at: np.ndarray, windows: Windows, t0: datetime
) -> pl.DataFrame:
    """who: the name of the forecaster of each station and target, (S, V); at: where these stations stand in the windows, (S,)."""
    names = [str(name) for name in np.unique(who)]
    issues = windows.network.stations.select(pl.col("station_id").gather(at)).with_columns(
        issued_at=pl.lit(t0, UTC_TIME)
    )
    origins = np.full(len(at), windows.network.index_of(t0))
    parts = []
    for part, quantiles, _, regime in forecaster.predict(windows, at, origins, names):
        keys = issues[part].with_columns(pl.Series("input_regime", np.array(REGIMES)[regime]))
        served = make_long_rows(pick(quantiles, who[part]), QUANTILE_COLUMNS, keys, forecaster.header.targets)
        parts.append(served.with_columns(pl.Series("forecaster", np.repeat(who[part].ravel(), HORIZON_HOURS))))
    return pl.concat(parts).with_columns(value=pl.col("q50"))
