"""Calibrate: renew the champion's intervals from the errors of its own recent forecasts. Nothing is trained."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.features.external_forecasts import OLDEST_H
from daycast.features.panel import make_panel, with_neighbours
from daycast.model.baselines import BASE
from daycast.model.calibration import conformal as learning
from daycast.model.calibration.calibration import Calibration, to_rows
from daycast.model.calibration.hindcasts import Hindcasts, concat, first_hindcast, make_hindcasts
from daycast.model.checkpoint import load_checkpoint
from daycast.model.forecaster import Forecaster
from daycast.model.windows import find_neighbours
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.serving import read_serving_stations
from daycast.times import DAY, EPOCH, HISTORY_HOURS, HORIZON_HOURS, HOUR, floor_hour, hours_between
from daycast.warehouse.forecasts import read_external_forecasts
from daycast.warehouse.models import read_calibrations, read_champion, read_fallbacks, replace_calibrations
from daycast.warehouse.observations import read_versions

_STATIONS = 100  # so many of a large network are forecast in each part of the 90 days
_ROWS_AT_ONCE = 1_000_000  # station hours in memory together
_SHORTEST_PART = 14 * DAY  # because the week before each part is read again
_log = logging.getLogger("daycast")


def calibrate(settings: Settings, now: datetime) -> bool:
    """Renew the champion's calibration from hindcasts of the last 90 days. Returns whether it was due and possible.

    It is due a week after the last one, and if there is none yet. The calibration of an hour uses what was known at that hour,
    and holds for forecasts issued from then on. It works through the 90 days a few weeks at a time; in a large network it draws
    other stations for each part.
    """
    at = floor_hour(now)
    with settings.warehouse.read(now) as con:
        champion = read_champion(con)
        if champion is None:
            return False
        model_id = champion.model_id
        before = read_calibrations(con, model_id, at)
        if len(before) and at - before["calibrated_at"][0] < learning.EVERY_DAYS * DAY:
            return False
        fallbacks, stations = read_fallbacks(con, model_id), read_serving_stations(con, settings)
    forecaster = load_checkpoint(settings.checkpoints / champion.checkpoint, settings.model.device)
    network = _Network(settings, stations, find_neighbours(stations), at)
    names = {champion.forecaster, *(one.forecaster for one in fallbacks)}
    groups = [sorted(group) for group in (names & {BASE}, names - {BASE}) if group]  # these have seen other hours
    learned, count = dict[str, Calibration](), 0
    for group in groups:
        since = first_hindcast(forecaster.header, at, group)
        parts = [_hindcast(forecaster, network, part, group, now) for part in _split(network, since)]
        if made := [part for part in parts if part is not None]:
            hindcasts = concat(made)
            learned |= learning.calibrate(hindcasts, hours_between(EPOCH, at))
            count = max(count, len(hindcasts.issued))
    if not learned:
        return False
    with settings.warehouse.write(now) as con:
        replace_calibrations(con, model_id, at, to_rows(learned, forecaster.header.targets))
    _log.info("calibrated %s with %d forecasts of the last weeks", model_id, count)
    return True


@dataclass(frozen=True)
class _Network:
    """What all parts share."""

    settings: Settings
    stations: pl.DataFrame  # all that serve
    neighbours: NDArray[np.int32]  # from `find_neighbours`
    at: datetime  # the hour of the calibration


@dataclass(frozen=True)
class _Part:
    """Some hours of issue, and the stations to forecast."""

    since: datetime
    until: datetime
    own: NDArray[np.int64]  # rows of all stations, ascending


def _split(network: _Network, since: datetime) -> Iterator[_Part]:
    """Parts of the hours of issue [since, now) of as many rows as fit into memory, each with stations drawn anew."""
    rng, count = np.random.default_rng(hours_between(EPOCH, network.at)), len(network.stations)
    while since < network.at:
        own = np.sort(rng.permutation(count)[:_STATIONS]) if count > _STATIONS else np.arange(count)
        hours = _ROWS_AT_ONCE // max(len(with_neighbours(own, network.neighbours)[0]), 1)
        until = min(since + max(hours * HOUR, _SHORTEST_PART), network.at)
        yield _Part(since, until, own)
        since = until


def _hindcast(
    forecaster: Forecaster, network: _Network, part: _Part, names: Sequence[str], now: datetime
) -> Hindcasts | None:
    """Hindcasts of a part, from what is known by the hour of the calibration; None if there are none."""
    settings, at = network.settings, network.at
    first, last = part.since - (HISTORY_HOURS - 1) * HOUR, min(part.until + (HORIZON_HOURS - 1) * HOUR, at)
    rows, near = with_neighbours(part.own, network.neighbours)
    stations = network.stations[rows]
    with settings.warehouse.read(now) as con:
        versions = keep_usable(read_versions(con, first, last, at, stations), list(settings.glossary))
        external_forecasts = read_external_forecasts(con, part.since - OLDEST_H * HOUR, last, at)
    if versions.is_empty():
        return None
    panel = make_panel(versions, stations, forecaster.header.channels, first, last)
    windows = forecaster.open(panel, external_forecasts, near)
    return make_hindcasts(forecaster, windows, part.since, part.until, names, np.searchsorted(rows, part.own))
