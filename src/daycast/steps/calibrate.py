"""Calibrate: renew the champion's intervals from the errors of its own recent forecasts. Nothing is trained."""

import logging
from datetime import datetime

from daycast.features.external_forecasts import OLDEST_H
from daycast.features.panel import make_panel
from daycast.model.baselines import BASE
from daycast.model.calibration import conformal as learning
from daycast.model.calibration.calibration import Calibration, to_rows
from daycast.model.calibration.hindcasts import first_hindcast, make_hindcasts
from daycast.model.checkpoint import load_checkpoint
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.steps.serving import read_serving_stations
from daycast.times import DAY, EPOCH, HISTORY_HOURS, HOUR, floor_hour, hours_between
from daycast.warehouse.forecasts import read_external_forecasts
from daycast.warehouse.models import read_calibrations, read_champion, read_fallbacks, replace_calibrations
from daycast.warehouse.observations import read_versions

_log = logging.getLogger("daycast")


def calibrate(settings: Settings, now: datetime) -> bool:
    """Renew the champion's calibration from hindcasts of the last 90 days. Returns whether it was due and possible.

    It is due a week after the last one, and if there is none yet. The calibration of an hour uses what was known at that hour,
    and holds for forecasts issued from then on.
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
        names = {champion.forecaster, *(one.forecaster for one in fallbacks)}
        groups = [sorted(group) for group in (names & {BASE}, names - {BASE}) if group]  # these have seen other hours
        begun = [first_hindcast(forecaster.header, at, group) for group in groups]
        first = min(begun) - (HISTORY_HOURS - 1) * HOUR
        versions = keep_usable(read_versions(con, first, at, at), list(settings.glossary))
        external_forecasts = read_external_forecasts(con, min(begun) - OLDEST_H * HOUR, at, at)
    if versions.is_empty():
        return False
    panel = make_panel(versions, stations, forecaster.header.channels, first, at)
    windows, learned, count = forecaster.open(panel, external_forecasts), dict[str, Calibration](), 0
    for group, since in zip(groups, begun, strict=True):
        hindcasts = make_hindcasts(forecaster, windows, since, at, group)
        if hindcasts is not None:
            learned |= learning.calibrate(hindcasts, hours_between(EPOCH, at))
            count = max(count, len(hindcasts.issued))
    if not learned:
        return False
    with settings.warehouse.write(now) as con:
        replace_calibrations(con, model_id, at, to_rows(learned, forecaster.header.targets))
    _log.info("calibrated %s with %d forecasts of the last weeks", model_id, count)
    return True
