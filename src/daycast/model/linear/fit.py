"""The ridge baseline and the linear path, fitted to a training block, and once more to all there is."""

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
    external_features,
    linear_forecast,
    sum_moments,
    sum_up,
)
from daycast.model.training.parallel import run_parallel, threads_for
from daycast.model.training.sampling import draw, eligible_origins, subsample
from daycast.model.windows import Batch, Windows
from daycast.times import HISTORY_HOURS

# A linear forecast of each training window by weights that did not see it, so that a network learns from honest errors.
#
# What ridge leaves on its own training rows is smaller than what it will leave tomorrow: a network trained on it trusts the
# linear path too much and its quantiles are too narrow. Fitted without each tenth of the time in turn, the linear path meets
# every training window as it meets the future (stacked generalisation: Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1).


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
        if batch.external_forecasts is None or self.without.shape[1] == P:
            return forecast
        return forecast + _by_fold(external_features(batch, forecast), self.without[:, P:], fold).unflatten(1, (-1, V))


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
    without = run_parallel(
        lambda part: _solve_without(total, part), moments, threads
    )  # of each fold (penalties, P, H·V)

    def errors_of(p: int) -> np.ndarray:
        return _errors([by_penalty[p] for by_penalty in without], held_out, targets, features)

    errors = np.stack(run_parallel(errors_of, range(len(PENALTIES)), threads))
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
    trim_memory()
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
            valid = (~truth.isnan()) if counts is None else (~truth.isnan()) * counts
            off = (linear_forecast(weights, batch, targets, features) - truth).abs().nan_to_num(0.0) * valid
            error += off.sum(dim=(0, 1)).cpu()
            count += valid.sum(dim=(0, 1)).cpu()
    return (error / count.clamp(min=1)).numpy()


MOST_WINDOWS = 60_000  # of the training block; more change the error by less than a hundredth
_HELD_OUT = 3_000  # windows on which the penalties are chosen
_PART = 1_000  # windows gathered at a time


@dataclass(frozen=True)
class LinearFit:
    """What one linear model came to."""

    path: CrossFit
    refreshed: Tensor  # (P, H·V): the weights of all hours there are, for serving
    held_out: tuple[tuple[Batch, Tensor], ...]  # training windows, forecast (B, H, V) by weights that did not see them


@dataclass(frozen=True)
class _Sums:
    """What linear models of one block are fitted to."""

    of_folds: list[Moments]  # of the block's windows, a fold each
    of_all: list[Moments]  # those, and those of the hours after the block
    held_out: list[list[tuple[Batch, Tensor, Tensor]]]  # some windows of each fold, as of `gather_parts`
    fold: Tensor  # (hours,) int64: the fold of each hour of issue

    def last(self, columns: int) -> "_Sums":
        """The same of the last features alone."""
        of_all = [part.last(columns) for part in self.of_all]
        return replace(self, of_folds=of_all[: len(self.of_folds)], of_all=of_all)


def fit_linear(
    windows: Windows, block: Block, targets: int, features: Features, seed: int, folds: int = FOLDS
) -> LinearFit:
    """Fit to the training block, the penalties chosen by cross-validation in it, and with these to all hours.

    Where only the penalties are wanted, and no network learns from what was held out, fewer folds do as well in less time.
    """
    return _fit(_sum_folds(windows, block, targets, features, seed, folds), targets, features)


def fit_nested(
    windows: Windows, block: Block, targets: int, features: Features, nested: Features, seed: int
) -> tuple[LinearFit, LinearFit]:
    """As `fit_linear` with each of two kinds of features, of which the nested ones are the others' last columns.

    The windows are gathered and summed up once: the moments of the nested features are a corner of the others'.
    """
    sums = _sum_folds(windows, block, targets, features, seed, FOLDS)
    columns = nested(sums.held_out[0][0][0]).shape[1]
    return _fit(sums, targets, features), _fit(sums.last(columns), targets, nested)


def _sum_folds(windows: Windows, block: Block, targets: int, features: Features, seed: int, folds: int) -> _Sums:
    eligible = eligible_origins(windows.panel, block, targets)
    share = min(1.0, MOST_WINDOWS / eligible.sum())

    def moments_of(part: np.ndarray, within: Block) -> Moments:
        rng = np.random.default_rng([seed, within.start])  # what is drawn of one block does not depend on another
        return sum_moments(_draw(windows, part, within, share, rng), targets, features)

    fold = fold_of_hours(block, windows.panel.hours, folds)
    present = np.unique(fold[eligible.any(axis=0)])
    few = _HELD_OUT // len(present)
    after = hours_after(block, windows.panel.hours)
    later = eligible_origins(windows.panel, after, targets)
    held_out = [list(gather_parts(windows, *subsample(eligible & (fold == k), few))) for k in present]
    parts = [(eligible & (fold == k), block) for k in present] + ([(later, after)] if later.any() else [])
    sums = run_parallel(lambda part: moments_of(*part).to_keep(), parts, threads_for(windows.device))
    trim_memory()
    fold_index = torch.from_numpy(np.searchsorted(present, fold)).to(windows.device)
    return _Sums(sums[: len(present)], sums, held_out, fold_index)


def _fit(sums: _Sums, targets: int, features: Features) -> LinearFit:
    batches = [[batch for batch, _, _ in part] for part in sums.held_out]
    path = cross_fit(sums.of_folds, batches, sums.fold, targets, features)
    refreshed = sum_up(sums.of_all).solve(path.penalties)
    held_out = tuple((batch, path.forecast(batch, t0)) for part in sums.held_out for batch, _, t0 in part)
    trim_memory()
    return LinearFit(path, refreshed, held_out)


def hours_after(block: Block, hours: int) -> Block:
    """The block whose first hour of issue follows the last of this one, up to the end of the network's hours."""
    return Block(block.last_origin + 2 - HISTORY_HOURS, hours)


def gather_parts(
    windows: Windows, stations: np.ndarray, origins: np.ndarray, size: int = _PART
) -> Iterator[tuple[Batch, Tensor, Tensor]]:
    """The windows of these stations and hours of issue, `size` at a time: each part and its indices on the device."""
    for part in range(0, len(stations), size):
        at, t0 = (
            torch.from_numpy(index[part : part + size].astype(np.int64)).to(windows.device)
            for index in (stations, origins)
        )
        yield windows.gather(at, t0), at, t0


def _draw(
    windows: Windows, eligible: np.ndarray, block: Block, share: float, rng: np.random.Generator
) -> Iterator[Batch]:
    """A share of a block's windows: all of them in turn, or as many at random."""
    stations, origins = (
        np.nonzero(eligible)
        if share == 1
        else (index.numpy() for index in draw(eligible, max(round(share * eligible.sum()), 1), block, rng))
    )
    for batch, _, _ in gather_parts(windows, stations, origins):
        yield batch
