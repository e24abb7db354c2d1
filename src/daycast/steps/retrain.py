"""Train a challenger and judge it: snapshot, fit (which needs no warehouse), judge, register."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

import daycast
from daycast.errors import ModelError, NotEnoughDataError
from daycast.model.baselines import BASELINES
from daycast.model.checkpoint import load_checkpoint, read_header
from daycast.model.circumstances import Circumstances
from daycast.model.config import ModelConfig
from daycast.model.forecaster import Forecaster, Header
from daycast.model.resume import forget_states
from daycast.model.train import Progress
from daycast.prepare.covariates import OLDEST_H
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.calibrate_weekly import calibrate_weekly
from daycast.steps.evaluate import open_block
from daycast.steps.evaluate_daily import evaluate_daily
from daycast.steps.fit import fit_and_save
from daycast.steps.fit_distributed import fit_in_processes
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR, floor_hour, parse_duration
from daycast.variables import Variable
from daycast.verify.judgement import judge_daily
from daycast.verify.promotion import CHAMPION, Decision
from daycast.verify.serving import assign
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.covariates import read_covariates
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


def find_champion(settings: Settings, now: datetime) -> str | None:
    """The checkpoint that a warm start begins with, by name; none and a log line where there is no champion yet."""
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        champion = read_champion(con)
    if champion is None:
        _log.info("there is no champion to begin with: training begins from scratch")
    return None if champion is None else str(champion["checkpoint"])


def write_snapshot(settings: Settings, now: datetime) -> Path:
    """Write what is known at `now` of all stations as a folder of Parquet files named after their content, and return it."""
    variables = settings.glossary
    with open_warehouse(settings.warehouse, variables.values(), now) as con:
        first, last = read_extent(con, now)
        if first is None or last is None:
            raise NotEnoughDataError("there is no observation yet: ingest something first")
        versions = keep_usable(read_versions(con, first, min(last, floor_hour(now)), now), list(variables))
        stations = read_stations(con)
        covariates = read_covariates(con, first - OLDEST_H * HOUR, now, now)
    settings.snapshots.mkdir(parents=True, exist_ok=True)
    beside = settings.snapshots / "observations.tmp"
    versions.write_parquet(beside)
    content = hashlib.sha256(beside.read_bytes())
    if not covariates.is_empty():
        issues = settings.snapshots / "covariates.tmp"
        covariates.write_parquet(issues)
        content.update(issues.read_bytes())
    folder = settings.snapshots / content.hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    if not covariates.is_empty():
        issues.replace(folder / "covariates.parquet")
    stations.write_parquet(folder / "stations.parquet")
    beside.replace(folder / "observations.parquet")  # last: a snapshot with observations is whole
    return folder


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
    if not path.exists():
        begin = checkpoints / champion if champion else None
        if config.processes > 1:
            fit_in_processes(snapshot, path, glossary, config, begin)
        else:
            fit_and_save(snapshot, path, glossary, config, Circumstances(path.with_suffix(""), begin), watch)
    forget_states(path.with_suffix(""))
    return path


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


def judge(settings: Settings, checkpoint: Path, now: datetime) -> tuple[Decision, pl.DataFrame]:
    """Score the challenger, its baselines and the champion, as it serves, on the hours since the challenger was calibrated.

    Returns the decision that a paired test over the days of issue comes to, and the scores. All are calibrated anew every
    week by what was known of them then, as whoever serves is.

    The scores are those of `judgements`: none of what they are made of was used in fitting the challenger.
    """
    header = read_header(checkpoint)
    since = datetime.fromisoformat(header.calibrated_until)
    first = datetime.fromisoformat(header.trained_until) - (HISTORY_HOURS - 1) * HOUR
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        champion = read_champion(con)
        substitutes = read_substitutes(con, str(champion["model_id"])) if champion else ()
        versions, stations = read_versions(con, first, floor_hour(now), now), read_stations(con)
        issues = read_covariates(con, first + (HISTORY_HOURS - 1 - OLDEST_H) * HOUR, now, now)
    naive_only = not header.cell
    if naive_only:  # too little history for a block of its own: the baselines are judged on what they were fitted on
        versions = _all_versions(settings, now)
    versions = keep_usable(versions, list(settings.glossary))
    forecaster = load_checkpoint(checkpoint, header.config.device, refreshed=False)
    open_for = partial(
        open_block,
        versions=versions,
        stations=stations,
        every=JUDGE_EVERY_H,
        since=None if naive_only else since + (HISTORY_HOURS - 1) * HOUR,
        whole_history=not naive_only,
        covariates=issues,
    )
    block = open_for(forecaster)
    if not naive_only:
        calibrate_weekly(forecaster, forecaster.names, block)
    ids, targets = block.windows.network.stations["station_id"].to_list(), forecaster.header.targets
    scores, daily = evaluate_daily(
        block, forecaster, {name: assign(name, (), ids, targets) for name in forecaster.names}
    )
    rival = _load_champion(settings, champion, checkpoint, header.config.device)
    if champion is not None and rival is not None:
        other = open_for(rival)
        same = replace(other, stations=block.stations, origins=block.origins)  # whatever else it could forecast
        calibrate_weekly(rival, sorted({str(champion["forecaster"]), *(one.forecaster for one in substitutes)}), same)
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
