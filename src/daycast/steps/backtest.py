"""Backtest: how good a model's forecasts would have been over past hours, using only what was known at each hour."""

from datetime import datetime, timedelta

import polars as pl

from daycast.errors import ConfigError, ModelError
from daycast.features.external_forecasts import OLDEST_H
from daycast.model.calibration.hindcasts import first_hindcast
from daycast.model.checkpoint import load_checkpoint, read_header
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.evaluate import calibrate_weekly, evaluate, open_block
from daycast.steps.serving import read_serving_stations
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR, floor_hour
from daycast.warehouse.forecasts import read_external_forecasts
from daycast.warehouse.models import find_model, read_champion
from daycast.warehouse.observations import read_versions


def backtest(
    settings: Settings, since: datetime, until: datetime, every: timedelta, now: datetime, model_id: str | None = None
) -> tuple[pl.DataFrame, str | None]:
    """Scores of a model (by default the champion) and its baselines, for forecasts issued `every` so often in [since, until).

    The model is recalibrated every week, as in service, from its own forecasts as known by then. Its linear weights are those
    in service, refitted up to the end of training, if the span begins after that; else those of the training block alone.

    Returns one row per model, variable and lead (model, variable, lead_hours, n, mae, rmse, bias, crps, coverage_50, _80, _90; in
    the variable's unit); and a warning, or None, if the model was fitted on hours of the span. Raises ConfigError for a span
    that is empty, not on full hours or without observations, and ModelError if there is no model.
    """
    _check_span(since, until, every)
    with settings.warehouse.read(now) as con:
        model = find_model(con, model_id) if model_id else read_champion(con)
        if model is None:
            raise ModelError("there is no champion to test: run `daycast retrain` first, or name a model with --model")
        checkpoint = settings.checkpoints / model.checkpoint
        first = first_hindcast(read_header(checkpoint), since, [model.forecaster]) - (HISTORY_HOURS - 1) * HOUR
        last = min(until + HORIZON_HOURS * HOUR, floor_hour(now))
        versions = keep_usable(read_versions(con, first, last, now), list(settings.glossary))
        stations = read_serving_stations(con, settings)
        external_forecasts = read_external_forecasts(con, first + (HISTORY_HOURS - 1 - OLDEST_H) * HOUR, last, now)
    unseen = (
        datetime.fromisoformat(read_header(checkpoint).refreshed_until) <= since + HOUR
    )  # t0 itself may be in the fit
    forecaster = load_checkpoint(checkpoint, settings.model.device, refreshed=unseen)
    block = open_block(
        forecaster,
        versions,
        stations,
        every // HOUR,
        since,
        until,
        whole_history=False,
        external_forecasts=external_forecasts,
    )
    served = model.forecaster
    calibrate_weekly(forecaster, [served], block)
    baselines = {name: (forecaster, name) for name in forecaster.names if name != served}
    scores = evaluate(block, {model.model_id: (forecaster, served), **baselines})
    if scores.is_empty():
        raise ConfigError(
            f"nothing was observed after any hour of issue from {since.isoformat()} to {until.isoformat()}"
        )
    return scores.rename({"forecaster": "model"}), _warn_if_seen(forecaster.header.calibrated_until, since)


def _check_span(since: datetime, until: datetime, every: timedelta) -> None:
    if until <= since:
        raise ConfigError(f"--until {until.isoformat()} is not after --since {since.isoformat()}")
    if floor_hour(since) != since or every < HOUR or every % HOUR:
        raise ConfigError(
            f"forecasts are issued on full hours: --since {since.isoformat()} --every {every} does not fit"
        )


def _warn_if_seen(calibrated_until: str, since: datetime) -> str | None:
    seen = datetime.fromisoformat(calibrated_until)
    if seen <= since:
        return None
    return (
        f"the model was fitted and calibrated on hours up to {seen:%Y-%m-%dT%H:%MZ}, so its scores from {since:%Y-%m-%dT%H:%MZ} "
        f"flatter it: start later, or retrain with an earlier --until"
    )
