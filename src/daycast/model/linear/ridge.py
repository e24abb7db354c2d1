"""Ridge regression from the window to every lead and target at once, in closed form: the `ridge` baseline and the linear path.

The baseline reads the station's own history and the calendar. The linear path also reads the neighbours, and the newest day times
the hour of the day, because the effect of the newest hours depends on the time of day. Rows from `fit_external_correction` below
its weights correct it by external forecasts.

In order: features, forecasts, `Moments` (sums over windows) and how they are made. B windows, P features, H leads, V targets,
K external channels.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from daycast.model.windows import CLOCK, Batch
from daycast.times import HISTORY_HOURS, HORIZON_HOURS

PENALTIES = (1e-3, 1e-2, 1e-1)  # the candidates, relative to the number of windows
_BLOCKS = 6  # of columns, in which second moments are summed
_NEWEST_H = 24  # newest hours, whose effect may depend on the hour of issue

Features = Callable[[Batch], Tensor]


def ridge_features(batch: Batch) -> Tensor:
    """The features of the baseline: all filled history, the calendar of the horizon, and a constant. (B, P)"""
    ones = torch.ones(len(batch.filled), 1, device=batch.filled.device)
    return torch.cat([batch.filled.flatten(1), batch.calendar[:, HISTORY_HOURS:].flatten(1), ones], dim=1)


def path_features(batch: Batch) -> Tensor:
    """The features of the linear path: neighbours, the newest day times the clock at t0, then those of the baseline. (B, P)"""
    clock = batch.calendar[:, HISTORY_HOURS - 1, CLOCK]  # (B, 2)
    newest = batch.filled[:, -_NEWEST_H:].flatten(1)
    by_hour = [newest * clock[:, :1], newest * clock[:, 1:]]
    return torch.cat([batch.around.flatten(1), *by_hour, ridge_features(batch)], dim=1)


def linear_forecast(weights: Tensor, batch: Batch, targets: int, features: Features) -> Tensor:
    """A point forecast in scaled units: the last value plus a departure. weights (P, H·V); returns (B, H, V).

    Further rows of the weights, from `fit_external_correction`, act only on windows with external forecasts.
    """
    x = features(batch)  # (B, P)
    forecast = batch.last[:, None, :targets] + (x @ weights[: x.shape[1]]).unflatten(1, (-1, targets))
    return correct(forecast, batch, weights[x.shape[1] :])


def correct(forecast: Tensor, batch: Batch, rows: Tensor) -> Tensor:
    """Correct a forecast (B, H, V) by the external ones. rows (H·K + 1, H·V) from `fit_external_correction`, or empty."""
    if batch.external_forecasts is None or not len(rows):
        return forecast
    return forecast + (external_features(batch, forecast) @ rows).unflatten(1, (-1, forecast.shape[2]))


def external_features(batch: Batch, forecast: Tensor) -> Tensor:
    """External forecasts less our forecast (B, H, V), 0 where there is none, and whether a window has any. (B, H·K + 1)

    Raises ValueError if the batch was gathered without external forecasts.
    """
    if batch.external_forecasts is None:
        raise ValueError("the batch was gathered without external forecasts")
    valid = (~batch.external_forecasts.absent).to(forecast.dtype)[:, None]
    return torch.cat([batch.external_forecasts.departure(forecast, batch.last).flatten(1), valid], dim=1)


@dataclass(frozen=True)
class Moments:
    """Sums over windows from which ridge weights follow; the moments of disjoint windows add up.

    All targets share one Gram matrix, scaled by each target's own count. That is exact if no truth is missing, and right if
    it is missing at random. A truth with weight 0.5 counts as half missing.
    """

    gram: Tensor  # (P, P) XᵀX; float64, or float32 while it is only stored
    moment: Tensor  # (P, H·V) XᵀY, float64
    count: Tensor  # (H·V,) sum of the weights of the truth, float64
    windows: int

    def to_float32(self) -> "Moments":
        """The same with the Gram matrix in half the memory."""
        return replace(self, gram=self.gram.float())

    def last(self, columns: int) -> "Moments":
        """The moments of the last features only."""
        return replace(self, gram=self.gram[-columns:, -columns:], moment=self.moment[-columns:])

    def __sub__(self, part: "Moments") -> "Moments":
        """The moments without a part."""
        return Moments(
            self.gram - part.gram, self.moment - part.moment, self.count - part.count, self.windows - part.windows
        )

    def solve(self, penalties: Sequence[float]) -> Tensor:
        """Ridge weights (P, H·V) with a penalty for each of the V targets, relative to the number of windows."""
        gram = self.gram.double() / self.windows
        moment = self.moment / self.count.clamp(min=torch.finfo(torch.double).tiny)
        weights = torch.empty_like(moment, dtype=torch.float32)
        of_column = torch.tensor(penalties, dtype=torch.double).repeat(moment.shape[1] // len(penalties))
        for penalty in set(penalties):
            columns = (of_column == penalty).nonzero()[:, 0].to(moment.device)
            weights[:, columns] = _solve(gram, moment[:, columns], penalty).float()
        return weights


def _solve(gram: Tensor, moment: Tensor, penalty: float) -> Tensor:
    """Solve (gram + penalty · I) w = moment by Cholesky factorisation; the last feature is the constant and not shrunk."""
    ridge = torch.full((len(gram),), penalty, dtype=gram.dtype, device=gram.device)
    ridge[-1] = 1e-9
    factor = gram.clone()
    factor.diagonal().add_(ridge)
    return torch.cholesky_solve(moment, torch.linalg.cholesky(factor, out=factor))


def add_moments(parts: Sequence[Moments]) -> Moments:
    """The moments of all windows of these parts. There must be at least one part."""
    first, *others = parts
    gram, moment, count = (sums.to(torch.double, copy=True) for sums in (first.gram, first.moment, first.count))
    for part in others:  # in place: each gram is as large as all windows of a small network
        gram += part.gram
        moment += part.moment
        count += part.count
    return Moments(gram, moment, count, sum(part.windows for part in parts))


def sum_moments(batches: Iterable[Batch], targets: int, features: Features) -> Moments:
    """The moments of these windows, in batches of any size. Raises ValueError if there is none."""
    return sum_rows(
        (features(batch), *weigh_departure(batch, batch.last[:, None, :targets].expand(-1, HORIZON_HOURS, -1)))
        for batch in batches
    )


def sum_rows(rows: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Moments:
    """The moments of pieces of any size: features (B, P), and what `weigh_departure` returns. Raises ValueError without any."""
    gram = moment = count = None
    windows = 0
    for x, y, weight in rows:
        P, N = x.shape[1], y.shape[1]
        if gram is None or moment is None or count is None:
            gram, moment, count = (
                torch.zeros(shape, dtype=torch.double, device=x.device) for shape in ((P, P), (P, N), N)
            )
        _add_gram(gram, x)
        moment += x.T @ y
        count += weight.sum(dim=0)
        windows += len(x)
    if gram is None or moment is None or count is None:
        raise ValueError("there are no windows to sum up")
    _mirror(gram)
    return Moments(gram, moment, count, windows)


def _add_gram(gram: Tensor, x: Tensor) -> None:
    """Add xᵀx to gram (P, P), only in and above the diagonal blocks, which saves half the work; `_mirror` fills in the rest."""
    for block in _blocks(len(gram)):
        gram[block, block.start :] += x[:, block].T @ x[:, block.start :]


def _mirror(gram: Tensor) -> None:
    for block in _blocks(len(gram)):
        gram[block.stop :, block] = gram[block, block.stop :].T


def _blocks(size: int) -> list[slice]:
    width = -(-size // _BLOCKS)
    return [slice(start, min(start + width, size)) for start in range(0, size, width)]


def weigh_departure(batch: Batch, base: Tensor) -> tuple[Tensor, Tensor]:
    """Truth less the base (B, H, V), times its weight, and the weight, which is 0 where the truth is missing. Both (B, H·V)"""
    truth, weight = batch.truth_of(base.shape[2])
    departure = (truth - base).flatten(1)
    valid = ~departure.isnan()
    if weight is None:
        return departure.nan_to_num(0.0), valid
    return departure.nan_to_num(0.0) * weight.flatten(1), valid * weight.flatten(1)
