"""Which windows to train and validate on, as index pairs (station, hour of issue), and the outages simulated in them.

S stations, T hours of the panel (168 of a window), N windows.
"""

from dataclasses import replace

import numpy as np
import torch

from daycast.features.panel import Panel
from daycast.features.splits import Block
from daycast.model.windows import Batch
from daycast.times import HISTORY_HOURS, HORIZON_HOURS

_LEAST_HISTORY_H = 24  # hours with a value; a window with fewer is not used


def eligible_origins(panel: Panel, block: Block, targets: int) -> np.ndarray:
    """Which (station, hour of issue) have a day of history and some truth, all within the block. (S, T) bool

    targets: V, the first channels of the panel; only these count.
    """
    S, T, _ = panel.values.shape
    eligible = np.zeros((S, T), bool)
    t0 = np.arange(max(block.first_origin, 0), block.last_origin + 1)
    if not len(t0):
        return eligible
    count = np.zeros(T + 1, np.int32)
    for station in range(S):  # one at a time bounds memory
        valid = ~np.isnan(panel.values[station, :, :targets]).all(axis=1)  # (T,)
        np.cumsum(valid, out=count[1:])
        history = count[t0 + 1] - count[np.maximum(t0 + 1 - HISTORY_HOURS, 0)]
        horizon = count[t0 + 1 + HORIZON_HOURS] - count[t0 + 1]
        eligible[station, t0] = (history >= _LEAST_HISTORY_H) & (horizon > 0)
    return eligible


def subsample(eligible: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `most` of the eligible windows (S, T), evenly over stations and time: stations (N,) and origins (N,)."""
    total = int(np.count_nonzero(eligible))
    if total <= most:
        stations, origins = np.nonzero(eligible)
        return stations, origins
    keep = np.linspace(0, total - 1, most).round().astype(np.int64)  # positions among the eligible windows
    before = np.cumsum([0, *(np.count_nonzero(row) for row in eligible)])  # eligible windows before each station
    stations = np.searchsorted(before, keep, side="right") - 1
    own = [np.flatnonzero(eligible[s])[keep[stations == s] - before[s]] for s in np.unique(stations)]
    return stations, np.concatenate(own)


def subsample_hours(eligible: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """About `most` of the eligible windows (S, T), equally many at each hour of the day: stations (N,) and origins (N,)."""
    step = -(-int(np.count_nonzero(eligible)) // max(most, 1))
    while (
        step > 1 and np.gcd(step, 24) > 1
    ):  # with a common factor a station would be sampled at the same hours every day
        step += 1
    stations, origins = np.nonzero(eligible)
    keep = (stations + origins) % max(step, 1) == 0
    return stations[keep], origins[keep]


def draw(eligible: np.ndarray, size: int, block: Block, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw `size` eligible windows at random, with replacement: stations and origins, both (size,) int64.

    By rejection, so that no list of all windows is made. At least one window of the block must be eligible.
    """
    stations, origins = np.empty(0, np.int64), np.empty(0, np.int64)
    while len(stations) < size:
        s = rng.integers(0, eligible.shape[0], 2 * size)
        t = rng.integers(block.first_origin, block.last_origin + 1, 2 * size)
        kept = eligible[s, t]
        stations, origins = np.append(stations, s[kept]), np.append(origins, t[kept])
    return torch.from_numpy(stations[:size]), torch.from_numpy(origins[:size])


def draw_outages(size: int, probability: float, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw hours to take out of training windows: of the station, and of its neighbours. Both (size, T) bool, T = 168

    A window is affected with this probability. Then, with equal chances, its last 1 to 24 hours or 10 to 40 % of all hours at
    random are taken out. In half of the affected windows the neighbours lose the same hours.
    """
    hours = np.arange(HISTORY_HOURS)
    affected = rng.random(size) < probability
    newest = hours >= HISTORY_HOURS - rng.integers(1, 25, size)[:, None]
    scattered = rng.random((size, HISTORY_HOURS)) < rng.uniform(0.1, 0.4, size)[:, None]
    outage = np.where((rng.random(size) < 0.5)[:, None], newest, scattered) & affected[:, None]
    outage_around = outage & (rng.random(size) < 0.5)[:, None]
    return torch.from_numpy(outage), torch.from_numpy(outage_around)


def drop_external(batch: Batch, probability: float, rng: np.random.Generator) -> Batch:
    """Remove the external forecasts of each window with this probability, so that the model learns to do without them."""
    if batch.external_forecasts is None:
        return batch
    dropped = torch.from_numpy(rng.random(len(batch.filled)) < probability).to(batch.filled.device)
    return replace(batch, external_forecasts=batch.external_forecasts.masked(dropped))
