"""What a retraining would do."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path

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
from daycast.steps.fit import fit_and_save, fit_in_processes
from daycast.times import HOUR, floor_hour, parse_duration
from daycast.variables import Variable
from daycast.warehouse.forecasts import read_external_forecasts
from daycast.warehouse.models import ModelEntry, ModelRow, read_champion, read_models, register_model
from daycast.warehouse.observations import read_extent, read_stations, read_versions

# Train a challenger: snapshot, fit (which needs no warehouse), and register what the judgement said.


_log = logging.getLogger("daycast")


@dataclass(frozen=True)
class Outcome:
    """What a retraining came to."""

    model_id: str
    decision: Decision


def has_champion(settings: Settings, now: datetime) -> bool:
    """Whether there is a model to forecast with."""
    with settings.warehouse.read(now) as con:
        return read_champion(con) is not None


def minutes_due(settings: Settings, now: datetime) -> float | None:
    """How many minutes the training may take that is due now; None where none is due.

    One is due where no networks were trained yet, which gets `model.first_max_minutes`, and `retrain.every` after the last one,
    which gets `model.max_minutes`. Where networks are not wanted, or there is too little history for them, a fit of the
    baselines counts. A model registered later than now, by a clock that was wrong, does not.
    """
    with settings.warehouse.read(now) as con:
        champion, models = read_champion(con), read_models(con)
    by_now = models.filter(pl.col("registered_at") <= now + HOUR)
    newest_first = (ModelRow(**row) for row in by_now.sort("registered_at", descending=True).to_dicts())
    trained = next((model.registered_at for model in newest_first if _is_full_fit(settings, model)), None)
    if champion is None or trained is None:
        return settings.model.first_max_minutes
    return settings.model.max_minutes if now - trained >= parse_duration(settings.retrain.every) else None


def _is_full_fit(settings: Settings, model: ModelRow) -> bool:
    """Whether networks were trained if they are wanted and there was enough history; so where the file is gone or damaged."""
    try:
        members = read_header(settings.checkpoints / model.checkpoint).config.ensemble_size
    except Exception:  # noqa: BLE001 - damaged in whatever way
        return True
    return members > 0 or settings.model.ensemble_size == 0


def find_champion(settings: Settings, now: datetime) -> str | None:
    """The checkpoint that a warm start begins with, by name; none and a log line where there is no champion yet."""
    with settings.warehouse.read(now) as con:
        champion = read_champion(con)
    if champion is None:
        _log.info("there is no champion to begin with: training begins from scratch")
    return None if champion is None else champion.checkpoint


def write_snapshot(settings: Settings, now: datetime) -> Path:
    """Write what is known at `now` of all stations as a folder of Parquet files named after their content, and return it."""
    variables = settings.glossary
    with settings.warehouse.read(now) as con:
        first, last = read_extent(con, now)
        if first is None or last is None:
            raise NotEnoughDataError("there is no observation yet: ingest something first")
        versions = keep_usable(read_versions(con, first, min(last, floor_hour(now)), now), list(variables))
        stations = read_stations(con)
        external_forecasts = read_external_forecasts(con, first - OLDEST_H * HOUR, now, now)
    frames = {"stations": stations, "external_forecasts": external_forecasts, "observations": versions}
    files = {
        name: _as_parquet(frame)
        for name, frame in frames.items()
        if name != "external_forecasts" or not frame.is_empty()
    }
    content = hashlib.sha256()
    for file in files.values():
        content.update(file)
    folder = settings.snapshots / content.hexdigest()[:16]
    for name, file in files.items():  # the observations last: a snapshot with observations is whole
        with atomic_write(folder / f"{name}.parquet") as draft:
            draft.write_bytes(file)
    return folder


def _as_parquet(frame: pl.DataFrame) -> bytes:
    file = BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def fit_snapshot(
    snapshot: Path,
    checkpoints: Path,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    watch: Callable[[Progress], None],
    champion: str | None = None,
) -> Path:
    """Fit a forecaster to a snapshot and return its checkpoint; an equal fit that was made before is not made again.

    One that was interrupted goes on after the last epoch whose state lies beside the checkpoint. champion: name of the
    checkpoint, among the others, whose networks the new ones begin with.
    """
    path = place_checkpoint(snapshot, checkpoints, glossary, config, champion)
    if not _is_whole(path):
        begin = checkpoints / champion if champion else None
        if config.processes > 1:
            fit_in_processes(snapshot, path, glossary, config, begin)
        else:
            fit_and_save(snapshot, path, glossary, config, TrainContext(path.with_suffix(""), begin), watch)
    forget_states(path.with_suffix(""))
    return path


def _is_whole(checkpoint: Path) -> bool:
    """Whether it is there and can serve; one that is damaged is made again."""
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
    """Where the checkpoint of this very fit lies, or will lie."""
    parts = [snapshot.name, asdict(config), sorted(glossary), daycast.__version__, *([champion] if champion else [])]
    request = json.dumps(parts, sort_keys=True)
    return checkpoints / f"{hashlib.sha256(request.encode()).hexdigest()[:16]}.safetensors"


def register(settings: Settings, checkpoint: Path, decision: Decision, scores: pl.DataFrame, now: datetime) -> Outcome:
    """Register the challenger and, where the decision says so, the baseline that serves in its place; change the champion."""
    header = read_header(checkpoint)
    served = decision.winner if decision.promoted else header.cell
    forecasters = dict.fromkeys(name for name in (header.cell, served) if name)  # the one that serves last
    entries = [_entry(name, header, checkpoint, decision, now) for name in forecasters]
    with settings.warehouse.write(now) as con:
        champion = read_champion(con)
        for entry in entries:
            if champion is None or champion.model_id != entry.model_id:  # else this was carried out before
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
    """What is trained, on what, where and for how long at most, and whom it has to beat."""

    model: ModelConfig
    stations: int
    since: datetime
    until: datetime
    where: str
    champion: str | None

    @property
    def too_little(self) -> str:
        """Why there can be no networks, and baselines are fitted alone; empty where there can be."""
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
            what = f"the naive baselines alone ({self.too_little})"
        begun = f", beginning with {self.champion}" if model.warm_start and self.champion else ""
        span = f"{self.stations} stations, {self.since:%Y-%m-%d} to {self.until:%Y-%m-%d %H:%M} UTC"
        rivals = f"{self.champion} and the baselines" if self.champion else "the baselines, there is no champion"
        return f"{what}{begun}, on {span}, {self.where}; judged against {rivals}"


def plan_retraining(settings: Settings, model: ModelConfig, now: datetime) -> RetrainingPlan:
    """What a retraining with this model configuration would do now; nothing is written. Raises NotEnoughDataError."""
    with settings.warehouse.read(now) as con:
        first, last = read_extent(con, now)
        champion, stations = read_champion(con), len(read_stations(con))
    if first is None or last is None:
        raise NotEnoughDataError("there is no observation yet: ingest something first")
    pool = settings.retrain.fit_on
    where = "in this very run" if pool == "here" else f"by a worker of the pool {pool}"
    until = min(last, floor_hour(now))
    return RetrainingPlan(model, stations, first, until, where, champion.model_id if champion else None)
