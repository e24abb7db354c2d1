"""The calibrations that forecasters would have had in each week of a span of past hours."""

from collections.abc import Sequence

import numpy as np

from daycast.model.calibration import join
from daycast.model.forecaster import Forecaster
from daycast.model.recalibrate import EVERY_DAYS, recalibrate_often
from daycast.model.track_record import begin_of_record, keep_record
from daycast.prepare.sun import solar_hours
from daycast.steps.evaluate import Evaluation


def calibrate_weekly(forecaster: Forecaster, names: Sequence[str], block: Evaluation) -> None:
    """Have some forecasters of a fit calibrated anew every week of a block, by what was known then of their own forecasts.

    They are learned from the hours before the block, as far as its network reaches back, and from its own as they pass.
    """
    network = block.windows.network
    since = begin_of_record(forecaster.header, block.since)
    record = keep_record(forecaster, block.windows, since, block.until, names)
    if record is None or not len(block.origins):
        return
    hours = np.unique(solar_hours(network, block.stations, block.origins))
    weeks = np.arange(block.origins.min(), block.origins.max() + 1, 24 * EVERY_DAYS)
    learned = recalibrate_often(record, network.hours_since_1970(weeks).tolist(), hours.tolist())
    forecaster.calibrations = {name: join([week[name] for week in learned]) for name in names}
