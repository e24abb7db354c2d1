"""Learn calibrations from hindcasts: weighted split-conformal prediction. Nothing is trained.

Read `calibrate` and `_learn`; `weighted_quantiles` at the end is a quantile function with weights, fast on many samples.

N windows (the last axis here, because samples are sorted along it), H leads, V targets, Q quantiles.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from daycast.model.calibration.calibration import INPUTS, Calibration
from daycast.model.calibration.hindcasts import LOOK_BACK_DAYS, Hindcasts
from daycast.model.config import MEDIAN, QUANTILES
from daycast.model.training.parallel import run_parallel, threads_for

EVERY_DAYS = 7  # between one calibration and the next
_HALF_LIFE_DAYS = 30.0  # after which the weight of a window is halved
_SIMILARITY = np.array([1.0, 0.8, 0.41, 0.13])  # weight of a window by the hours between the two hours of issue
_MEDIAN_SHARE = 0.75  # fraction of the learned shift that is applied, because next week is not last month
_PRIOR_DAYS = 5.0  # days of windows with which half of what was learned is applied
_PREVIOUS_SHARE = 0.1  # weight of a window that was forecast with superseded linear weights
_FOLD_DAYS, _FOLDS = 7, 4
_NARROWEST, _WIDEST = 0.25, 6.0  # limits of a stretch
_FEWEST = 50  # windows of one input, from which a widening is learned
_NOT_MEDIAN = [q for q in range(len(QUANTILES)) if q != MEDIAN]
# levels counted from the median outwards, (1, Q - 1)
_OUTWARDS = np.maximum(QUANTILES, 1 - np.array(QUANTILES))[None, _NOT_MEDIAN]
_SAME = 1e-4  # distances that differ by less, as a fraction or scaled, do so by rounding
_AT_ONCE = 1 << 17  # samples sorted together: they fit into a core's cache, which is three times as fast
_NAN_KEY = np.int32(2**31 - 1)  # sorts after every number


def calibrate(hindcasts: Hindcasts, now: int, hours: Collection[int] = range(24)) -> dict[str, Calibration]:
    """The calibration of each forecaster, by name, from what was known of the hindcasts at `now`, in hours since 1970.

    hours: the hours of issue (mean solar time) to calibrate; the others, and everything of which nothing is known, stay
    unchanged.

    Windows of the last LOOK_BACK_DAYS days count, newer ones more, and for each hour of issue those of similar hours:
    split-conformal prediction (Romano, Patterson & Candès 2019, arXiv:1905.03222) with weights against drift (Barber, Candès,
    Ramdas & Tibshirani 2023, doi:10.1214/23-AOS2276). Score = (observation - median) / (quantile - median), after an out-of-fold
    correction of the median's bias: a bias learned from the same week would make the scores too small.
    """
    return calibrate_at_each(hindcasts, [now], hours)[0]


def calibrate_at_each(
    hindcasts: Hindcasts, moments: Sequence[int], hours: Collection[int]
) -> list[dict[str, Calibration]]:
    """`calibrate` at each of these moments, in hours since 1970."""
    learned: list[dict[str, Calibration]] = [{} for _ in moments]
    truth = _windows_last(hindcasts.truth)
    for name, quantiles in hindcasts.quantiles.items():
        samples = _make_samples(hindcasts, quantiles, truth)
        parts = run_parallel(partial(_learn, samples, hours), moments, threads_for(torch.device("cpu")))
        for at, part in zip(learned, parts, strict=True):
            at[name] = Calibration(*(one.to(quantiles.device) for one in part))
    return learned


@dataclass(frozen=True)
class _Samples:
    """Windows of one forecaster to learn from, the last axis along them. Errors are those of the median."""

    error: np.ndarray  # (H, V, N) truth minus median
    inverse: np.ndarray  # (H, V, Q - 1, N) 1 / (quantile - median), without the median's; N = 1 if all have the same
    known_from: np.ndarray  # (H, N) hours since 1970
    issued: np.ndarray  # (N,) hours since 1970
    hour: np.ndarray  # (N,) hour of issue
    inputs: np.ndarray  # (N,) index into INPUTS
    masked: np.ndarray  # (N,) bool
    weight: np.ndarray  # (N,)

    def take(self, rows: np.ndarray | slice) -> "_Samples":
        """The windows of these indices, in their order; a slice copies nothing."""

        def part(values: np.ndarray) -> np.ndarray:
            if values is self.inverse and self.has_fixed_distances:
                return values
            return values[..., rows] if isinstance(rows, slice) else np.take(values, rows, axis=-1)

        return _Samples(*(part(values) for values in vars(self).values()))

    def as_of(self, now: int) -> "_Samples":
        """What was known at an hour since 1970, of the last LOOK_BACK_DAYS days; with weights by age."""
        recent = self.take(np.flatnonzero((self.issued >= now - 24 * LOOK_BACK_DAYS) & (self.issued < now)))
        error = np.where(recent.known_from[:, None] > now, np.float32(np.nan), recent.error)
        return replace(recent, error=error, weight=recent.weight * 0.5 ** (recent.age(now) / _HALF_LIFE_DAYS))

    def age(self, now: int) -> np.ndarray:
        """Days since the windows were issued. (N,)"""
        return (now - self.issued) / 24

    @property
    def has_fixed_distances(self) -> bool:
        """Whether each quantile is equally far from the median in all windows, as those of baselines are."""
        return self.inverse.shape[-1] == 1


def _make_samples(hindcasts: Hindcasts, quantiles: Tensor, truth: np.ndarray) -> _Samples:
    """The windows as samples. quantiles (N, H, V, Q), truth (H, V, N)"""
    own = _windows_last(quantiles)  # (H, V, Q, N)
    median = own[..., MEDIAN, :]
    distance = np.take(own, _NOT_MEDIAN, axis=-2) - median[..., None, :]  # (H, V, Q - 1, N)
    if np.allclose(distance, distance[..., :1], rtol=_SAME, atol=_SAME):
        distance = distance[..., :1]
    with np.errstate(divide="ignore"):
        inverse = 1 / distance
    return _Samples(
        truth - median,
        inverse,
        _windows_last(hindcasts.known_from),
        _numpy(hindcasts.issued),
        _numpy(hindcasts.hour),
        _numpy(hindcasts.inputs),
        _numpy(hindcasts.masked),
        np.where(_numpy(hindcasts.superseded), _PREVIOUS_SHARE, 1.0),
    )


def _learn(all_samples: _Samples, hours: Collection[int], now: int) -> tuple[Tensor, ...]:
    """The fields of the calibration of one forecaster, from what was known of the samples at `now`."""
    samples = all_samples.as_of(now)
    H, V, others, _ = samples.inverse.shape
    shift, stretch = np.zeros((24, H, V), np.float32), np.ones((24, H, V, others + 1), np.float32)
    widening = np.ones((len(INPUTS), H, V, others + 1), np.float32)
    plain = ~samples.masked
    usual = np.bincount(samples.inputs[plain], minlength=1).argmax()  # the most frequent input
    if len(rows := np.flatnonzero(plain & (samples.inputs == usual))):
        most = samples.take(rows)
        shrinkage = _shrinkage(most.age(now), most.weight)
        for hour, similar in _around_each_hour(most, hours):
            shift[hour], stretch[hour] = _shift_and_stretch(similar, similar.age(now) // _FOLD_DAYS % _FOLDS, shrinkage)
        usual_stretch = _stretch_of(most)
        for other in set(range(len(INPUTS))) - {int(usual)}:
            rows = np.flatnonzero(samples.inputs == other)
            if len(rows) >= _FEWEST:
                widening[other] = (_stretch_of(samples.take(rows)) / usual_stretch) ** shrinkage
    return (torch.tensor([now]), *(torch.from_numpy(part)[None] for part in (shift, stretch, widening)))


def _around_each_hour(samples: _Samples, hours: Collection[int]) -> Iterator[tuple[int, _Samples]]:
    """For each of the hours that has any, the windows of similar hours of issue, weighted by their similarity.

    The windows are sorted by hour, those around midnight on both sides, so that the windows of each hour are a slice.
    """
    apart = len(_SIMILARITY) - 1
    order = np.argsort(samples.hour, kind="stable")
    clock = samples.hour[order]
    before, after = clock >= 24 - apart, clock < apart
    clock = np.concatenate([clock[before] - 24, clock, clock[after] + 24])
    ordered = samples.take(np.concatenate([order[before], order, order[after]]))
    for hour in hours:
        part = slice(*np.searchsorted(clock, [hour - apart, hour + apart + 1]).tolist())
        if part.start < part.stop:
            similar = ordered.take(part)
            yield hour, replace(similar, weight=similar.weight * _SIMILARITY[np.abs(clock[part] - hour)])


def _numpy(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()


def _windows_last(values: Tensor) -> np.ndarray:
    """Move the first axis to the end, in memory too: (N, …) to (…, N)."""
    return np.ascontiguousarray(np.moveaxis(_numpy(values), 0, -1))


def _shrinkage(age: np.ndarray, weight: np.ndarray) -> float:
    """How much of what is learned is applied, from 0 without windows towards 1 with many days of them.

    Days are counted, not windows, because the windows of one day are alike. age (N,) in days.
    """
    days = np.zeros(LOOK_BACK_DAYS + 1)
    np.maximum.at(days, age.astype(np.int64), weight)
    return float(days.sum() / (days.sum() + _PRIOR_DAYS))


def _shift_and_stretch(samples: _Samples, fold: np.ndarray, shrinkage: float) -> tuple[np.ndarray, np.ndarray]:
    """Shift (H, V) and stretch (H, V, Q). fold (N,)"""
    fraction = _MEDIAN_SHARE * shrinkage
    bias, out_of_fold = _biases(samples, fold)
    return fraction * bias, _stretch_of(samples, np.float32(fraction) * out_of_fold) ** shrinkage


def _biases(samples: _Samples, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weighted median of the errors (H, V), and for each window that of the other folds (H, V, N); 0 where there is none."""
    error, weight = samples.error, samples.weight
    folds, own = np.unique(fold, return_inverse=True)
    weights = np.where(np.arange(len(folds))[:, None] == own, 0.0, weight)  # (F, N)
    medians = weighted_quantiles(error.reshape(-1, len(weight)), np.vstack([weight, weights]), np.array([[0.5]]))
    bias, *without = np.nan_to_num(medians).reshape(-1, *error.shape[:-1])
    return bias, np.take(np.stack(without, axis=-1), own, axis=-1)


def _stretch_of(samples: _Samples, bias: np.ndarray | float = 0.0) -> np.ndarray:
    """The factor of each quantile's distance from the median with which it covers its level of the truth. (H, V, Q)

    bias (H, V, N): subtracted from the truth.
    """
    H, V, others, _ = samples.inverse.shape
    error, weight = (samples.error - bias)[:, :, None], samples.weight[None]  # (H, V, 1, N)
    with np.errstate(invalid="ignore"):
        if samples.has_fixed_distances:
            # the scores of all levels have the order of the errors: one sort for those above the median, one for those below
            found = [weighted_quantiles(side.reshape(H * V, -1), weight, _OUTWARDS)[0] for side in (-error, error)]
            inverse = samples.inverse[..., 0]
            score = np.where(inverse < 0, *(one.reshape(H, V, others) for one in found)) * np.abs(inverse)
        else:
            scores = (error * samples.inverse).reshape(H * V * others, -1)
            levels = np.tile(_OUTWARDS[0], H * V)[:, None]
            score = weighted_quantiles(scores, weight, levels).reshape(H, V, others)
    stretch = np.ones((H, V, others + 1))
    stretch[..., _NOT_MEDIAN] = np.nan_to_num(score, nan=1.0, posinf=1.0, neginf=1.0)
    return np.clip(stretch, _NARROWEST, _WIDEST)


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The weighted quantiles of each row: its smallest value such that values up to it have the level's share of the weight.

    values (K, N) float32, NaN where missing; weights (W, N), each row a case of its own, 0 or above; levels (K, L), or (1, L) for
    all rows, above 0. Returns (W, K, L) float32, NaN where all weight is missing.
    """
    (K, N), L = values.shape, levels.shape[1]
    found, levels = np.full((len(weights), K, L), np.nan, np.float32), np.broadcast_to(levels, (K, L))
    rows = max(_AT_ONCE // max(N, 1), 1)
    for first in range(0, K if N else 0, rows):
        part = slice(first, first + rows)
        order, missing = _order(values[part])
        for own, weight in zip(found, weights, strict=True):
            own[part] = _quantiles(values[part], order, missing, weight, levels[part])
    return found


def _quantiles(
    values: np.ndarray, order: np.ndarray, missing: np.ndarray, weights: np.ndarray, levels: np.ndarray
) -> np.ndarray:
    """values, order (K, N), missing (K,), weights (N,), levels (K, L); returns (K, L)."""
    weight = np.take(weights, order)
    if missing.any():
        weight[np.arange(values.shape[1]) >= values.shape[1] - missing[:, None]] = 0.0
    np.cumsum(weight, axis=1, out=weight)
    total, rows = weight[:, -1:], np.arange(len(values))
    at = np.stack([(weight >= level[:, None] * total).argmax(axis=1) for level in levels.T], axis=1)  # (K, L)
    return np.where(total > 0, values[rows[:, None], order[rows[:, None], at]], np.nan)


def _order(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`argsort(values, axis=1)` with NaN last (K, N), and how many NaN there are (K,).

    Many times as fast as argsort: it sorts integers of a value's rank and its position. The bits of a float, read as an
    integer, sort like the float; for negative ones the bits after the sign are inverted first.
    """
    missing = np.isnan(values)
    bits = np.ascontiguousarray(values).view(np.int32)
    bits = bits ^ ((bits >> 31) & _NAN_KEY)
    bits[missing] = _NAN_KEY
    keys = bits.astype(np.int64)
    keys <<= 32
    keys |= np.arange(values.shape[1])
    keys.sort(axis=1)
    keys &= 2**32 - 1
    return keys, missing.sum(axis=1)
