"""Score the windows of a judgement: by lead, and by station, variable and day of issue."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from daycast.model.forecaster import Forecaster
from daycast.steps.evaluate import Evaluation
from daycast.verify.daily_crps import DailyCrps, DailyTally
from daycast.verify.scores import Tally, score_elements
from daycast.verify.serving import pick


def evaluate_daily(
    block: Evaluation, forecaster: Forecaster, servers: Mapping[str, np.ndarray]
) -> tuple[pl.DataFrame, dict[str, DailyCrps]]:
    """Each label's scores by variable and lead, as `evaluate` makes them, and its CRPS by station, UTC day of issue and variable.

    servers: by label the names of who forecasts each station of the block and each target, (S, V).
    """
    names = sorted({str(name) for who in servers.values() for name in np.unique(who)})
    targets = forecaster.header.targets
    S, V = len(block.windows.network.stations), len(targets)
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
    issued = np.datetime64(block.windows.network.start.replace(tzinfo=None), "h") + block.origins
    return (issued.astype("datetime64[D]") - np.datetime64(block.since.date())).astype(np.int64)
