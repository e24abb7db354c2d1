"""What cannot be is not forecast: every quantile lies within the limits of its variable, and of what binds it to another."""

from collections.abc import Sequence

import torch
from torch import Tensor

NEVER_ABOVE = {"dew_point_c": "air_temperature_c"}  # air cannot hold more water than saturates it


def keep_within_bounds(
    quantiles: Tensor, targets: Sequence[str], limits: Sequence[tuple[float, float]], traces: Sequence[float]
) -> Tensor:
    """Sorted quantiles (..., V, Q) in units, moved within what is possible; they stay sorted.

    targets: V names; limits: lowest and highest value of each; traces: below which a value is none. The dew point is at most the
    air temperature at each level: the smaller of two sorted rows is sorted.
    """
    lowest, highest = torch.tensor(limits, device=quantiles.device).T[:, :, None]  # (V, 1)
    trace = torch.tensor(traces, device=quantiles.device)[:, None]
    values = torch.where(quantiles.abs() < trace, 0.0, quantiles)
    values = torch.minimum(torch.maximum(values, lowest), highest)
    for name, bound in NEVER_ABOVE.items():
        if name in targets and bound in targets:
            row, of = targets.index(name), targets.index(bound)
            values[..., row, :] = torch.minimum(values[..., row, :], values[..., of, :])
    return values
