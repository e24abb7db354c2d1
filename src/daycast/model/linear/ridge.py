"""Ridge regression from the window to every lead and target at once, in closed form: the `ridge` baseline and the linear path.

The baseline reads the station's own history and the calendar. The path that stands beside the recurrent network also reads what
the neighbours showed, and the newest day times the hour of the day, for the atmosphere's day has no linear clock. What others
forecast corrects it, by rows that `fit_external_correction` puts below its weights.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from daycast.model.windows import CLOCK, Batch
from daycast.times import HISTORY_HOURS, HORIZON_HOURS

PENALTIES = (1e-3, 1e-2, 1e-1)  # candidates, relative to the number of windows
_BLOCKS = 6  # of columns, by which second moments are summed up
_NEWEST_H = 24  # hours whose effect may depend on the hour of issue

Features = Callable[[Batch], Tensor]


def ridge_features(batch: Batch) -> Tensor:
    """What the baseline reads: all filled history, the calendar of the horizon, and a constant. (B, P)"""
    ones = torch.ones(len(batch.filled), 1, device=batch.filled.device)
    return torch.cat([batch.filled.flatten(1), batch.calendar[:, HISTORY_HOURS:].flatten(1), ones], dim=1)


def path_features(batch: Batch) -> Tensor:
    """What the linear path reads: neighbours, the newest day times the clock at t0, and, last, what the baseline reads. (B, P)"""
    clock = batch.calendar[:, HISTORY_HOURS - 1, CLOCK]  # (B, 2)
    newest = batch.filled[:, -_NEWEST_H:].flatten(1)
    by_hour = [newest * clock[:, :1], newest * clock[:, 1:]]
    return torch.cat([batch.around.flatten(1), *by_hour, ridge_features(batch)], dim=1)


def linear_forecast(weights: Tensor, batch: Batch, targets: int, features: Features) -> Tensor:
    """A forecast in scaled units: the last value plus a departure. weights (P, H·V); returns (B, H, V).

    Where others forecast nothing, rows of `fit_external_correction` below the P change nothing.
    """
    x = features(batch)  # (B, P)
    forecast = batch.last[:, None, :targets] + (x @ weights[: x.shape[1]]).unflatten(1, (-1, targets))
    return correct(forecast, batch, weights[x.shape[1] :])


def correct(forecast: Tensor, batch: Batch, rows: Tensor) -> Tensor:
    """A forecast (B, H, V) corrected by those of others. rows (H·K + 1, H·V) of `fit_external_correction`, or none."""
    if batch.external_forecasts is None or not len(rows):
        return forecast
    return forecast + (external_features(batch, forecast) @ rows).unflatten(1, (-1, forecast.shape[2]))


def external_features(batch: Batch, forecast: Tensor) -> Tensor:
    """How far others' forecasts lie from one of ours (B, H, V), and whether there are any. (B, H·K + 1)

    0 where there is none: what nobody else forecasts is left to our own.
    """
    if batch.external_forecasts is None:
        raise ValueError("the batch was gathered without others' forecasts")
    valid = (~batch.external_forecasts.absent).to(forecast.dtype)[:, None]
    return torch.cat([batch.external_forecasts.departure(forecast, batch.last).flatten(1), valid], dim=1)


@dataclass(frozen=True)
class Moments:
    """Sums over windows from which ridge weights follow; those of disjoint windows add up.

    Targets that are missing in some windows share the features' second moments with the others, scaled by their own count: exact
    where nothing is missing, and otherwise right if what is missing is so at random. A weight of 0.5 is half a missing value.
    """

    gram: Tensor  # (P, P) float64, or float32 where they are only kept
    moment: Tensor  # (P, H·V) float64
    count: Tensor  # (H·V,) float64
    windows: int

    def to_keep(self) -> "Moments":
        """The same in half the memory."""
        return replace(self, gram=self.gram.float())

    def last(self, columns: int) -> "Moments":
        """Those of the last features alone."""
        return replace(self, gram=self.gram[-columns:, -columns:], moment=self.moment[-columns:])

    def __sub__(self, part: "Moments") -> "Moments":
        """The moments of what is left without a part."""
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


def sum_up(parts: Sequence[Moments]) -> Moments:
    """The moments of all the windows of these parts, at least one."""
    first, *others = parts
    gram, moment, count = (sums.to(torch.double, copy=True) for sums in (first.gram, first.moment, first.count))
    for part in others:  # in place: each gram is as large as all windows of a small network
        gram += part.gram
        moment += part.moment
        count += part.count
    return Moments(gram, moment, count, sum(part.windows for part in parts))


def sum_moments(batches: Iterable[Batch], targets: int, features: Features) -> Moments:
    """The moments of these windows, which may come in any pieces, at least one of them."""
    return sum_rows(
        (features(batch), *weigh_departure(batch, batch.last[:, None, :targets].expand(-1, HORIZON_HOURS, -1)))
        for batch in batches
    )


def sum_rows(rows: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Moments:
    """The moments of features (B, P) and what `weigh_departure` makes of the truth, in any pieces, at least one."""
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
    """Add xᵀx (P, P) where it is not below the blocks of the diagonal: what is below mirrors it, and half the work is saved."""
    for block in _blocks(len(gram)):
        gram[block, block.start :] += x[:, block].T @ x[:, block.start :]


def _mirror(gram: Tensor) -> None:
    for block in _blocks(len(gram)):
        gram[block.stop :, block] = gram[block, block.stop :].T


def _blocks(size: int) -> list[slice]:
    width = -(-size // _BLOCKS)
    return [slice(start, min(start + width, size)) for start in range(0, size, width)]


def weigh_departure(batch: Batch, base: Tensor) -> tuple[Tensor, Tensor]:
    """What came less the base (B, H, V), times what it counts; and what it counts, nothing where missing. Both (B, H·V)"""
    truth, weight = batch.truth_of(base.shape[2])
    departure = (truth - base).flatten(1)
    valid = ~departure.isnan()
    if weight is None:
        return departure.nan_to_num(0.0), valid
    return departure.nan_to_num(0.0) * weight.flatten(1), valid * weight.flatten(1)


def _solve(gram: Tensor, moment: Tensor, penalty: float) -> Tensor:
    ridge = torch.full((len(gram),), penalty, dtype=gram.dtype, device=gram.device)
    ridge[-1] = 1e-9  # the constant is not shrunk
    factor = gram.clone()
    factor.diagonal().add_(ridge)
    return torch.cholesky_solve(moment, torch.linalg.cholesky(factor, out=factor))
