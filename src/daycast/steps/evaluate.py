"""Judge a challenger: it, its baselines and the champion, on the newest weeks, which had no part in fitting it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from daycast.errors import ModelError, NotEnoughDataError
from daycast.evaluation.promotion import CHAMPION, Decision, decide_on_holdout
from daycast.evaluation.scores import Tally, score_elements
from daycast.evaluation.serving import DailyCrps, DailyTally, Fallback, assign, pick
from daycast.features.external_forecasts import OLDEST_H
from daycast.features.panel import make_panel
from daycast.features.solar import solar_hours
from daycast.features.splits import Block
from daycast.model.baselines import BASELINES
from daycast.model.calibration.calibration import join
from daycast.model.calibration.conformal import EVERY_DAYS, calibrate_at_each
from daycast.model.calibration.hindcasts import first_hindcast, make_hindcasts
from daycast.model.checkpoint import load_checkpoint, read_header
from daycast.model.forecaster import Forecaster, Header
from daycast.model.training.sampling import eligible_origins
from daycast.model.windows import Windows
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.times import HISTORY_HOURS, HORIZON_HOURS, HOUR, floor_hour
from daycast.warehouse.forecasts import read_external_forecasts
from daycast.warehouse.models import ModelRow, read_champion, read_fallbacks
from daycast.warehouse.observations import read_extent, read_stations, read_versions

# Forecast many past hours at once, as things were known at each, and score what came.


@dataclass(frozen=True)
class Evaluation:
    """The windows to forecast and score."""

    windows: Windows
    stations: np.ndarray  # (N,) index of the station
    origins: np.ndarray  # (N,) hour index of t0
    since: datetime  # the first hour of issue
    until: datetime  # after the last


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
    """The windows issued every so many hours in [since, until), by default wherever `versions` hold history and horizon.

    versions: usable observation versions; what was not known at an hour of issue is not read at it. A station takes part where it
    had a day of readings before and some truth after. covariates: what others forecast; likewise only what was known is read.
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
    """Score forecasters that read the same windows: a row for each name, variable and lead, as Tally.table makes them."""
    tables = []
    by_owner: dict[int, tuple[Forecaster, dict[str, str]]] = {}
    for label, (owner, name) in forecasters.items():
        by_owner.setdefault(id(owner), (owner, {}))[1][label] = name
    for owner, names in by_owner.values():
        tallies = {label: Tally() for label in names}
        for _, quantiles, truth, _ in owner.predict(block.windows, block.stations, block.origins, list(names.values())):
            for label, name in names.items():
                tallies[label].add(quantiles[name], truth)
        tables += [tally.table(label, owner.header.targets) for label, tally in tallies.items()]
    return pl.concat([table for table in tables if not table.is_empty()], how="diagonal") if tables else pl.DataFrame()


# The calibrations that forecasters would have had in each week of a span of past hours.


def calibrate_weekly(forecaster: Forecaster, names: Sequence[str], block: Evaluation) -> None:
    """Have some forecasters of a fit calibrated anew every week of a block, by what was known then of their own forecasts.

    They are learned from the hours before the block, as far as its network reaches back, and from its own as they pass.
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


# Score the windows of a judgement: by lead, and by station, variable and day of issue.


def evaluate_daily(
    block: Evaluation, forecaster: Forecaster, servers: Mapping[str, np.ndarray]
) -> tuple[pl.DataFrame, dict[str, DailyCrps]]:
    """Each label's scores by variable and lead, as `evaluate` makes them, and its CRPS by station, UTC day of issue and variable.

    servers: by label the names of who forecasts each station of the block and each target, (S, V).
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
    """UTC days from the block's first to each window's. (N,) int64"""
    issued = np.datetime64(block.windows.panel.start.replace(tzinfo=None), "h") + block.origins
    return (issued.astype("datetime64[D]") - np.datetime64(block.since.date())).astype(np.int64)


_log = logging.getLogger("daycast")
_EVERY_H = 18  # hours between the hours of issue: at 0, 6, 12 and 18 UTC in turns, one or two a day


@dataclass(frozen=True)
class _Known:
    """What the warehouse knows that a judgement needs."""

    champion: ModelRow | None
    fallbacks: Sequence[Fallback]
    versions: pl.DataFrame
    stations: pl.DataFrame
    external_forecasts: pl.DataFrame


def evaluate_holdout(settings: Settings, checkpoint: Path, now: datetime) -> tuple[Decision, pl.DataFrame]:
    """Score the challenger, its baselines and the champion, as it serves, on the hours since the challenger was calibrated.

    Returns the decision that a paired test over the days of issue comes to, and the scores. All are calibrated anew every
    week by what was known of them then, as whoever serves is.

    The scores are those of `holdout_scores`: none of what they are made of was used in fitting the challenger.
    """
    header = read_header(checkpoint)
    known = _read_known(settings, header, now)
    forecaster = load_checkpoint(checkpoint, header.config.device, refreshed=False)
    block = _open(forecaster, known, header)
    if header.cell:
        calibrate_weekly(forecaster, forecaster.names, block)
    ids, targets = block.windows.panel.stations["station_id"].to_list(), forecaster.header.targets
    everyone = {name: assign(name, (), ids, targets) for name in forecaster.names}
    scores, daily = evaluate_daily(block, forecaster, everyone)
    rival = _load_champion(settings, known.champion, checkpoint, header.config.device)
    if rival is not None and rival.header.calibrated_until > header.calibrated_until:
        _log.warning(
            "the champion was fitted on hours of this holdout, which flatters it: it is hard to beat as of the past"
        )
    if known.champion is not None and rival is not None:
        theirs, served = _score_champion(rival, known.champion.forecaster, known, header, block)
        scores = pl.concat([scores, theirs], how="diagonal")
        daily[CHAMPION] = served.variables(rival.header.targets, targets)
    if scores.is_empty():
        raise NotEnoughDataError(f"no forecast of the newest {HORIZON_HOURS} hours can be judged yet: ingest more")
    baselines = [name for name in BASELINES if name in forecaster.names]
    decision = decide_on_holdout(daily, header.cell, baselines, targets, ids, settings.retrain.significance)
    return decision, scores.with_columns(since=pl.lit(block.since), until=pl.lit(block.until))


def _read_known(settings: Settings, header: Header, now: datetime) -> _Known:
    """Too little history for a block of its own is read whole: the baselines are judged on what they were fitted on."""
    since = datetime.fromisoformat(header.trained_until) - (HISTORY_HOURS - 1) * HOUR
    with settings.warehouse.read(now) as con:
        champion = read_champion(con)
        fallbacks = read_fallbacks(con, champion.model_id) if champion else ()
        external_forecasts = read_external_forecasts(con, since + (HISTORY_HOURS - 1 - OLDEST_H) * HOUR, now, now)
        first, last = (since, floor_hour(now)) if header.has_holdout else read_extent(con, now)
        versions = keep_usable(read_versions(con, first or now, last or now, now), list(settings.glossary))
        return _Known(champion, fallbacks, versions, read_stations(con), external_forecasts)


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
        external_forecasts=known.external_forecasts,
    )


def _score_champion(
    rival: Forecaster, name: str, known: _Known, header: Header, block: Evaluation
) -> tuple[pl.DataFrame, DailyCrps]:
    """The scores of the champion as it serves, on the challenger's very windows, whatever else it could forecast."""
    same = replace(_open(rival, known, header), stations=block.stations, origins=block.origins)
    calibrate_weekly(rival, sorted({name, *(one.forecaster for one in known.fallbacks)}), same)
    ids = block.windows.panel.stations["station_id"].to_list()
    scores, daily = evaluate_daily(same, rival, {CHAMPION: assign(name, known.fallbacks, ids, rival.header.targets)})
    return scores, daily[CHAMPION]


def _load_champion(settings: Settings, champion: ModelRow | None, checkpoint: Path, device: str) -> Forecaster | None:
    """The champion's forecaster; None and a warning where it cannot be read any more.

    None as well where it is of this very fit, or a baseline of a fit to the same data: it is among the challenger's own.
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
