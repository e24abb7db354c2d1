"""Two limits of a forecast: what is physically possible, and what is plausible at its station.

`apply_physical_limits` moves every quantile within the range of its variable. A broken model can be wrong within that range:
`find_implausible` marks medians far outside anything the station observed.

N forecasts, S stations, T hours, H leads, V targets, Q quantiles.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NEVER_ABOVE = {"dew_point_c": "air_temperature_c"}  # air cannot hold more water vapour than saturates it
LEAST_HOURS = 720  # of a station's own history, about a month; with less, the range of all stations is used
LEAST_SHARE = 0.05  # of the physical range is always tolerated: a dry spring says little about a cloudburst

Array = NDArray[np.floating]


def apply_physical_limits(
    quantiles: Tensor, targets: Sequence[str], limits: Sequence[tuple[float, float]], traces: Sequence[float]
) -> Tensor:
    """Clip sorted quantiles (..., V, Q), in the variables' units; they stay sorted.

    targets: V names; limits: lowest and highest value of each; traces: values smaller than this become 0. At each level the dew
    point becomes at most the air temperature (the minimum of two sorted rows is sorted).
    """
    flat = quantiles.flatten(-2)  # a row of V * Q numbers is limited several times faster than V rows of Q
    low, high = (per_level(side, quantiles) for side in zip(*limits, strict=True))
    values = torch.where(flat.abs() < per_level(traces, quantiles), 0.0, flat)
    values = torch.minimum(torch.maximum(values, low), high).view(quantiles.shape)
    for name, bound in NEVER_ABOVE.items():
        if name in targets and bound in targets:
            lower, upper = targets.index(name), targets.index(bound)
            values[..., lower, :] = torch.minimum(values[..., lower, :], values[..., upper, :])
    return values


def per_level(of_variables: Iterable[float], quantiles: Tensor) -> Tensor:
    """A number of each variable, repeated for each of its quantiles (..., V, Q): (V * Q,), of their kind and on their device."""
    numbers = torch.tensor(tuple(of_variables), dtype=quantiles.dtype, device=quantiles.device)
    return numbers.repeat_interleave(quantiles.shape[-1])


def observed_ranges(values: Array) -> Array:
    """The lowest and highest value of each station and variable; in the last row, of all stations. (S + 1, V, 2)

    values (S, T, V), NaN where missing. A station with fewer than LEAST_HOURS values of a variable gets the range of all
    stations. NaN where no station has any.
    """
    own = np.stack([np.fmin.reduce(values, axis=1), np.fmax.reduce(values, axis=1)], axis=-1)  # (S, V, 2)
    of_all = np.stack([np.fmin.reduce(own[..., 0], axis=0), np.fmax.reduce(own[..., 1], axis=0)], axis=-1)  # (V, 2)
    hours = [np.isfinite(values[..., v]).sum(axis=1) for v in range(values.shape[2])]  # one at a time bounds memory
    few = np.stack(hours, axis=-1) < LEAST_HOURS  # (S, V)
    return np.concatenate([np.where(few[..., None], of_all, own), of_all[None]])


def find_implausible(
    medians: Array, ranges: Array, newest: Array, limits: Sequence[tuple[float, float]]
) -> NDArray[np.bool_]:
    """Which medians (N, H, V) lie outside the observed range by more than half its width. (N, H, V)

    ranges (N, V, 2): of the station of each forecast; newest (N, T, V): its last observations, which extend the range;
    limits: the physical range of each variable, of which at least LEAST_SHARE is tolerated beyond the observed one. Nothing is
    implausible where nothing was observed.
    """
    low = np.fmin(ranges[..., 0], np.fmin.reduce(newest, axis=1))[:, None]  # (N, 1, V)
    high = np.fmax(ranges[..., 1], np.fmax.reduce(newest, axis=1))[:, None]  # (N, 1, V)
    margin = np.fmax((high - low) / 2, LEAST_SHARE * np.array([upper - lower for lower, upper in limits]))
    return (medians < low - margin) | (medians > high + margin)
