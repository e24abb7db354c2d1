"""Evaluate a challenger on the holdout: the newest weeks, which no part of its fit has seen.

`evaluate_holdout` is the step: it scores the challenger, its baselines and the champion on the same hours of issue and decides on
promotion. `open_block`, `evaluate` and `calibrate_weekly` are shared with `backtest`. Shapes: N windows, S stations, V targets.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from daycast.errors import ModelError, NotEnoughDataError
from daycast.evaluation.gain import USUAL
from daycast.evaluation.promotion import CHAMPION, Decision, decide_on_holdout
from daycast.evaluation.scores import Tally, score_elements
from daycast.evaluation.serving import DailyCrps, DailyTally, Fallback, assign, pick
from daycast.features.external_forecasts import OLDEST_H
from daycast.features.panel import make_panel
from daycast.features.solar import solar_hours
from daycast.features.splits import Block
from daycast.model.base.network import TARGETS as KNOWN_TO_BASE
from daycast.model.baselines import BASE, BASELINES
from daycast.model.calibration.calibration import join
from daycast.model.calibration.conformal import EVERY_DAYS, calibrate_at_each
from daycast.model.calibration.hindcasts import first_hindcast, make_hindcasts
from daycast.model.checkpoint import load_checkpoint, read_header
from daycast.model.forecaster import Forecaster, Header
from daycast.model.training.sampling import eligible_origins
from daycast.model.windows import Windows
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.changes import is_foreign, read_header_or_none
from daycast.steps.serving import read_serving_stations
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR, floor_hour
from daycast.warehouse.forecasts import read_external_forecasts
from daycast.warehouse.models import ModelRow, read_champion, read_fallbacks
from daycast.warehouse.observations import read_extent, read_versions

_log = logging.getLogger("daycast")
_ISSUE_EVERY_H = 18  # so that hours of issue fall on 0, 6, 12 and 18 UTC in turn, one or two a day


@dataclass(frozen=True)
class Evaluation:
    """A block of past hours to forecast and score."""

    windows: Windows
    stations: np.ndarray  # (N,) index of the station
    origins: np.ndarray  # (N,) hour index of t0
    since: datetime  # the first hour of issue
    until: datetime  # the end of the hours of issue, exclusive


@dataclass(frozen=True)
class _Inputs:
    """What an evaluation reads from the warehouse."""

    first: datetime | None  # the first hour of all history
    champion: ModelRow | None
    fallbacks: Sequence[Fallback]
    versions: pl.DataFrame
    stations: pl.DataFrame
    external_forecasts: pl.DataFrame


def evaluate_holdout(settings: Settings, checkpoint: Path, now: datetime) -> tuple[Decision, pl.DataFrame]:
    """Compare the challenger, its baselines and the champion on the holdout: the hours since the challenger was calibrated.

    All are recalibrated every week, as in service, and the champion is scored with its fallbacks; one that does not fit what is
    served now takes no part. Returns the decision and the
    scores, rows of `holdout_scores` without model_id. If no forecast can be scored yet, the base network serves; without one, or
    with a champion, raises NotEnoughDataError.
    """
    header = read_header(checkpoint)
    inputs = _read_inputs(settings, header, now)
    forecaster = load_checkpoint(checkpoint, header.config.device, refreshed=False)
    block = _open(forecaster, inputs, header)
    if header.cell:
        calibrate_weekly(forecaster, forecaster.names, block)
    ids, targets = block.windows.panel.stations["station_id"].to_list(), forecaster.header.targets
    servers = {name: assign(name, (), ids, targets) for name in forecaster.names}
    scores, daily = evaluate_daily(block, forecaster, servers)
    champion_forecaster = _load_champion(settings, inputs.champion, checkpoint, header.config.device)
    if champion_forecaster is not None and champion_forecaster.header.calibrated_until > header.calibrated_until:
        _log.warning(
            "the champion was fitted on hours of this holdout, so its scores are too good and it is hard to beat"
        )
    if inputs.champion is not None and champion_forecaster is not None:
        champion_scores, champion_daily = _score_champion(
            champion_forecaster, inputs.champion.forecaster, inputs, header, block
        )
        scores = pl.concat([scores, champion_scores], how="diagonal")
        daily[CHAMPION] = champion_daily.variables(champion_forecaster.header.targets, targets)
    if scores.is_empty():
        if forecaster.base is None or inputs.champion is not None:
            raise NotEnoughDataError(f"no forecast of the newest {HORIZON_HOURS} hours can be scored yet: ingest more")
        reason = "base serves: it is the only one that needs no history, and no forecast can be scored yet"
        return Decision(BASE, promoted=True, reason=reason, judged=BASE, rivals={}), pl.DataFrame(
            schema={"forecaster": pl.String}
        )
    baselines = [name for name in BASELINES if name in forecaster.names]
    if not header.has_holdout and forecaster.base is not None:
        baselines, daily = _without_holdout(baselines, daily, targets)
    more = 0.0 if champion_forecaster is None else _more_history(header, champion_forecaster.header, inputs)
    usual = USUAL * np.array(header.departures or np.zeros(len(targets)))
    decision = decide_on_holdout(daily, header.cell, baselines, targets, ids, usual, more)
    return decision, scores.with_columns(since=pl.lit(block.since), until=pl.lit(block.until))


def open_block(
    forecaster: Forecaster,
    versions: pl.DataFrame,
    stations: pl.DataFrame,
    every: int,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    whole_history: bool = True,
    external_forecasts: pl.DataFrame | None = None,
) -> Evaluation:
    """The windows issued every `every` hours in [since, until), by default wherever `versions` have full history and horizon.

    versions: usable observation versions; a window reads only what was known at its hour of issue, and so of external_forecasts.
    A station takes part in hours that have a day of readings before and some truth after. Without `whole_history` a window
    may start before the first version. Raises NotEnoughDataError if `versions` is empty.
    """
    if versions.is_empty():
        raise NotEnoughDataError("there are no observations in that time: ingest them first")
    start, end = versions["observed_at"].min(), versions["observed_at"].max()
    panel = make_panel(versions, stations, forecaster.header.channels, start, end)  # type: ignore[arg-type]
    reach = 0 if whole_history else HORIZON_HOURS - HISTORY_HOURS
    block = Block(reach, panel.hours)
    first = block.first_origin if since is None else panel.index_of(since)
    last = block.last_origin + 1 if until is None else panel.index_of(until)
    wide = Block(first - HISTORY_HOURS + 1, min(last + HORIZON_HOURS, panel.hours))
    eligible = eligible_origins(panel, wide, len(forecaster.header.targets))
    eligible[:, [t for t in range(panel.hours) if t < first or t >= last or (t - first) % every]] = False
    at, origins = np.nonzero(eligible)
    return Evaluation(
        forecaster.open(panel, external_forecasts), at, origins, panel.time_of(first), panel.start + last * HOUR
    )


def evaluate(block: Evaluation, forecasters: Mapping[str, tuple[Forecaster, str]]) -> pl.DataFrame:
    """Scores of forecasters that read the same windows: one row per label, variable and lead, as Tally.table makes them.

    forecasters: by label the forecaster and the name of one of its cells or baselines. Empty if nothing was observed.
    """
    tables = []
    by_forecaster: dict[int, tuple[Forecaster, dict[str, str]]] = {}
    for label, (forecaster, name) in forecasters.items():
        by_forecaster.setdefault(id(forecaster), (forecaster, {}))[1][label] = name
    for forecaster, names in by_forecaster.values():
        tallies = {label: Tally() for label in names}
        for _, quantiles, truth, _ in forecaster.predict(
            block.windows, block.stations, block.origins, list(names.values())
        ):
            for label, name in names.items():
                tallies[label].add(quantiles[name], truth)
        tables += [tally.table(label, forecaster.header.targets) for label, tally in tallies.items()]
    return pl.concat([table for table in tables if not table.is_empty()], how="diagonal") if tables else pl.DataFrame()


def calibrate_weekly(forecaster: Forecaster, names: Sequence[str], block: Evaluation) -> None:
    """Recalibrate a forecaster for every week of a block, as in service: from its own hindcasts as known by then.

    names: its cells and baselines to calibrate. The hindcasts cover the hours before the block, as far as the panel reaches back,
    and the hours of the block as they pass. Changes `forecaster.calibrations`.
    """
    panel = block.windows.panel
    since = first_hindcast(forecaster.header, block.since)
    hindcasts = make_hindcasts(forecaster, block.windows, since, block.until, names)
    if hindcasts is None or not len(block.origins):
        return
    hours = np.unique(solar_hours(panel, block.stations, block.origins))
    weeks = np.arange(block.origins.min(), block.origins.max() + 1, 24 * EVERY_DAYS)
    learned = calibrate_at_each(hindcasts, panel.hours_since_1970(weeks).tolist(), hours.tolist())
    forecaster.calibrations = {name: join([week[name] for week in learned]) for name in names}


def evaluate_daily(
    block: Evaluation, forecaster: Forecaster, servers: Mapping[str, np.ndarray]
) -> tuple[pl.DataFrame, dict[str, DailyCrps]]:
    """Scores by variable and lead, as `evaluate` makes them, and the daily CRPS by station, UTC day of issue and variable.

    servers: by label, the name of the cell or baseline that forecasts each station and target (S, V). The daily CRPS is by label.
    """
    names = sorted({str(name) for who in servers.values() for name in np.unique(who)})
    targets = forecaster.header.targets
    S, V = len(block.windows.panel.stations), len(targets)
    day = _day_of_issue(block)
    tallies = {label: (Tally(), DailyTally(S, int(day.max(initial=-1)) + 1, V)) for label in servers}
    for part, quantiles, truth, _ in forecaster.predict(block.windows, block.stations, block.origins, names):
        for label, (by_lead, by_day) in tallies.items():
            scores = score_elements(pick(quantiles, servers[label][block.stations[part]]), truth)
            by_lead.add_scores(scores)
            by_day.add(scores["crps"], block.stations[part], day[part])
    tables = [by_lead.table(label, targets) for label, (by_lead, _) in tallies.items()]
    return pl.concat(tables, how="diagonal"), {label: by_day.result() for label, (_, by_day) in tallies.items()}


def _day_of_issue(block: Evaluation) -> np.ndarray:
    """The UTC day of issue of each window, counted from the block's first day. (N,) int64"""
    issued = np.datetime64(block.windows.panel.start.replace(tzinfo=None), "h") + block.origins
    return (issued.astype("datetime64[D]") - np.datetime64(block.since.date())).astype(np.int64)


def _read_inputs(settings: Settings, header: Header, now: datetime) -> _Inputs:
    """Read the holdout and the hours before it; all history if there is too little for a holdout of its own.

    In that case the baselines are scored on the data they were fitted to.
    """
    since = datetime.fromisoformat(header.trained_until) - (HISTORY_HOURS - 1) * HOUR
    with settings.warehouse.read(now) as con:
        stations = read_serving_stations(con, settings)
        champion = _comparable(settings, read_champion(con), header, stations)
        fallbacks = read_fallbacks(con, champion.model_id) if champion else ()
        external_forecasts = read_external_forecasts(con, since + (HISTORY_HOURS - 1 - OLDEST_H) * HOUR, now, now)
        earliest, latest = read_extent(con, now, stations)
        first, last = (since, floor_hour(now)) if header.has_holdout else (earliest, latest)
        versions = keep_usable(read_versions(con, first or now, last or now, now), list(settings.glossary))
        return _Inputs(earliest, champion, fallbacks, versions, stations, external_forecasts)


def _comparable(
    settings: Settings, champion: ModelRow | None, header: Header, stations: pl.DataFrame
) -> ModelRow | None:
    """The champion; None, with a log line, if it must be replaced whatever its scores: it was trained on none of the stations
    that are served, or forecasts other variables than this fit.
    """
    before = None if champion is None else read_header_or_none(settings.checkpoints / champion.checkpoint)
    if champion is None or before is None:
        return champion
    if is_foreign(before, stations):
        _log.info("%s is replaced: it was trained on none of the stations that are served", champion.model_id)
        return None
    if set(before.targets) != set(header.targets):
        _log.info("%s is replaced: it forecasts other variables than are to be forecast now", champion.model_id)
        return None
    return champion


def _without_holdout(
    baselines: Sequence[str], daily: Mapping[str, DailyCrps], targets: Sequence[str]
) -> tuple[list[str], dict[str, DailyCrps]]:
    """The baselines, the base network first, and daily scores in which the others have none of the variables that it knows.

    For they were fitted to the very days that they would be judged by, and the base network was not.
    """
    others = ["" if name in KNOWN_TO_BASE else name for name in targets]
    return [BASE, *(name for name in baselines if name != BASE)], {
        name: own.variables(targets, others) if name in BASELINES and name != BASE else own
        for name, own in daily.items()
    }


def _more_history(header: Header, champion: Header, inputs: _Inputs) -> float:
    """The log of how many times as much history this fit learned from as the champion's did; 0 if that is unknown."""
    if inputs.first is None:
        return 0.0
    hours, before = ((datetime.fromisoformat(one.refreshed_until) - inputs.first) / HOUR for one in (header, champion))
    return math.log(hours / before) if min(hours, before) > 0 else 0.0


def _open(forecaster: Forecaster, inputs: _Inputs, header: Header) -> Evaluation:
    """The windows of the holdout of the fit with this header, as `forecaster` reads them."""
    own_block = header.has_holdout
    return open_block(
        forecaster,
        inputs.versions,
        inputs.stations,
        _ISSUE_EVERY_H,
        datetime.fromisoformat(header.calibrated_until) + (HISTORY_HOURS - 1) * HOUR if own_block else None,
        whole_history=own_block,
        external_forecasts=inputs.external_forecasts,
    )


def _score_champion(
    champion_forecaster: Forecaster, name: str, inputs: _Inputs, header: Header, block: Evaluation
) -> tuple[pl.DataFrame, DailyCrps]:
    """The scores and the daily CRPS of the champion with its fallbacks, on exactly the challenger's windows."""
    same = replace(_open(champion_forecaster, inputs, header), stations=block.stations, origins=block.origins)
    calibrate_weekly(champion_forecaster, sorted({name, *(one.forecaster for one in inputs.fallbacks)}), same)
    ids = block.windows.panel.stations["station_id"].to_list()
    scores, daily = evaluate_daily(
        same, champion_forecaster, {CHAMPION: assign(name, inputs.fallbacks, ids, champion_forecaster.header.targets)}
    )
    return scores, daily[CHAMPION]


def _load_champion(settings: Settings, champion: ModelRow | None, checkpoint: Path, device: str) -> Forecaster | None:
    """The champion's forecaster; None, with a warning, if its checkpoint cannot be read.

    Also None if it belongs to this very fit or is a baseline fitted to the same data: then the challenger's own scores cover it.
    """
    if champion is None or champion.checkpoint == checkpoint.name:
        return None
    if champion.forecaster in BASELINES and champion.data_hash == read_header(checkpoint).data_hash:
        return None
    try:
        return load_checkpoint(settings.checkpoints / champion.checkpoint, device, refreshed=False)
    except ModelError as error:
        _log.warning("the champion %s takes no part in the evaluation on the holdout: %s", champion.model_id, error)
        return None
