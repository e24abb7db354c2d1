"""The baselines that stand in every score table: persistence, same hour yesterday, climatology (ridge is in linear/).

Each is a point forecast in scaled units; its quantiles come from `residual_quantiles`. B windows, S stations, T hours, H leads,
V targets, Q quantiles.
"""

import numpy as np
import torch
from torch import Tensor

from daycast.features.channels import Scale
from daycast.features.panel import Panel
from daycast.model.config import QUANTILES
from daycast.model.windows import Batch
from daycast.times import HISTORY_HOURS, HORIZON_HOURS

NAIVE = ("persistence", "same_hour_yesterday", "climatology")
RIDGE = "ridge"
BASE = "base"  # the base network, which learned elsewhere
BASELINES = (*NAIVE, BASE, RIDGE)


def persistence(batch: Batch, targets: int) -> Tensor:
    """The last known value at every lead. (B, H, V)"""
    return batch.last[:, None, :targets].expand(-1, HORIZON_HOURS, -1)


def same_hour_yesterday(batch: Batch, targets: int) -> Tensor:
    """The value 24 hours before each lead; if it is missing, the last known value before it. (B, H, V)"""
    return batch.filled[:, HISTORY_HOURS - HORIZON_HOURS :, :targets]


def calendar_cells(panel: Panel, hours: int) -> tuple[np.ndarray, np.ndarray]:
    """Month (0 to 11) and hour of the day (UTC) of the panel's first `hours` hours. Both (hours,) int64."""
    times = np.datetime64(panel.start.replace(tzinfo=None), "h") + np.arange(hours)
    month = times.astype("datetime64[M]").astype(np.int64) % 12
    return month, (times - times.astype("datetime64[D]")).astype(np.int64)


def fit_climatology(
    values: np.ndarray, scale: Scale, month: np.ndarray, hour: np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """Scaled mean of each station, month and hour of the day. (S + 1, 12, 24, V) float32

    values (S, T, V) in units; month, hour (T,): of each hour, as from `calendar_cells`; weight (S, T, V), above 0: how much each
    value counts in the means; None: all alike. A missing mean is replaced by the station's mean at that hour of all months, then
    by that of all stations, then by 0, the training mean. The last row is for stations that training did not know: the means of
    all stations.
    """
    S, _, V = values.shape
    cell = month * 24 + hour  # (T,)
    sums = np.zeros((S + 1, 288, V))
    counts = np.zeros((S + 1, 288, V))
    for station in range(S):  # one station at a time bounds memory
        scaled = (values[station] - scale.mean[:V]) / scale.deviation[:V]  # (T, V)
        valid = ~np.isnan(scaled)
        counted = valid if weight is None else valid * weight[station].astype(np.float64)
        np.add.at(sums[station], cell, np.where(valid, scaled, 0.0) * counted)
        np.add.at(counts[station], cell, counted)
    sums[S], counts[S] = sums[:S].sum(axis=0), counts[:S].sum(axis=0)
    by_month = sums.reshape(S + 1, 12, 24, V), counts.reshape(S + 1, 12, 24, V)
    means, at_hour = _mean(*by_month), _mean(*(part.sum(axis=1, keepdims=True) for part in by_month))
    table = _fill_missing(means, at_hour, means[-1:], at_hour[-1:])
    return np.nan_to_num(table).astype(np.float32)


def mean_departures(
    values: np.ndarray, scale: Scale, climatology: np.ndarray, month: np.ndarray, hour: np.ndarray
) -> tuple[float, ...]:
    """How far each target usually lies from its climatology: the mean absolute departure of all values, in its unit. V numbers

    values, month and hour as for `fit_climatology`, which made the climatology. 0 for a target without a value.
    """
    S, _, V = values.shape
    total, count = np.zeros(V), np.zeros(V)
    for station in range(S):  # one station at a time bounds memory
        expected = climatology[station, month, hour] * scale.deviation[:V] + scale.mean[:V]  # (T, V)
        departure = np.abs(values[station] - expected)
        total += np.nansum(departure, axis=0)
        count += (~np.isnan(departure)).sum(axis=0)
    return tuple(float(one) for one in total / np.maximum(count, 1))


def _mean(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def _fill_missing(table: np.ndarray, *fallbacks: np.ndarray) -> np.ndarray:
    for fallback in fallbacks:
        table = np.where(np.isnan(table), fallback, table)
    return table


def residual_quantiles(residual: Tensor) -> Tensor:
    """The quantiles of the residuals (truth less forecast) of each lead and target. (H, V, Q)

    residual (N, H, V), NaN where missing; 0 where all are missing. Suspect truth counts like any other, as it does in the
    coverage that these quantiles should reach.
    """
    return torch.stack([torch.nanquantile(residual, level, dim=0) for level in QUANTILES], dim=-1).nan_to_num(0.0)
