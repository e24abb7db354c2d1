"""Verify: score served forecasts and their baselines against observations, and look for drift of the champion."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import duckdb
import polars as pl

from daycast.evaluation.drift import Drift, DriftLimits, find_drifts
from daycast.evaluation.scores import score_rows
from daycast.features.panel import make_panel
from daycast.model.baselines import BASELINES
from daycast.model.checkpoint import load_checkpoint
from daycast.quality.contracts import QUANTILE_COLUMNS
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.to_long import to_long
from daycast.times import DAY, HISTORY_HOURS, HOUR, UTC_TIME
from daycast.warehouse.forecasts import read_days_to_score, read_forecasts_of_days, replace_scores, write_verification
from daycast.warehouse.models import (
    ModelRow,
    add_drifts,
    find_model,
    read_champion,
    read_daily_scores,
    read_drifts,
    read_fallbacks,
    read_holdout_crps,
)
from daycast.warehouse.observations import read_stations, read_versions

_DAYS_AT_ONCE = 7  # of forecasts, with the week before them that the baselines read
_KEY = ["station_id", "issued_at", "variable", "lead_hours"]
_MODEL = {"model_id": pl.String(), "forecaster": pl.String()}
_BY = ["model_id", "forecaster", "station_id", "variable", "lead_hours", "valid_on"]


def verify_forecasts(settings: Settings, now: datetime, until: datetime | None = None) -> int:
    """Bring `scores` up to date with what was known by `until`, by default `now`. Returns how many forecast rows were scored.

    Days with a new observation, a correction or a new forecast since the last verification are scored again as a whole, a few
    days at a time; other days are not read. A call that is killed is made up for by the next one. Values that failed their
    checks meanwhile no longer count as truth, and scores that rested only on them are deleted. Backfilled forecasts are not
    scored, because nobody was served them. Scores record when they were written (`scored_at`) and `until` (`as_of`); after a
    verification as of a past moment, the next call starts from that moment.
    """
    with settings.warehouse.read(now) as con:
        days = read_days_to_score(con, now)
    scored = sum(_score_days(settings, some, now, until) for some in days.iter_slices(_DAYS_AT_ONCE))
    if len(days):
        with settings.warehouse.write(now) as con:
            write_verification(con, now, until or now)
    return scored


def _score_days(settings: Settings, days: pl.DataFrame, now: datetime, until: datetime | None) -> int:
    """Score all forecasts of these days anew, see `verify_forecasts`. The warehouse is open while they are read and written."""
    as_of = until or now
    with settings.warehouse.read(now) as con:
        found = read_forecasts_of_days(con, days, as_of)
        served = found.filter(pl.col("backfilled").eq_missing(True).not_())
        stations = read_stations(con)
        models = {name: find_model(con, name) for name in served["model_id"].unique().sort()}
        versions = keep_usable(_read_truth(con, served, as_of), list(settings.glossary)) if len(served) else None
    if found.is_empty():
        return 0
    scored = None
    if versions is not None:
        observed = _to_observed_rows(versions, list(settings.glossary))
        served = served.join(observed, on=["station_id", "valid_at", "variable"], how="left")
        scored = pl.concat(
            _score_model(settings, model, served.filter(pl.col("model_id") == name), versions, stations)
            for name, model in models.items()
        ).with_columns(scored_at=pl.lit(now, UTC_TIME), as_of=pl.lit(until, UTC_TIME))
    with settings.warehouse.write(now) as con:
        replace_scores(con, scored, found.select("station_id", valid_on=pl.col("valid_at").dt.date()).unique())
    return 0 if scored is None else _count_served(scored, models)


def _read_truth(con: duckdb.DuckDBPyConnection, served: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The observation versions that the models saw and what came, for these forecasts."""
    since, last = served["issued_at"].min(), served["valid_at"].max()
    return read_versions(con, since - (HISTORY_HOURS - 1) * HOUR, last, as_of)  # type: ignore[operator,arg-type]


def _count_served(scored: pl.DataFrame, models: Mapping[str, ModelRow]) -> int:
    """How many forecast rows these scores are of, without those of the baselines."""
    served = pl.DataFrame([(name, model.forecaster) for name, model in models.items()], schema=_MODEL, orient="row")
    return int(scored.join(served, on=list(_MODEL))["n"].sum())


def _to_observed_rows(versions: pl.DataFrame, variables: list[str]) -> pl.DataFrame:
    """The current observations, one row per value: station_id, valid_at, variable, observed (in the variable's unit).

    They come from the table, not from the model's array, which is scaled in single precision: a dry hour must not become 1e-9 mm.
    """
    current = versions.filter(pl.col("known_until").is_null()).rename({"observed_at": "valid_at"})
    long = current.unpivot(variables, index=["station_id", "valid_at"], variable_name="variable", value_name="observed")
    return long.drop_nulls("observed")


def _score_model(
    settings: Settings, model: ModelRow, served: pl.DataFrame, versions: pl.DataFrame, stations: pl.DataFrame
) -> pl.DataFrame:
    """Scores of one model's served forecasts, and of its baselines for the same stations and hours of issue."""
    name = model.forecaster
    forecaster = load_checkpoint(settings.checkpoints / model.checkpoint, settings.model.device)
    baselines = [other for other in BASELINES if other in forecaster.names and other != name]
    targets = forecaster.header.targets
    start = served["issued_at"].min() - (HISTORY_HOURS - 1) * HOUR  # type: ignore[operator]
    panel = make_panel(versions, stations, forecaster.header.channels, start, served["valid_at"].max())  # type: ignore[arg-type]
    ids = panel.stations.select("station_id").with_row_index("at")
    issued = served.select("station_id", "issued_at").unique(maintain_order=True).join(ids, on="station_id")
    t0 = (issued["issued_at"] - start).dt.total_hours().to_numpy()
    tables = []
    for part, quantiles, _, _ in forecaster.predict(forecaster.open(panel), issued["at"].to_numpy(), t0, baselines):
        keys = issued[part].select("station_id", "issued_at")
        model_rows = served.join(keys, on=["station_id", "issued_at"], how="semi").with_columns(forecaster=pl.lit(name))
        rows = [to_long(quantiles[other], QUANTILE_COLUMNS, keys, targets) for other in baselines]
        baseline_rows = [
            row.with_columns(forecaster=pl.lit(other)).join(model_rows.select(*_KEY, "observed"), on=_KEY)
            for other, row in zip(baselines, rows, strict=True)
        ]
        tables += [
            table.select(*_KEY, "valid_at", "forecaster", "observed", *QUANTILE_COLUMNS)
            for table in [model_rows, *baseline_rows]
        ]
    scored = pl.concat(tables).with_columns(model_id=pl.lit(model.model_id), valid_on=pl.col("valid_at").dt.date())
    return score_rows(scored, QUANTILE_COLUMNS, _BY)


def note_drifts(settings: Settings, now: datetime, until: datetime | None = None) -> tuple[str | None, list[Drift]]:
    """Look for drift of the champion. Returns its id (None without a champion) and the new drifts, which are recorded.

    A drift (variable and measure) is new once per champion. The window ends with the day before `until`, by default `now`,
    because that day is not over.
    """
    limits = DriftLimits(**settings.drift.model_dump())
    with settings.warehouse.read(now) as con:
        champion = read_champion(con)
        if champion is None or champion.promoted_at is None:
            return None, []
        model_id, last = champion.model_id, ((until or now) - DAY).date()
        since = last - timedelta(days=limits.days + limits.lasting)
        daily = read_daily_scores(con, model_id, champion.promoted_at, since, last)
        served_by = {one.variable: one.forecaster for one in read_fallbacks(con, model_id) if one.station_id is None}
        holdout_crps = read_holdout_crps(con, model_id)
        known = {(one.variable, one.measure) for one in read_drifts(con)}
    found = find_drifts(daily, champion.forecaster, holdout_crps, served_by, limits, last)
    new = [one for one in found if (one.variable, one.measure) not in known]
    if new:
        with settings.warehouse.write(now) as con:
            add_drifts(con, new, model_id, now)
    return model_id, new
