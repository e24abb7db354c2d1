"""The linear path: ridge regression from the whole window to every lead and target at once, in closed form."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from daycast.model.windows import Batch
from daycast.times import HISTORY_HOURS

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # candidates, relative to the number of windows; validation chooses


def linear_features(batch: Batch) -> Tensor:
    """What the linear path reads: all filled history, the calendar of the horizon, and a constant. (B, P)"""
    ones = torch.ones(len(batch.filled), 1, device=batch.filled.device)
    return torch.cat([batch.filled.flatten(1), batch.calendar[:, HISTORY_HOURS:].flatten(1), ones], dim=1)


def linear_forecast(weights: Tensor, batch: Batch, targets: int) -> Tensor:
    """The linear path's forecast in scaled units: the last value plus a departure. weights (P, H·V); returns (B, H, V)."""
    departure = (linear_features(batch) @ weights).unflatten(1, (-1, targets))
    return batch.last[:, None, :targets] + departure


def linear_error(weights: Tensor, batch: Batch, targets: int) -> float:
    """Mean absolute error of the linear path in scaled units, over the truth that is there, each by what it counts."""
    truth, weight = batch.truth_of(targets)
    error = (linear_forecast(weights, batch, targets) - truth).abs()
    if weight is None:
        return error.nanmean().item()
    return ((error * weight).nansum() / weight[~error.isnan()].sum()).item()


def fit_linear_path(batches: Iterable[Batch], targets: int, penalties: Sequence[float] = PENALTIES) -> list[Tensor]:
    """Ridge weights (P, H·V) for each penalty, from one pass over the batches.

    Targets that are missing in some windows share the features' second moments with the others, scaled by their own count: exact
    where nothing is missing, and otherwise right if what is missing is so at random. A weight of 0.5 is half a missing value.
    """
    gram: Tensor | float = 0.0
    moment: Tensor | float = 0.0
    count: Tensor | float = 0.0
    windows = 0
    for batch in batches:
        x = linear_features(batch)  # (B, P)
        y, weight = _weighted_departure(batch, targets)
        gram = gram + (x.T @ x).double()
        moment = moment + (x.T @ y).double()
        count = count + weight.sum(dim=0)
        windows += len(x)
    mean_gram = torch.as_tensor(gram) / windows
    mean_moment = torch.as_tensor(moment) / torch.as_tensor(count).double().clamp(min=torch.finfo(torch.double).tiny)
    return [_solve(mean_gram, mean_moment, penalty) for penalty in penalties]


def _weighted_departure(batch: Batch, targets: int) -> tuple[Tensor, Tensor]:
    """What came less the last value, times what it counts; and what it counts, nothing where missing. Both (B, H·V)"""
    truth, weight = batch.truth_of(targets)
    departure = (truth - batch.last[:, None, :targets]).flatten(1)
    there = ~departure.isnan()
    if weight is None:
        return departure.nan_to_num(0.0), there
    return departure.nan_to_num(0.0) * weight.flatten(1), there * weight.flatten(1)


def _solve(gram: Tensor, moment: Tensor, penalty: float) -> Tensor:
    ridge = torch.full((len(gram),), penalty, dtype=gram.dtype, device=gram.device)
    ridge[-1] = 1e-9  # the constant is not shrunk
    return torch.cholesky_solve(moment, torch.linalg.cholesky(gram + torch.diag(ridge))).float()
