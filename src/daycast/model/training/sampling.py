"""Which windows to learn from and to judge by: drawn from a block of time, as index pairs."""

from dataclasses import replace

import numpy as np
import torch

from daycast.features.panel import Panel
from daycast.features.splits import Block
from daycast.model.windows import Batch
from daycast.times import HISTORY_HOURS, HORIZON_HOURS

_LEAST_HISTORY_H = 24  # hours with a value, below which there is nothing to learn from


def eligible_origins(panel: Panel, block: Block, targets: int) -> np.ndarray:
    """Which (station, t0) have at least a day of history and some truth, all within the block. (S, T) bool"""
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
    """At most `most` of the eligible windows, evenly over stations and time: stations (N,) and origins (N,)."""
    valid = int(np.count_nonzero(eligible))
    if valid <= most:
        stations, origins = np.nonzero(eligible)
        return stations, origins
    keep = np.linspace(0, valid - 1, most).round().astype(np.int64)  # the how many-eth
    before = np.cumsum([0, *(np.count_nonzero(row) for row in eligible)])  # eligible ones before each station
    stations = np.searchsorted(before, keep, side="right") - 1
    own = [np.flatnonzero(eligible[s])[keep[stations == s] - before[s]] for s in np.unique(stations)]
    return stations, np.concatenate(own)


def subsample_hours(eligible: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """About `most` of the eligible windows at most, as many at every hour of the day: stations (N,) and origins (N,)."""
    step = -(-int(np.count_nonzero(eligible)) // max(most, 1))
    while step > 1 and np.gcd(step, 24) > 1:  # else a station's turn came at the same hours every day
        step += 1
    stations, origins = np.nonzero(eligible)
    keep = (stations + origins) % max(step, 1) == 0
    return stations[keep], origins[keep]


def draw(eligible: np.ndarray, size: int, block: Block, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """`size` windows at random, with replacement, all of them eligible: stations and origins, both (size,) int64.

    By rejection, so that no list of all windows is ever made; at least one window of the block must be eligible.
    """
    stations, origins = np.empty(0, np.int64), np.empty(0, np.int64)
    while len(stations) < size:
        s = rng.integers(0, eligible.shape[0], 2 * size)
        t = rng.integers(block.first_origin, block.last_origin + 1, 2 * size)
        kept = eligible[s, t]
        stations, origins = np.append(stations, s[kept]), np.append(origins, t[kept])
    return torch.from_numpy(stations[:size]), torch.from_numpy(origins[:size])


def draw_outages(size: int, share: float, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Hours to hide from training windows: of the stations, and of their neighbours. Both (size, T) bool

    In a `share` of them the last 1 to 24 are hidden, or a tenth to two fifths at random; in half of these the neighbours' too.
    """
    hours = np.arange(HISTORY_HOURS)
    struck = rng.random(size) < share
    newest = hours >= HISTORY_HOURS - rng.integers(1, 25, size)[:, None]
    scattered = rng.random((size, HISTORY_HOURS)) < rng.uniform(0.1, 0.4, size)[:, None]
    hidden = np.where((rng.random(size) < 0.5)[:, None], newest, scattered) & struck[:, None]
    everywhere = hidden & (rng.random(size) < 0.5)[:, None]
    return torch.from_numpy(hidden), torch.from_numpy(everywhere)


def drop_external(batch: Batch, share: float, rng: np.random.Generator) -> Batch:
    """The batch, in a `share` of its windows as if no forecast of others had come: the model must do without at times."""
    if batch.external_forecasts is None:
        return batch
    struck = torch.from_numpy(rng.random(len(batch.filled)) < share).to(batch.filled.device)
    return replace(batch, external_forecasts=batch.external_forecasts.masked(struck))
