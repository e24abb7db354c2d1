"""Learn calibrations from hindcasts: weighted split-conformal prediction. Nothing is trained.

Read `calibrate` and `_learn`; `weighted_quantiles` at the end is a quantile function with weights, fast on many samples.

N windows (the last axis here, because samples are sorted along it), H leads, V targets, Q quantiles.
"""

from collections.abc import Collection, Sequence

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
    recent = hindcasts.select(hindcasts.issued >= now - 24 * LOOK_BACK_DAYS).as_of(now)
    return {name: _learn(recent, own, now, hours) for name, own in recent.quantiles.items()}


def calibrate_at_each(
    hindcasts: Hindcasts, moments: Sequence[int], hours: Collection[int]
) -> list[dict[str, Calibration]]:
    """`calibrate` at each of these moments, in hours since 1970."""
    return run_parallel(lambda now: calibrate(hindcasts, now, hours), moments, threads_for(torch.device("cpu")))


def _learn(hindcasts: Hindcasts, quantiles: Tensor, now: int, hours: Collection[int]) -> Calibration:
    """The calibration of one forecaster. quantiles (N, H, V, Q)"""
    _, H, V, Q = quantiles.shape
    own, truth = (_windows_last(part.cpu().numpy()) for part in (quantiles, hindcasts.truth))  # (H, V, Q, N), (H, V, N)
    issued, hour_of_issue, inputs, superseded = (
        part.cpu().numpy() for part in (hindcasts.issued, hindcasts.hour, hindcasts.inputs, hindcasts.superseded)
    )  # (N,) each
    shift, stretch = np.zeros((24, H, V), np.float32), np.ones((24, H, V, Q), np.float32)
    widening = np.ones((len(INPUTS), H, V, Q), np.float32)
    age = (now - issued) / 24  # days
    weight = 0.5 ** (age / _HALF_LIFE_DAYS) * np.where(superseded, _PREVIOUS_SHARE, 1.0)
    fold = age // _FOLD_DAYS % _FOLDS
    plain = ~hindcasts.masked.cpu().numpy()
    usual = np.bincount(inputs[plain], minlength=1).argmax()  # the most frequent input
    plain &= inputs == usual
    if plain.any():
        shrinkage = _shrinkage(age[plain], weight[plain])
        for hour in hours:
            similar = weight * _hour_similarity(hour_of_issue, hour) * plain
            if (rows := similar > 0).any():
                samples = own[..., rows], truth[..., rows], similar[rows], fold[rows]
                shift[hour], stretch[hour] = _shift_and_stretch(*samples, shrinkage)
        usual_stretch = _stretch_of(own[..., plain], truth[..., plain], weight[plain])
        for other in set(range(len(INPUTS))) - {int(usual)}:
            rows = inputs == other
            if rows.sum() >= _FEWEST:
                other_stretch = _stretch_of(own[..., rows], truth[..., rows], weight[rows])
                widening[other] = (other_stretch / usual_stretch) ** shrinkage
    parts = (torch.from_numpy(part)[None].to(quantiles.device) for part in (shift, stretch, widening))
    return Calibration(torch.tensor([now], device=quantiles.device), *parts)


def _windows_last(values: np.ndarray) -> np.ndarray:
    """Move the first axis to the end, in memory too: (N, …) to (…, N)."""
    return np.ascontiguousarray(np.moveaxis(values, 0, -1))


def _hour_similarity(hour_of_issue: np.ndarray, hour: int) -> np.ndarray:
    """Weight of windows (N,) for a calibration at `hour`."""
    apart = np.abs(hour_of_issue - hour)
    apart = np.minimum(apart, 24 - apart)
    return np.where(apart < len(_SIMILARITY), _SIMILARITY[np.minimum(apart, len(_SIMILARITY) - 1)], 0.0)


def _shrinkage(age: np.ndarray, weight: np.ndarray) -> float:
    """How much of what is learned is applied, from 0 without windows towards 1 with many days of them.

    Days are counted, not windows, because the windows of one day are alike. age (N,) in days.
    """
    days = np.zeros(LOOK_BACK_DAYS + 1)
    np.maximum.at(days, age.astype(np.int64), weight)
    return float(days.sum() / (days.sum() + _PRIOR_DAYS))


def _shift_and_stretch(
    quantiles: np.ndarray, truth: np.ndarray, weight: np.ndarray, fold: np.ndarray, shrinkage: float
) -> tuple[np.ndarray, np.ndarray]:
    """Shift (H, V) and stretch (H, V, Q). quantiles (H, V, Q, N), truth (H, V, N), weight and fold (N,)."""
    fraction, error = _MEDIAN_SHARE * shrinkage, truth - quantiles[..., MEDIAN, :]
    unbiased = truth - fraction * _out_of_fold_bias(error, weight, fold)
    return fraction * _bias(error, weight), _stretch_of(quantiles, unbiased, weight) ** shrinkage


def _bias(error: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The weighted median of the errors (H, V, N) of the median forecast, 0 where there are none. (H, V)"""
    errors = error.reshape(-1, len(weight))
    return np.nan_to_num(weighted_quantiles(errors, weight, np.full(len(errors), 0.5))).reshape(error.shape[:-1])


def _out_of_fold_bias(error: np.ndarray, weight: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """For each window the bias in the other folds, 0 if there are none. (H, V, N)"""
    bias = np.zeros_like(error)
    for rows in (fold == k for k in np.unique(fold)):
        if not rows.all():
            bias[..., rows] = _bias(error[..., ~rows], weight[~rows])[..., None]
    return bias


def _stretch_of(quantiles: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The factor of each quantile's distance from the median with which it covers its level of the truth. (H, V, Q)"""
    median = quantiles[..., MEDIAN : MEDIAN + 1, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        score = (truth[..., None, :] - median) / (quantiles[..., _NOT_MEDIAN, :] - median)  # (H, V, Q - 1, N)
    outwards = np.maximum(QUANTILES, 1 - np.array(QUANTILES))[_NOT_MEDIAN]  # levels counted from the median outwards
    score = score.reshape(-1, len(weight))
    found = weighted_quantiles(score, weight, np.tile(outwards, len(score) // len(outwards)))
    stretch = np.ones(quantiles.shape[:-1])
    stretch[..., _NOT_MEDIAN] = np.nan_to_num(found, nan=1.0, posinf=1.0, neginf=1.0).reshape(
        *stretch.shape[:-1], len(_NOT_MEDIAN)
    )
    return np.clip(stretch, _NARROWEST, _WIDEST)


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The weighted quantile of each row: its smallest value such that values up to it have the level's share of the weight. (K,)

    values (K, N) float32, NaN where missing; weights (N,), 0 or above; levels (K,), above 0. NaN where all weight is missing.
    """
    K, N = values.shape
    found = np.full(K, np.nan, np.float32)
    rows = max(_AT_ONCE // max(N, 1), 1)
    for first in range(0, K if N else 0, rows):
        part = slice(first, first + rows)
        found[part] = _quantiles(values[part], weights, levels[part])
    return found


def _quantiles(values: np.ndarray, weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
    missing = np.isnan(values)
    order = _order(values, missing)
    weight = np.take(weights, order)
    if missing.any():
        weight[np.arange(values.shape[1]) >= (~missing).sum(axis=1, keepdims=True)] = 0.0
    np.cumsum(weight, axis=1, out=weight)
    total = weight[:, -1:]
    at = np.minimum((weight < levels[:, None] * total).sum(axis=1), values.shape[1] - 1)
    rows = np.arange(len(values))
    return np.where(total[:, 0] > 0, values[rows, order[rows, at]], np.nan)


def _order(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """`argsort(values, axis=1)` with NaN last, many times as fast: it sorts integers of a value's rank and its position.

    The bits of a float, read as an integer, sort like the float; for negative ones the bits after the sign are inverted first.
    """
    bits = np.ascontiguousarray(values).view(np.int32)
    bits = bits ^ ((bits >> 31) & _NAN_KEY)
    bits[missing] = _NAN_KEY
    keys = bits.astype(np.int64)
    keys <<= 32
    keys |= np.arange(values.shape[1])
    keys.sort(axis=1)
    keys &= 2**32 - 1
    return keys
