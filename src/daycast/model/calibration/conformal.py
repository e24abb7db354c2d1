"""Calibrations learned from what forecasts of the last weeks came to, without training anything."""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from daycast.model.calibration.calibration import INPUTS, Calibration
from daycast.model.calibration.hindcasts import LOOK_BACK_DAYS, Hindcasts
from daycast.model.config import MEDIAN, QUANTILES
from daycast.model.training.parallel import run_parallel, threads_for

# Quantiles of samples in which some count more than others.


_AT_ONCE = 1 << 17  # samples sorted together: what that takes stays within a core's cache, which is three times as fast
_NAN_KEY = np.int32(2**31 - 1)  # above that of every number


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The smallest of each row's values that at least a share of the row's weight does not exceed. (K,)

    values (K, N) float32: N samples of K things, NaN where there is none; weights (N,), 0 or above; levels (K,): the shares,
    above 0. NaN where nothing that is there has weight.
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
    """`argsort(values, axis=1)`, NaN last, many times as fast: whole numbers of a value's rank and its position are sorted.

    The bits of a float, read as a whole number, have its order; below zero those after the sign have the opposite one.
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


EVERY_DAYS = 7  # between one calibration and the next
_HALF_LIFE_DAYS = 30.0  # after which a window counts half
_ALIKE = np.array([1.0, 0.8, 0.41, 0.13])  # what a window counts that was issued so many hours of the day apart
_MEDIAN_SHARE = 0.75  # of what was learned that is carried out, for next week is not last month
_PRIOR_DAYS = 5.0  # for which what was learned counts half
_PREVIOUS_SHARE = 0.1  # what a window counts that was forecast by weights that no longer serve
_FOLD_DAYS, _FOLDS = 7, 4
_NARROWEST, _WIDEST = 0.25, 6.0
_FEWEST = 50  # windows of one input
_AWAY = [q for q in range(len(QUANTILES)) if q != MEDIAN]


def calibrate(hindcasts: Hindcasts, now: int, hours: Collection[int] = range(24)) -> dict[str, Calibration]:
    """The calibration of each forecaster of a track record at `now`, an hour since 1970, by what was known of it then.

    Windows of the last 90 days count, the less the older they are, and for each hour of issue those of like hours:
    split-conformal prediction (Romano, Patterson & Candès 2019, arXiv:1905.03222) with weights for what drifts (Barber, Candès,
    Ramdas & Tibshirani 2023, doi:10.1214/23-AOS2276). The score of a truth is its distance from the median by that of the
    quantile, the median being moved by what other weeks taught: what its own week taught would flatter it. Hours that are not
    asked for stay as they are, and so does everything where nothing is known.
    """
    recent = hindcasts.of(hindcasts.issued >= now - 24 * LOOK_BACK_DAYS).by(now)
    return {name: _learn(recent, own, now, hours) for name, own in recent.quantiles.items()}


def calibrate_at_each(
    hindcasts: Hindcasts, moments: Sequence[int], hours: Collection[int]
) -> list[dict[str, Calibration]]:
    """The calibrations at each of these moments, in hours since 1970, as from `calibrate`."""
    return run_parallel(lambda now: calibrate(hindcasts, now, hours), moments, threads_for(torch.device("cpu")))


def _learn(hindcasts: Hindcasts, quantiles: Tensor, now: int, hours: Collection[int]) -> Calibration:
    _, H, V, Q = quantiles.shape
    own, truth = (_windows_last(part.cpu().numpy()) for part in (quantiles, hindcasts.truth))
    issued, hour_of_issue, inputs, superseded = (
        part.cpu().numpy() for part in (hindcasts.issued, hindcasts.hour, hindcasts.inputs, hindcasts.superseded)
    )
    shift, stretch = np.zeros((24, H, V), np.float32), np.ones((24, H, V, Q), np.float32)
    widening = np.ones((len(INPUTS), H, V, Q), np.float32)
    age = (now - issued) / 24  # days
    weight = 0.5 ** (age / _HALF_LIFE_DAYS) * np.where(superseded, _PREVIOUS_SHARE, 1.0)
    fold = age // _FOLD_DAYS % _FOLDS
    plain = ~hindcasts.masked.cpu().numpy()
    usual = np.bincount(inputs[plain], minlength=1).argmax()
    plain &= inputs == usual
    if plain.any():
        trust = _trust(age[plain], weight[plain])
        for hour in hours:
            alike = weight * _likeness(hour_of_issue, hour) * plain
            if (rows := alike > 0).any():
                shift[hour], stretch[hour] = _moves(own[..., rows], truth[..., rows], alike[rows], fold[rows], trust)
        as_usual = _stretch_of(own[..., plain], truth[..., plain], weight[plain])
        for other in set(range(len(INPUTS))) - {int(usual)}:
            rows = inputs == other
            if rows.sum() >= _FEWEST:
                widening[other] = (_stretch_of(own[..., rows], truth[..., rows], weight[rows]) / as_usual) ** trust
    parts = (torch.from_numpy(part)[None].to(quantiles.device) for part in (shift, stretch, widening))
    return Calibration(torch.tensor([now], device=quantiles.device), *parts)


def _windows_last(values: np.ndarray) -> np.ndarray:
    """From (N, …) to (…, N): the samples of one quantile lie together, as they are sorted."""
    return np.ascontiguousarray(np.moveaxis(values, 0, -1))


def _moves(
    quantiles: np.ndarray, truth: np.ndarray, weight: np.ndarray, fold: np.ndarray, trust: float
) -> tuple[np.ndarray, np.ndarray]:
    """Shift (H, V) and stretch (H, V, Q). As _error_of_others."""
    share, error = _MEDIAN_SHARE * trust, truth - quantiles[..., MEDIAN, :]
    moved = truth - share * _error_of_others(error, weight, fold)
    return share * _median_of(error, weight), _stretch_of(quantiles, moved, weight) ** trust


def _likeness(hour_of_issue: np.ndarray, hour: int) -> np.ndarray:
    apart = np.abs(hour_of_issue - hour)
    apart = np.minimum(apart, 24 - apart)
    return np.where(apart < len(_ALIKE), _ALIKE[np.minimum(apart, len(_ALIKE) - 1)], 0.0)


def _trust(age: np.ndarray, weight: np.ndarray) -> float:
    """From 0, where there is nothing to learn from, towards 1: the windows of one day tell little more than one of them."""
    days = np.zeros(LOOK_BACK_DAYS + 1)
    np.maximum.at(days, age.astype(np.int64), weight)
    return float(days.sum() / (days.sum() + _PRIOR_DAYS))


def _median_of(error: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The median of what came less the median forecast, 0 where nothing came. error (H, V, N), weight (N,); returns (H, V)."""
    errors = error.reshape(-1, len(weight))
    return np.nan_to_num(weighted_quantiles(errors, weight, np.full(len(errors), 0.5))).reshape(error.shape[:-1])


def _error_of_others(error: np.ndarray, weight: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """For each window the median error of the other folds, 0 where there is no other. As _median_of, fold (N,); (H, V, N)"""
    others = np.zeros_like(error)
    for rows in (fold == k for k in np.unique(fold)):
        if not rows.all():
            others[..., rows] = _median_of(error[..., ~rows], weight[~rows])[..., None]
    return others


def _stretch_of(quantiles: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What the distance of each quantile from the median must be multiplied by to have its share of the truth. (H, V, Q)"""
    median = quantiles[..., MEDIAN : MEDIAN + 1, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        score = (truth[..., None, :] - median) / (quantiles[..., _AWAY, :] - median)
    outwards = np.maximum(QUANTILES, 1 - np.array(QUANTILES))[_AWAY]
    score = score.reshape(-1, len(weight))
    found = weighted_quantiles(score, weight, np.tile(outwards, len(score) // len(outwards)))
    stretch = np.ones(quantiles.shape[:-1])
    stretch[..., _AWAY] = np.nan_to_num(found, nan=1.0, posinf=1.0, neginf=1.0).reshape(*stretch.shape[:-1], len(_AWAY))
    return np.clip(stretch, _NARROWEST, _WIDEST)
