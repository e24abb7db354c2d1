"""Train a challenger and judge it: snapshot, fit (which needs no warehouse), judge, register."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

import daycast
from daycast.errors import ModelError, NotEnoughDataError
from daycast.model.baselines import BASELINES
from daycast.model.checkpoint import load_checkpoint, read_header, save_checkpoint
from daycast.model.config import ModelConfig
from daycast.model.fit import fit_forecaster
from daycast.model.forecaster import Forecaster, Header
from daycast.model.train import Progress
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.evaluate import open_block
from daycast.steps.evaluate_daily import evaluate_daily
from daycast.times import HORIZON_HOURS, floor_hour, parse_duration
from daycast.variables import Variable
from daycast.verify.judgement import judge_daily
from daycast.verify.promotion import CHAMPION, Decision
from daycast.verify.serving import assign
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.models import ModelEntry, read_champion, read_substitutes, register_model
from daycast.warehouse.observations import read_extent, read_stations, read_versions

_log = logging.getLogger("daycast")
JUDGE_EVERY_H = (
    5  # hours between the hours of issue of a judgement: no divisor of 24, so that every time of day takes part
)


@dataclass(frozen=True)
class Outcome:
    """What a retraining came to."""

    model_id: str
    decision: Decision


def retrain_is_due(settings: Settings, now: datetime) -> bool:
    """Whether there is no champion, or the newest model was registered at least retrain.every ago."""
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        if read_champion(con) is None:
            return True
        newest: datetime = con.sql("select max(registered_at) as at from models").pl().item()
    return now - newest >= parse_duration(settings.retrain.every)


def write_snapshot(settings: Settings, now: datetime) -> Path:
    """Write what is known at `now` of all stations as a folder of Parquet files named after their content, and return it."""
    variables = settings.glossary
    with open_warehouse(settings.warehouse, variables.values(), now) as con:
        first, last = read_extent(con, now)
        if first is None or last is None:
            raise NotEnoughDataError("there is no observation yet: ingest something first")
        versions = keep_usable(read_versions(con, first, min(last, floor_hour(now)), now), list(variables))
        stations = read_stations(con)
    settings.snapshots.mkdir(parents=True, exist_ok=True)
    beside = settings.snapshots / "observations.tmp"
    versions.write_parquet(beside)
    folder = settings.snapshots / hashlib.sha256(beside.read_bytes()).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    stations.write_parquet(folder / "stations.parquet")
    beside.replace(folder / "observations.parquet")  # last: a snapshot with observations is whole
    return folder


def fit_snapshot(
    snapshot: Path,
    checkpoints: Path,
    glossary: Mapping[str, Variable],
    config: ModelConfig,
    watch: Callable[[Progress], None],
) -> Path:
    """Fit a forecaster to a snapshot and return its checkpoint; an equal fit that was made before is not made again."""
    path = place_checkpoint(snapshot, checkpoints, glossary, config)
    if not path.exists():
        versions = pl.scan_parquet(snapshot / "observations.parquet")
        stations = pl.read_parquet(snapshot / "stations.parquet")
        save_checkpoint(fit_forecaster(versions, stations, glossary, config, snapshot.name, watch), path)
    return path


def place_checkpoint(snapshot: Path, checkpoints: Path, glossary: Mapping[str, Variable], config: ModelConfig) -> Path:
    """Where the checkpoint of this very fit lies, or will lie."""
    request = json.dumps([snapshot.name, asdict(config), sorted(glossary), daycast.__version__], sort_keys=True)
    return checkpoints / f"{hashlib.sha256(request.encode()).hexdigest()[:16]}.safetensors"


def judge(settings: Settings, checkpoint: Path, now: datetime) -> tuple[Decision, pl.DataFrame]:
    """Score the challenger, its baselines and the champion, as it serves, on the hours since the challenger was calibrated.

    Returns the decision that a paired test over the days of issue comes to, and the scores.

    The scores are those of `judgements`: none of what they are made of was used in fitting the challenger.
    """
    header = read_header(checkpoint)
    since = datetime.fromisoformat(header.calibrated_until)
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        champion = read_champion(con)
        substitutes = read_substitutes(con, str(champion["model_id"])) if champion else ()
        versions, stations = read_versions(con, since, floor_hour(now), now), read_stations(con)
    naive_only = not header.cell
    if naive_only:  # too little history for a block of its own: the baselines are judged on what they were fitted on
        versions = _all_versions(settings, now)
    versions = keep_usable(versions, list(settings.glossary))
    forecaster = load_checkpoint(checkpoint, header.config.device, refreshed=False)
    block = open_block(forecaster, versions, stations, every=JUDGE_EVERY_H, whole_history=not naive_only)
    ids, targets = block.windows.network.stations["station_id"].to_list(), forecaster.header.targets
    scores, daily = evaluate_daily(
        block, forecaster, {name: assign(name, (), ids, targets) for name in forecaster.names}
    )
    rival = _load_champion(settings, champion, checkpoint, header.config.device)
    if champion is not None and rival is not None:
        other = open_block(rival, versions, stations, every=JUDGE_EVERY_H, whole_history=not naive_only)
        same = replace(other, stations=block.stations, origins=block.origins)  # whatever else it could forecast
        who = assign(str(champion["forecaster"]), substitutes, ids, rival.header.targets)
        theirs, served = evaluate_daily(same, rival, {CHAMPION: who})
        scores = pl.concat([scores, theirs], how="diagonal")
        daily[CHAMPION] = served[CHAMPION].variables(rival.header.targets, targets)
    if scores.is_empty():
        raise NotEnoughDataError(f"no forecast of the newest {HORIZON_HOURS} hours can be judged yet: ingest more")
    baselines = [name for name in BASELINES if name in forecaster.names]
    decision = judge_daily(daily, header.cell, baselines, targets, ids, settings.retrain.significance)
    return decision, scores.with_columns(since=pl.lit(block.since), until=pl.lit(block.until))


def _load_champion(
    settings: Settings, champion: Mapping[str, object] | None, checkpoint: Path, device: str
) -> Forecaster | None:
    """The champion's forecaster, unless it is of this very fit; None and a warning where it cannot be read any more."""
    if champion is None or champion["checkpoint"] == checkpoint.name:
        return None
    try:
        return load_checkpoint(settings.checkpoints / str(champion["checkpoint"]), device, refreshed=False)
    except ModelError as error:
        _log.warning("the champion %s takes no part in the judgement: %s", champion["model_id"], error)
        return None


def register(settings: Settings, checkpoint: Path, decision: Decision, scores: pl.DataFrame, now: datetime) -> Outcome:
    """Register the challenger and, where the decision says so, the baseline that serves in its place; change the champion."""
    header = read_header(checkpoint)
    served = decision.winner if decision.promoted else header.cell
    forecasters = dict.fromkeys(name for name in (header.cell, served) if name)  # the one that serves last
    entries = [_entry(name, header, checkpoint, decision, now) for name in forecasters]
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        champion = read_champion(con)
        for entry in entries:
            if champion is None or champion["model_id"] != entry.model_id:  # else this was carried out before
                substitutes = decision.substitutes.get(entry.forecaster, ())
                promote = decision.promoted and entry is entries[-1]
                register_model(con, entry, scores, substitutes, promote=promote)
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


def _all_versions(settings: Settings, now: datetime) -> pl.DataFrame:
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        first, last = read_extent(con, now)
        return read_versions(con, first or now, last or now, now)
