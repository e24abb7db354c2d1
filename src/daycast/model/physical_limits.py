"""Whether a forecast lies far outside anything its station was ever seen to do: then something is wrong, and analysts are told.

Forecasts are kept within what is physically possible (`model.bounds`), and a broken model can be wrong within that.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# What cannot be is not forecast: every quantile lies within the limits of its variable, and of what binds it to another.


NEVER_ABOVE = {"dew_point_c": "air_temperature_c"}  # air cannot hold more water than saturates it


def apply_physical_limits(
    quantiles: Tensor, targets: Sequence[str], limits: Sequence[tuple[float, float]], traces: Sequence[float]
) -> Tensor:
    """Sorted quantiles (..., V, Q) in units, moved within what is possible; they stay sorted.

    targets: V names; limits: lowest and highest value of each; traces: below which a value is none. The dew point is at most the
    air temperature at each level: the smaller of two sorted rows is sorted.
    """
    valid_min, valid_max = torch.tensor(limits, device=quantiles.device).T[:, :, None]  # (V, 1)
    trace = torch.tensor(traces, device=quantiles.device)[:, None]
    values = torch.where(quantiles.abs() < trace, 0.0, quantiles)
    values = torch.minimum(torch.maximum(values, valid_min), valid_max)
    for name, bound in NEVER_ABOVE.items():
        if name in targets and bound in targets:
            row, of = targets.index(name), targets.index(bound)
            values[..., row, :] = torch.minimum(values[..., row, :], values[..., of, :])
    return values


LEAST_HOURS = 720  # of a station's own history, about a month: with less its range is the whole network's
LEAST_SHARE = 0.05  # of the physical range may always be added: a dry spring says little about a cloudburst

Array = NDArray[np.floating]


def observed_ranges(values: Array) -> Array:
    """The smallest and the largest value of each station and variable, and in the last row of all stations. (S + 1, V, 2)

    values: (S, T, V), NaN where missing. What a station has too little history for is the network's; NaN where nobody has any.
    """
    own = np.stack([np.fmin.reduce(values, axis=1), np.fmax.reduce(values, axis=1)], axis=-1)  # (S, V, 2)
    panel = np.stack([np.fmin.reduce(own[..., 0], axis=0), np.fmax.reduce(own[..., 1], axis=0)], axis=-1)  # (V, 2)
    hours = [
        np.isfinite(values[..., v]).sum(axis=1) for v in range(values.shape[2])
    ]  # one by one, for the sake of memory
    few = np.stack(hours, axis=-1) < LEAST_HOURS  # (S, V)
    return np.concatenate([np.where(few[..., None], panel, own), panel[None]])


def find_implausible(
    medians: Array, ranges: Array, newest: Array, limits: Sequence[tuple[float, float]]
) -> NDArray[np.bool_]:
    """Which medians (N, H, V) lie further outside the range observed than half its width. (N, H, V)

    ranges: of each forecast's station, (N, V, 2); newest: what it observed in the week before, (N, T, V), which belongs to its
    range too. At least LEAST_SHARE of the physical range counts as half a width; limits: that range of each variable. Where
    nothing was observed nothing is implausible.
    """
    low = np.fmin(ranges[..., 0], np.fmin.reduce(newest, axis=1))[:, None]  # (N, 1, V)
    high = np.fmax(ranges[..., 1], np.fmax.reduce(newest, axis=1))[:, None]
    margin = np.fmax((high - low) / 2, LEAST_SHARE * np.array([upper - lower for lower, upper in limits]))
    return (medians < low - margin) | (medians > high + margin)
