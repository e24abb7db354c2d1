"""Train: snapshot the observations, fit a challenger to it, and register the result of its evaluation.

In order: `minutes_due` (is a retraining due? `changes.py` says what makes it due at once), `write_snapshot`, `fit_snapshot`
(needs no warehouse, can run on a GPU worker), then `evaluate.evaluate_holdout`, and `register`. `plan_retraining` tells what a
retraining would do.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

import duckdb
import polars as pl

import daycast
from daycast.errors import ModelError, NotEnoughDataError
from daycast.evaluation.promotion import Decision
from daycast.features.external_forecasts import OLDEST_H
from daycast.features.splits import split_hours
from daycast.files import atomic_write
from daycast.model.checkpoint import check_checkpoint, read_header
from daycast.model.config import ModelConfig
from daycast.model.forecaster import Header
from daycast.model.training.state import TrainContext, forget_states
from daycast.model.training.trainer import Progress
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.changes import is_foreign, list_changes, read_header_or_none, unmeasured
from daycast.steps.fit import fit_and_save, fit_in_processes
from daycast.steps.serving import read_serving_stations
from daycast.times import HOUR, floor_hour, parse_duration
from daycast.variables import Variable
from daycast.warehouse.forecasts import read_external_forecasts
from daycast.warehouse.models import ModelEntry, ModelRow, read_champion, read_models, register_model
from daycast.warehouse.observations import read_extent, read_versions

_log = logging.getLogger("daycast")


@dataclass(frozen=True)
class Outcome:
    """The result of a retraining: the registered model, and the decision on its promotion."""

    model_id: str
    decision: Decision


def has_champion(settings: Settings, now: datetime) -> bool:
    """Whether there is a champion to forecast with, and it was trained on one of the stations at least that are served."""
    with settings.warehouse.read(now) as con:
        champion = read_champion(con)
        if champion is None:
            return False
        header = read_header_or_none(settings.checkpoints / champion.checkpoint)
        return header is None or not is_foreign(header, read_serving_stations(con, settings))


def minutes_due(settings: Settings, now: datetime) -> float | None:
    """How many minutes a training may take that is due now; None if none is due.

    A training is due if no networks were trained yet for any of the stations that are served (`model.first_max_minutes`); and
    `retrain.every` after the last one, or at once if what it should be trained on has changed (`model.max_minutes`). If no
    networks are configured, or there was too little history for them, a fit of the baselines alone counts as a training. Models
    registered in the future, by a wrong clock, do not count.
    """
    with settings.warehouse.read(now) as con:
        champion, trained = read_champion(con), _newest_fit(con, settings, now)
        if champion is None or trained is None:
            return settings.model.first_max_minutes
        header = read_header_or_none(settings.checkpoints / trained.checkpoint)
        if header is not None and is_foreign(header, read_serving_stations(con, settings)):
            return settings.model.first_max_minutes
        changes = () if header is None else list_changes(con, settings, header, now)
    is_old = now - trained.registered_at >= parse_duration(settings.retrain.every)
    return settings.model.max_minutes if is_old or changes else None


def find_changes(settings: Settings, now: datetime) -> tuple[str, ...]:
    """What has changed since the last training and makes another one due at once, in words; empty before the first training."""
    with settings.warehouse.read(now) as con:
        trained = _newest_fit(con, settings, now)
        header = None if trained is None else read_header_or_none(settings.checkpoints / trained.checkpoint)
        return () if header is None else list_changes(con, settings, header, now)


def _newest_fit(con: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> ModelRow | None:
    """The newest model that counts as a training: it has networks, or none are configured, or its checkpoint is unreadable."""
    by_now = read_models(con).filter(pl.col("registered_at") <= now + HOUR).sort("registered_at", descending=True)
    for model in (ModelRow(**row) for row in by_now.to_dicts()):
        header = read_header_or_none(settings.checkpoints / model.checkpoint)
        if header is None or header.config.ensemble_size > 0 or settings.model.ensemble_size == 0:
            return model
    return None


def find_champion(settings: Settings, now: datetime) -> str | None:
    """The file name of the champion's checkpoint, for a warm start; None, with a log line, if there is no champion yet."""
    with settings.warehouse.read(now) as con:
        champion = read_champion(con)
    if champion is None:
        _log.info("there is no champion to start from: training starts from scratch")
    return None if champion is None else champion.checkpoint


def write_snapshot(settings: Settings, now: datetime) -> Path:
    """Write everything known at `now` as a folder of Parquet files, named after a hash of the content. Returns the folder.

    Files: stations, observations (usable versions) and, if there are any, external_forecasts. Stations that are retired, or never
    reported, are left out, and so are the values of variables that no source is asked for any more. Raises NotEnoughDataError if
    there are no observations.
    """
    with settings.warehouse.read(now) as con:
        stations = read_serving_stations(con, settings)
        first, last = read_extent(con, now, stations)
        if first is None or last is None:
            raise NotEnoughDataError("there is no observation yet: ingest something first")
        versions = keep_usable(read_versions(con, first, min(last, floor_hour(now)), now), list(settings.glossary))
        external_forecasts = read_external_forecasts(con, first - OLDEST_H * HOUR, now, now)
    versions = versions.filter(pl.col("station_id").is_in(stations["station_id"].implode()))
    versions = versions.with_columns(pl.lit(None, pl.Float64).alias(name) for name in unmeasured(settings))
    stations = stations.filter(pl.col("station_id").is_in(versions["station_id"].unique().implode()))
    frames = {"stations": stations, "external_forecasts": external_forecasts, "observations": versions}
    files = {
        name: _to_parquet(frame)
        for name, frame in frames.items()
        if name != "external_forecasts" or not frame.is_empty()
    }
    content = hashlib.sha256()
    for file in files.values():
        content.update(file)
    folder = settings.snapshots / content.hexdigest()[:16]
    for name, file in files.items():  # observations come last: a snapshot that has them is complete
        with atomic_write(folder / f"{name}.parquet") as draft:
            draft.write_bytes(file)
    return folder


def _to_parquet(frame: pl.DataFrame) -> bytes:
    file = BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def fit_snapshot(
    snapshot: Path,
    checkpoints: Path,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    progress: Callable[[Progress], None],
    champion: str | None = None,
) -> Path:
    """Fit a forecaster to a snapshot and return its checkpoint; an equal fit made before is reused.

    An interrupted fit continues after the last epoch whose state was saved beside the checkpoint. progress: called after each
    epoch. champion: file name of a checkpoint in `checkpoints` whose networks the new ones start from.
    """
    path = place_checkpoint(snapshot, checkpoints, glossary, config, champion)
    if not _is_whole(path):
        warm_start = checkpoints / champion if champion else None
        if config.processes > 1:
            fit_in_processes(snapshot, path, glossary, config, warm_start)
        else:
            fit_and_save(snapshot, path, glossary, config, TrainContext(path.with_suffix(""), warm_start), progress)
    forget_states(path.with_suffix(""))
    return path


def _is_whole(checkpoint: Path) -> bool:
    """Whether the checkpoint exists and can serve; a damaged one counts as missing, with a warning."""
    if not checkpoint.exists():
        return False
    try:
        check_checkpoint(checkpoint)
    except ModelError as error:
        _log.warning("%s: it is made again", error)
        return False
    return True


def place_checkpoint(
    snapshot: Path,
    checkpoints: Path,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    champion: str | None = None,
) -> Path:
    """The path of the checkpoint of this fit, whether or not it exists: named after a hash of everything that determines it."""
    parts = [snapshot.name, asdict(config), sorted(glossary), daycast.__version__, *([champion] if champion else [])]
    request = json.dumps(parts, sort_keys=True)
    return checkpoints / f"{hashlib.sha256(request.encode()).hexdigest()[:16]}.safetensors"


def register(settings: Settings, checkpoint: Path, decision: Decision, scores: pl.DataFrame, now: datetime) -> Outcome:
    """Register the challenger, and the baseline that was promoted in its place if so decided; promote the winner.

    scores: rows of `holdout_scores` without model_id. The result of `evaluate_holdout` is registered as it is.
    """
    header = read_header(checkpoint)
    served = decision.winner if decision.promoted else header.cell
    forecasters = dict.fromkeys(name for name in (header.cell, served) if name)  # the promoted one comes last
    entries = [_entry(name, header, checkpoint, decision, now) for name in forecasters]
    with settings.warehouse.write(now) as con:
        champion = read_champion(con)
        for entry in entries:
            if champion is None or champion.model_id != entry.model_id:  # otherwise a killed run has already done this
                fallbacks = decision.fallbacks.get(entry.forecaster, ())
                promote = decision.promoted and entry is entries[-1]
                register_model(con, entry, scores, fallbacks, promote=promote)
    return Outcome(entries[-1].model_id if entries else header.model_id, decision)


def _entry(name: str, header: Header, checkpoint: Path, decision: Decision, now: datetime) -> ModelEntry:
    numbers = {**asdict(decision), "validation_loss": header.validation_loss, "trained_until": header.trained_until}
    return ModelEntry(
        model_id=header.model_id if name == header.cell else f"{name}-{header.model_id.split('-', 1)[1]}",
        forecaster=name,
        checkpoint=checkpoint.name,
        data_hash=header.data_hash,
        trained_until=datetime.fromisoformat(header.trained_until),
        registered_at=now,
        reason=decision.reason,
        decision=json.dumps(numbers),
    )


@dataclass(frozen=True)
class RetrainingPlan:
    """What a retraining would do: on which data, where, for how long, and which models the challenger has to beat."""

    model: ModelConfig
    stations: int
    since: datetime
    until: datetime
    where: str
    champion: str | None

    @property
    def too_little(self) -> str:
        """Why no networks can be trained, only baselines; empty if they can."""
        hours = (self.until - self.since) // HOUR + 1
        model = self.model
        try:
            split_hours(hours, model.validation_days, model.holdout_days, model.least_training_days)
        except NotEnoughDataError as error:
            return str(error)
        return ""

    def __str__(self) -> str:
        model = self.model
        most = "as many epochs as fit into" if model.epochs is None else f"at most {model.epochs} epochs each, within"
        cells = "GRU and LSTM in turns" if model.cell == "auto" else model.cell
        what = f"{model.ensemble_size} networks ({cells}), {most} {model.max_minutes:g} minutes"
        if self.too_little:
            what = f"the baselines alone ({self.too_little})"
        begun = f", beginning with {self.champion}" if model.warm_start and self.champion else ""
        span = f"{self.stations} stations, {self.since:%Y-%m-%d} to {self.until:%Y-%m-%d %H:%M} UTC"
        opponents = f"{self.champion} and the baselines" if self.champion else "the baselines, there is no champion"
        return f"{what}{begun}, on {span}, {self.where}; judged against {opponents}"


def plan_retraining(settings: Settings, model: ModelConfig, now: datetime) -> RetrainingPlan:
    """What a retraining with this model configuration would do now; nothing is written.

    Raises NotEnoughDataError if there are no observations.
    """
    with settings.warehouse.read(now) as con:
        serving = read_serving_stations(con, settings)
        first, last = read_extent(con, now, serving)
        champion, stations = read_champion(con), len(serving)
    if first is None or last is None:
        raise NotEnoughDataError("there is no observation yet: ingest something first")
    pool = settings.retrain.fit_on
    where = "in this very run" if pool == "here" else f"by a worker of the pool {pool}"
    until = min(last, floor_hour(now))
    return RetrainingPlan(model, stations, first, until, where, champion.model_id if champion else None)
