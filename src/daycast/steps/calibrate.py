"""Bring the champion's calibration up to date with what its forecasts came to; nothing is trained."""

import logging
from datetime import datetime

from daycast.features.external_forecasts import OLDEST_H
from daycast.features.panel import make_network
from daycast.model.calibration import conformal as learning
from daycast.model.calibration.calibration import to_rows
from daycast.model.calibration.hindcasts import begin_of_record, keep_record
from daycast.model.checkpoint import load_checkpoint
from daycast.quality.flags import keep_usable
from daycast.settings import Settings
from daycast.times import DAY, EPOCH, HISTORY_HOURS, HOUR, floor_hour, hours_between
from daycast.warehouse.forecasts import read_covariates
from daycast.warehouse.models import read_calibrations, read_champion, read_substitutes, replace_calibrations
from daycast.warehouse.observations import read_stations, read_versions
from daycast.warehouse.warehouse import open_warehouse

_log = logging.getLogger("daycast")


def recalibrate(settings: Settings, now: datetime) -> bool:
    """Learn from the last 90 days how the quantiles that serve are to be moved; whether that was due, and there was anything.

    It is due a week after the last time, and for a model that never was. What is learned at an hour rests on what was known
    at it, and holds for forecasts issued from it on.
    """
    at = floor_hour(now)
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        champion = read_champion(con)
        if champion is None:
            return False
        model_id = str(champion["model_id"])
        before = read_calibrations(con, model_id, at)
        if len(before) and at - before["calibrated_at"][0] < learning.EVERY_DAYS * DAY:
            return False
        substitutes, stations = read_substitutes(con, model_id), read_stations(con)
        forecaster = load_checkpoint(settings.checkpoints / str(champion["checkpoint"]), settings.model.device)
        since = begin_of_record(forecaster.header, at)
        first = since - (HISTORY_HOURS - 1) * HOUR
        versions = keep_usable(read_versions(con, first, at, at), list(settings.glossary))
        issues = read_covariates(con, since - OLDEST_H * HOUR, at, at)
    if versions.is_empty():
        return False
    network = make_network(versions, stations, forecaster.header.channels, first, at)
    names = sorted({str(champion["forecaster"]), *(one.forecaster for one in substitutes)})
    record = keep_record(forecaster, forecaster.open(network, issues), since, at, names)
    if record is None:
        return False
    learned = learning.recalibrate(record, hours_between(EPOCH, at))
    with open_warehouse(settings.warehouse, settings.glossary.values(), now) as con:
        replace_calibrations(con, model_id, at, to_rows(learned, forecaster.header.targets))
    _log.info("calibrated %s with %d forecasts of the last weeks", model_id, len(record.issued))
    return True
