"""The ridge baseline and the linear path, fitted to a training block, and once more to all there is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from daycast.model.cross_fit import FOLDS, CrossFit, cross_fit, fold_of_hours
from daycast.model.freed_memory import give_back_memory
from daycast.model.linear_path import Features, Moments, sum_moments, sum_up
from daycast.model.sampling import draw, eligible_origins, spread_evenly
from daycast.model.side_by_side import side_by_side, threads_for
from daycast.model.windows import Batch, Windows
from daycast.prepare.splits import Block
from daycast.times import HISTORY_HOURS

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
    eligible = eligible_origins(windows.network, block, targets)
    share = min(1.0, MOST_WINDOWS / eligible.sum())

    def moments_of(part: np.ndarray, within: Block) -> Moments:
        rng = np.random.default_rng([seed, within.start])  # what is drawn of one block does not depend on another
        return sum_moments(_draw(windows, part, within, share, rng), targets, features)

    fold = fold_of_hours(block, windows.network.hours, folds)
    present = np.unique(fold[eligible.any(axis=0)])
    few = _HELD_OUT // len(present)
    after = hours_after(block, windows.network.hours)
    later = eligible_origins(windows.network, after, targets)
    held_out = [list(gather_parts(windows, *spread_evenly(eligible & (fold == k), few))) for k in present]
    parts = [(eligible & (fold == k), block) for k in present] + ([(later, after)] if later.any() else [])
    sums = side_by_side(lambda part: moments_of(*part).to_keep(), parts, threads_for(windows.device))
    give_back_memory()
    fold_index = torch.from_numpy(np.searchsorted(present, fold)).to(windows.device)
    return _Sums(sums[: len(present)], sums, held_out, fold_index)


def _fit(sums: _Sums, targets: int, features: Features) -> LinearFit:
    batches = [[batch for batch, _, _ in part] for part in sums.held_out]
    path = cross_fit(sums.of_folds, batches, sums.fold, targets, features)
    refreshed = sum_up(sums.of_all).solve(path.penalties)
    held_out = tuple((batch, path.forecast(batch, t0)) for part in sums.held_out for batch, _, t0 in part)
    give_back_memory()
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
