"""Fit the ridge baseline and the linear path: cross-fitted on the training block, and refitted to all hours.

Read `fit_nested`, which fits both, `_sum_folds`, which sums up the windows of each fold, and `cross_fit`.

Why cross-fitting: ridge leaves smaller residuals on its own training rows than it will leave tomorrow. A network trained on those
trusts the linear path too much, and its quantiles are too narrow. Here each training window gets the forecast of weights that
were fitted without its tenth of the time (stacked generalisation: Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1).

B windows, P features, K folds, H leads, V targets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from daycast.features.splits import Block
from daycast.model.device import trim_memory
from daycast.model.linear.ridge import (
    PENALTIES,
    Features,
    Moments,
    add_moments,
    external_features,
    linear_forecast,
    sum_moments,
)
from daycast.model.training.parallel import run_parallel, threads_for
from daycast.model.training.sampling import draw, eligible_origins, subsample
from daycast.model.windows import Batch, Windows
from daycast.times import HISTORY_HOURS

FOLDS = 10
MOST_WINDOWS = 60_000  # of the training block; more change the error by less than a hundredth
_LONGEST_H = 10 * 24  # hours of a piece of a fold: long for the memory of the weather, short for its seasons
_HELD_OUT = 3_000  # windows on which the penalties are chosen
_PART = 1_000  # windows gathered at a time


@dataclass(frozen=True)
class CrossFit:
    """Ridge weights fitted to the whole block, and without each fold in turn."""

    weights: Tensor  # (P, H·V), of the whole block
    without: Tensor  # (K, P, H·V), without each fold
    penalties: tuple[float, ...]  # V: of each target
    fold: Tensor  # (hours,) int64: the fold of each hour of issue
    features: Features

    def forecast(self, batch: Batch, origins: Tensor) -> Tensor:
        """Out-of-fold forecasts (B, H, V), scaled: each window by the weights without its fold. origins (B,): hours of issue."""
        V = len(self.penalties)
        x, fold = self.features(batch), self.fold[origins]  # (B, P), (B,)
        P = x.shape[1]
        forecast = batch.last[:, None, :V] + _by_fold(x, self.without[:, :P], fold).unflatten(1, (-1, V))  # (B, H, V)
        if batch.external_forecasts is None or self.without.shape[1] == P:
            return forecast
        return forecast + _by_fold(external_features(batch, forecast), self.without[:, P:], fold).unflatten(1, (-1, V))

    def beyond(self, block: Block) -> "CrossFit":
        """The same for all hours: windows issued after this block are forecast by the weights of the whole block."""
        fold = self.fold.clone()
        fold[block.last_origin + 1 :] = len(self.without)
        return replace(self, without=torch.cat([self.without, self.weights[None]]), fold=fold)


@dataclass(frozen=True)
class LinearFit:
    """The result of fitting one linear model."""

    path: CrossFit
    refreshed: Tensor  # (P, H·V): weights fitted to all hours, for serving
    held_out: tuple[tuple[Batch, Tensor], ...]  # training windows with their out-of-fold forecasts (B, H, V)


@dataclass(frozen=True)
class _FoldMoments:
    """What linear models of one block are fitted to."""

    of_folds: list[Moments]  # of the block's windows, one for each fold
    of_all: list[Moments]  # these, and those of the hours after the block
    held_out: list[list[tuple[Batch, Tensor, Tensor]]]  # some windows of each fold, as from `gather_parts`
    fold: Tensor  # (hours,) int64: the fold of each hour of issue

    def last(self, columns: int) -> "_FoldMoments":
        """The same for the last features only."""
        of_all = [part.last(columns) for part in self.of_all]
        return replace(self, of_folds=of_all[: len(self.of_folds)], of_all=of_all)


def fit_linear(
    windows: Windows, block: Block, targets: int, features: Features, seed: int, folds: int = FOLDS
) -> LinearFit:
    """Fit to the training block with penalties chosen by cross-validation in it, and with these penalties to all hours.

    Fewer folds take less time and suffice where no network learns from the out-of-fold forecasts.
    """
    return _fit(_sum_folds(windows, block, targets, features, seed, folds), targets, features)


def fit_nested(
    windows: Windows, block: Block, targets: int, features: Features, nested: Features, seed: int
) -> tuple[LinearFit, LinearFit]:
    """Fit as `fit_linear` with two kinds of features, where the nested ones are the last columns of the others.

    The windows are gathered and summed up once: the moments of the nested features are a corner of the others'.
    """
    sums = _sum_folds(windows, block, targets, features, seed, FOLDS)
    columns = nested(sums.held_out[0][0][0]).shape[1]
    return _fit(sums, targets, features), _fit(sums.last(columns), targets, nested)


def _sum_folds(windows: Windows, block: Block, targets: int, features: Features, seed: int, folds: int) -> _FoldMoments:
    eligible = eligible_origins(windows.panel, block, targets)
    fraction = min(1.0, MOST_WINDOWS / eligible.sum())

    def moments_of(part: np.ndarray, within: Block) -> Moments:
        rng = np.random.default_rng([seed, within.start])  # a draw from one block does not depend on another
        return sum_moments(_draw(windows, part, within, fraction, rng), targets, features)

    fold = fold_of_hours(block, windows.panel.hours, folds)
    used = np.unique(fold[eligible.any(axis=0)])  # folds with eligible windows
    few = _HELD_OUT // len(used)
    after = hours_after(block, windows.panel.hours)
    later = eligible_origins(windows.panel, after, targets)
    held_out = [list(gather_parts(windows, *subsample(eligible & (fold == k), few))) for k in used]
    parts = [(eligible & (fold == k), block) for k in used] + ([(later, after)] if later.any() else [])
    sums = run_parallel(lambda part: moments_of(*part).to_float32(), parts, threads_for(windows.device))
    trim_memory()
    fold_index = torch.from_numpy(np.searchsorted(used, fold)).to(windows.device)
    return _FoldMoments(sums[: len(used)], sums, held_out, fold_index)


def _fit(sums: _FoldMoments, targets: int, features: Features) -> LinearFit:
    batches = [[batch for batch, _, _ in part] for part in sums.held_out]
    path = cross_fit(sums.of_folds, batches, sums.fold, targets, features)
    refreshed = add_moments(sums.of_all).solve(path.penalties)
    held_out = tuple((batch, path.forecast(batch, t0)) for part in sums.held_out for batch, _, t0 in part)
    trim_memory()
    return LinearFit(path, refreshed, held_out)


def fold_of_hours(block: Block, hours: int, folds: int = FOLDS) -> np.ndarray:
    """The fold of each hour of issue: the block is cut into pieces, which belong to the folds in turn. (hours,) int64"""
    piece = min(_LONGEST_H, max((block.end - block.start) // (4 * folds), 1))
    return np.maximum(np.arange(hours) - block.start, 0) // piece % folds


def cross_fit(
    moments: Sequence[Moments],
    held_out: Sequence[Sequence[Batch]],
    fold: Tensor,
    targets: int,
    features: Features,
) -> CrossFit:
    """Solve with and without each fold, for each target with the penalty that errs least on the held-out windows.

    moments, held_out: of each fold. With a single fold its windows are forecast by the weights fitted to them.
    """
    total, threads = add_moments(moments), threads_for(fold.device)
    # of each fold (penalties, P, H·V)
    solved = run_parallel(lambda part: _solve_without(total, part), moments, threads)

    def errors_of(p: int) -> np.ndarray:
        return _errors([by_penalty[p] for by_penalty in solved], held_out, targets, features)

    errors = np.stack(run_parallel(errors_of, range(len(PENALTIES)), threads))  # (penalties, V)
    best = errors.argmin(axis=0)  # (V,)
    columns = torch.arange(solved[0].shape[-1])
    of_column = torch.from_numpy(best).repeat(len(columns) // targets)  # (H·V,)
    chosen = torch.stack([by_penalty[of_column, :, columns].T for by_penalty in solved])  # (K, P, H·V)
    penalties = tuple(PENALTIES[p] for p in best)
    return CrossFit(total.solve(penalties), chosen.contiguous(), penalties, fold, features)


def _solve_without(total: Moments, part: Moments) -> Tensor:
    """The weights of each of PENALTIES without a part. (penalties, P, H·V)"""
    others = without(total, part)
    weights = torch.stack([others.solve((penalty,)) for penalty in PENALTIES])
    trim_memory()
    return weights


def without(total: Moments, part: Moments) -> Moments:
    """The moments without a part, or the total if the part is all of it.

    Make them only when needed: those without each fold would together be as large as all folds.
    """
    return total - part if part.windows < total.windows else total


def _by_fold(x: Tensor, weights: Tensor, fold: Tensor) -> Tensor:
    """Each row of x (B, P) times the weights (K, P, N) of its fold. (B, N)"""
    product = torch.empty(len(x), weights.shape[2], device=x.device)
    for k, of_fold in enumerate(weights):
        at = fold == k
        product[at] = x[at] @ of_fold
    return product


def _errors(
    weights: Sequence[Tensor], held_out: Sequence[Sequence[Batch]], targets: int, features: Features
) -> np.ndarray:
    """Weighted mean absolute error of each target, scaled, over the held-out windows of each fold. (V,)

    weights: of each fold, (P, H·V).
    """
    error, count = torch.zeros(targets), torch.zeros(targets)
    for of_fold, batches in zip(weights, held_out, strict=True):
        for batch in batches:
            truth, weight = batch.truth_of(targets)  # (B, H, V)
            valid = (~truth.isnan()) if weight is None else (~truth.isnan()) * weight
            off = (linear_forecast(of_fold, batch, targets, features) - truth).abs().nan_to_num(0.0) * valid
            error += off.sum(dim=(0, 1)).cpu()
            count += valid.sum(dim=(0, 1)).cpu()
    return (error / count.clamp(min=1)).numpy()


def hours_after(block: Block, hours: int) -> Block:
    """The block whose first hour of issue follows the last one of `block`, up to the end of the panel's hours."""
    return Block(block.last_origin + 2 - HISTORY_HOURS, hours)


def gather_parts(
    windows: Windows, stations: np.ndarray, origins: np.ndarray, size: int = _PART
) -> Iterator[tuple[Batch, Tensor, Tensor]]:
    """Gather windows (N,), `size` at a time: yields each batch with its stations and origins on the device."""
    for part in range(0, len(stations), size):
        at, t0 = (
            torch.from_numpy(index[part : part + size].astype(np.int64)).to(windows.device)
            for index in (stations, origins)
        )
        yield windows.gather(at, t0), at, t0


def _draw(
    windows: Windows, eligible: np.ndarray, block: Block, fraction: float, rng: np.random.Generator
) -> Iterator[Batch]:
    """A fraction of a block's eligible windows at random, or all of them in order."""
    stations, origins = (
        np.nonzero(eligible)
        if fraction == 1
        else (index.numpy() for index in draw(eligible, max(round(fraction * eligible.sum()), 1), block, rng))
    )
    for batch, _, _ in gather_parts(windows, stations, origins):
        yield batch
