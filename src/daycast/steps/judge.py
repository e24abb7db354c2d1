"""Judge a challenger: it, its baselines and the champion, on the newest weeks, which had no part in fitting it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from daycast.errors import ModelError, NotEnoughDataError
from daycast.model.baselines import BASELINES
from daycast.model.checkpoint import load_checkpoint, read_header
from daycast.model.forecaster import Forecaster, Header
from daycast.prepare.covariates import OLDEST_H
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.calibrate_weekly import calibrate_weekly
from daycast.steps.evaluate import Evaluation, open_block
from daycast.steps.evaluate_daily import evaluate_daily
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR, floor_hour
from daycast.verify.daily_crps import DailyCrps
from daycast.verify.judgement import judge_daily
from daycast.verify.promotion import CHAMPION, Decision
from daycast.verify.serving import Substitute, assign
from daycast.warehouse.connect import open_warehouse
from daycast.warehouse.covariates import read_covariates
from daycast.warehouse.models import read_champion, read_substitutes
from daycast.warehouse.observations import read_extent, read_stations, read_versions

_log = logging.getLogger("daycast")
_EVERY_H = 18  # hours between the hours of issue: at 0, 6, 12 and 18 UTC in turns, one or two a day


@dataclass(frozen=True)
class _Known:
    """What the warehouse knows that a judgement needs."""

    champion: Mapping[str, object] | None
    substitutes: Sequence[Substitute]
    versions: pl.DataFrame
    stations: pl.DataFrame
    covariates: pl.DataFrame


def judge(settings: Settings, checkpoint: Path, now: datetime) -> tuple[Decision, pl.DataFrame]:
    """Score the challenger, its baselines and the champion, as it serves, on the hours since the challenger was calibrated.

    Returns the decision that a paired test over the days of issue comes to, and the scores. All are calibrated anew every
    week by what was known of them then, as whoever serves is.

    The scores are those of `judgements`: none of what they are made of was used in fitting the challenger.
    """
    header = read_header(checkpoint)
    known = _read_known(settings, header, now)
    forecaster = load_checkpoint(checkpoint, header.config.device, refreshed=False)
    block = _open(forecaster, known, header)
    if header.cell:
        calibrate_weekly(forecaster, forecaster.names, block)
    ids, targets = block.windows.network.stations["station_id"].to_list(), forecaster.header.targets
    everyone = {name: assign(name, (), ids, targets) for name in forecaster.names}
    scores, daily = evaluate_daily(block, forecaster, everyone)
    rival = _load_champion(settings, known.champion, checkpoint, header.config.device)
    if rival is not None and rival.header.calibrated_until > header.calibrated_until:
        _log.warning(
            "the champion was fitted on hours of this judgement, which flatter it: it is hard to beat as of the past"
        )
    if known.champion is not None and rival is not None:
        theirs, served = _score_champion(rival, str(known.champion["forecaster"]), known, header, block)
        scores = pl.concat([scores, theirs], how="diagonal")
        daily[CHAMPION] = served.variables(rival.header.targets, targets)
    if scores.is_empty():
        raise NotEnoughDataError(f"no forecast of the newest {HORIZON_HOURS} hours can be judged yet: ingest more")
    baselines = [name for name in BASELINES if name in forecaster.names]
    decision = judge_daily(daily, header.cell, baselines, targets, ids, settings.retrain.significance)
    return decision, scores.with_columns(since=pl.lit(block.since), until=pl.lit(block.until))


def _read_known(settings: Settings, header: Header, now: datetime) -> _Known:
    """Too little history for a block of its own is read whole: the baselines are judged on what they were fitted on."""
    since = datetime.fromisoformat(header.trained_until) - (HISTORY_HOURS - 1) * HOUR
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        champion = read_champion(con)
        substitutes = read_substitutes(con, str(champion["model_id"])) if champion else ()
        covariates = read_covariates(con, since + (HISTORY_HOURS - 1 - OLDEST_H) * HOUR, now, now)
        first, last = (since, floor_hour(now)) if header.has_holdout else read_extent(con, now)
        versions = keep_usable(read_versions(con, first or now, last or now, now), list(settings.glossary))
        return _Known(champion, substitutes, versions, read_stations(con), covariates)


def _open(forecaster: Forecaster, known: _Known, header: Header) -> Evaluation:
    """The windows of the judgement of the fit with this header, as `forecaster` reads them."""
    own_block = header.has_holdout
    return open_block(
        forecaster,
        known.versions,
        known.stations,
        _EVERY_H,
        datetime.fromisoformat(header.calibrated_until) + (HISTORY_HOURS - 1) * HOUR if own_block else None,
        whole_history=own_block,
        covariates=known.covariates,
    )


def _score_champion(
    rival: Forecaster, name: str, known: _Known, header: Header, block: Evaluation
) -> tuple[pl.DataFrame, DailyCrps]:
    """The scores of the champion as it serves, on the challenger's very windows, whatever else it could forecast."""
    same = replace(_open(rival, known, header), stations=block.stations, origins=block.origins)
    calibrate_weekly(rival, sorted({name, *(one.forecaster for one in known.substitutes)}), same)
    ids = block.windows.network.stations["station_id"].to_list()
    scores, daily = evaluate_daily(same, rival, {CHAMPION: assign(name, known.substitutes, ids, rival.header.targets)})
    return scores, daily[CHAMPION]


def _load_champion(
    settings: Settings, champion: Mapping[str, object] | None, checkpoint: Path, device: str
) -> Forecaster | None:
    """The champion's forecaster; None and a warning where it cannot be read any more.

    None as well where it is of this very fit, or a baseline of a fit to the same data: it is among the challenger's own.
    """
    if champion is None or champion["checkpoint"] == checkpoint.name:
        return None
    if champion["forecaster"] in BASELINES and champion["data_hash"] == read_header(checkpoint).data_hash:
        return None
    try:
        return load_checkpoint(settings.checkpoints / str(champion["checkpoint"]), device, refreshed=False)
    except ModelError as error:
        _log.warning("the champion %s takes no part in the judgement: %s", champion["model_id"], error)
        return None
