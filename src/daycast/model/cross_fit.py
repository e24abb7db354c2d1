"""A linear forecast of each training window by weights that did not see it, so that a network learns from honest errors.

What ridge leaves on its own training rows is smaller than what it will leave tomorrow: a network trained on it trusts the
linear path too much and its quantiles are too narrow. Fitted without each tenth of the time in turn, the linear path meets
every training window as it meets the future (stacked generalisation: Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from daycast.model.freed_memory import give_back_memory
from daycast.model.linear_path import PENALTIES, Features, Moments, linear_forecast, outlook_features, sum_up
from daycast.model.side_by_side import side_by_side, threads_for
from daycast.model.windows import Batch
from daycast.prepare.splits import Block

FOLDS = 10
_LONGEST_H = 10 * 24  # hours of a piece of a fold: long against the memory of the weather, short against its seasons


def fold_of_hours(block: Block, hours: int, folds: int = FOLDS) -> np.ndarray:
    """To which of the folds each hour of issue belongs: pieces of the block in turn. (hours,) int64"""
    piece = min(_LONGEST_H, max((block.end - block.start) // (4 * folds), 1))
    return np.maximum(np.arange(hours) - block.start, 0) // piece % folds


@dataclass(frozen=True)
class CrossFit:
    """Ridge weights fitted to a block, whole and without each fold in turn."""

    weights: Tensor  # (P, H·V), of the whole block
    without: Tensor  # (K, P, H·V), without the hours of issue of each fold
    penalties: tuple[float, ...]  # V: of each target
    fold: Tensor  # (hours,) int64: the fold of each hour of issue
    features: Features

    def forecast(self, batch: Batch, origins: Tensor) -> Tensor:
        """Of each window by the weights that did not see it, in scaled units. origins (B,) hours of issue; returns (B, H, V)."""
        V = len(self.penalties)
        x, fold = self.features(batch), self.fold[origins]  # (B, P), (B,)
        P = x.shape[1]
        forecast = batch.last[:, None, :V] + _by_fold(x, self.without[:, :P], fold).unflatten(1, (-1, V))
        if batch.covariates is None or self.without.shape[1] == P:
            return forecast
        return forecast + _by_fold(outlook_features(batch, forecast), self.without[:, P:], fold).unflatten(1, (-1, V))


def cross_fit(
    moments: Sequence[Moments],
    held_out: Sequence[Sequence[Batch]],
    fold: Tensor,
    targets: int,
    features: Features,
) -> CrossFit:
    """Fit to the moments of each fold, with the penalty of each target under which the held-out windows err least.

    held_out: some windows of each fold. With one fold alone its windows are forecast by what was fitted to them.
    """
    total, threads = sum_up(moments), threads_for(fold.device)
    without = side_by_side(
        lambda part: _solve_without(total, part), moments, threads
    )  # of each fold (penalties, P, H·V)

    def errors_of(p: int) -> np.ndarray:
        return _errors([by_penalty[p] for by_penalty in without], held_out, targets, features)

    errors = np.stack(side_by_side(errors_of, range(len(PENALTIES)), threads))
    best = errors.argmin(axis=0)  # V
    columns = torch.arange(without[0].shape[-1])
    of_column = torch.from_numpy(best).repeat(len(columns) // targets)
    chosen = torch.stack([by_penalty[of_column, :, columns].T for by_penalty in without])
    penalties = tuple(PENALTIES[p] for p in best)
    return CrossFit(total.solve(penalties), chosen.contiguous(), penalties, fold, features)


def _solve_without(total: Moments, part: Moments) -> Tensor:
    """The weights of each of PENALTIES without a part. (penalties, P, H·V)"""
    others = rest(total, part)
    weights = torch.stack([others.solve((penalty,)) for penalty in PENALTIES])
    give_back_memory()
    return weights


def _by_fold(x: Tensor, weights: Tensor, fold: Tensor) -> Tensor:
    """Each row of x (B, P) times the weights (K, P, N) of its fold. (B, N)"""
    product = torch.empty(len(x), weights.shape[2], device=x.device)
    for k, of_fold in enumerate(weights):
        at = fold == k
        product[at] = x[at] @ of_fold
    return product


def rest(total: Moments, part: Moments) -> Moments:
    """What is left without a part; made when it is needed, for all rests together would be as large as all parts."""
    return total - part if part.windows < total.windows else total


def _errors(
    without: Sequence[Tensor], held_out: Sequence[Sequence[Batch]], targets: int, features: Features
) -> np.ndarray:
    """Mean absolute error of each target over the held-out windows of each fold, in scaled units,
    each truth by what it counts. (V,)
    """
    error, count = torch.zeros(targets), torch.zeros(targets)
    for weights, batches in zip(without, held_out, strict=True):
        for batch in batches:
            truth, counts = batch.truth_of(targets)
            there = (~truth.isnan()) if counts is None else (~truth.isnan()) * counts
            off = (linear_forecast(weights, batch, targets, features) - truth).abs().nan_to_num(0.0) * there
            error += off.sum(dim=(0, 1)).cpu()
            count += there.sum(dim=(0, 1)).cpu()
    return (error / count.clamp(min=1)).numpy()
