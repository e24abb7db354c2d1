"""Correct the linear path by external forecasts, learned from its out-of-fold forecasts.

The correction is additional rows below the path's weights. Windows without external forecast get the path's forecast unchanged.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import torch
from torch import Tensor

from daycast.features.external_forecasts import external_channels, make_external_forecasts
from daycast.features.panel import Panel
from daycast.features.splits import Block
from daycast.model.linear.fit import LinearFit, gather_parts, hours_after, without
from daycast.model.linear.ridge import (
    Moments,
    add_moments,
    correct,
    external_features,
    linear_forecast,
    sum_rows,
    weigh_departure,
)
from daycast.model.training.parallel import run_parallel, threads_for
from daycast.model.training.sampling import eligible_origins, subsample
from daycast.model.windows import Batch, Windows

_MOST_WINDOWS = 20_000  # of the training block: there are a hundred features, where the path has thousands
_PENALTY = (
    1e-2  # relative to the number of windows; a tenth or ten times of it changed the validation loss by under 1 %
)


def add_external(panel: Panel, rows: pl.DataFrame, until: datetime) -> Panel:
    """Add external forecasts to a panel: the variables of `rows` with a value received before `until`, if there are any.

    rows: as for `make_external_forecasts`.
    """
    channels = external_channels(rows.filter(pl.col("received_at") < until), panel.channels)
    if not channels:
        return panel
    return replace(panel, external_forecasts=make_external_forecasts(rows, panel.stations, channels, panel.start))


def fit_external_correction(fit: LinearFit, windows: Windows, block: Block, targets: int) -> LinearFit:
    """The same fit with correction rows (H·K + 1, H·V) below its weights, cross-fitted and refreshed like these.

    In the training block the rows learn from the forecasts of the weights without the window's fold, after it from those of the
    whole block's weights. Without any external forecast the fit is returned as it is.
    """
    path, V = fit.path, targets
    fold, penalties = path.fold.cpu().numpy(), (_PENALTY,) * V
    eligible = eligible_origins(windows.panel, block, V)
    fraction = min(1.0, _MOST_WINDOWS / np.count_nonzero(eligible))

    def moments_of(part: np.ndarray, forecast: Callable[[Batch, Tensor], Tensor]) -> Moments:
        some = gather_parts(windows, *subsample(part, math.ceil(fraction * np.count_nonzero(part))))
        return sum_rows(_rows_with_external(batch, forecast(batch, t0)) for batch, _, t0 in some)

    folds, threads = range(len(path.without)), threads_for(windows.device)
    moments = run_parallel(lambda k: moments_of(eligible & (fold == k), path.forecast), folds, threads)
    total = add_moments(moments)
    if not total.windows:
        return fit
    later = eligible_origins(windows.panel, hours_after(block, windows.panel.hours), V)
    everything = total
    if later.any():
        after = moments_of(later, lambda batch, _: linear_forecast(path.weights, batch, V, path.features))
        everything = add_moments([total, after])
    rows = total.solve(penalties)  # (H·K + 1, H·V)
    rows_without = torch.stack([without(total, part).solve(penalties) for part in moments])
    corrected = replace(
        path, weights=torch.cat([path.weights, rows]), without=torch.cat([path.without, rows_without], dim=1)
    )
    held_out = tuple((batch, correct(forecast, batch, rows)) for batch, forecast in fit.held_out)
    return LinearFit(corrected, torch.cat([fit.refreshed, everything.solve(penalties)]), held_out)


def _rows_with_external(batch: Batch, forecast: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features, weighted departures and weights of the windows with external forecasts."""
    x = external_features(batch, forecast)
    valid = x[:, -1] > 0
    departure, weight = weigh_departure(batch, forecast)
    return x[valid], departure[valid], weight[valid]
