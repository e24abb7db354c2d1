"""Is one forecaster better than another, or was it luck? A paired test over days.

The test of Diebold & Mariano (1995), doi:10.1080/07350015.1995.10524599, of the mean of daily differences. Neighbouring days are
alike, and forecasts issued on them overlap, so the variance of the mean is taken from the lowest frequencies of the
periodogram, and the statistic compared with Student's t: Coroneo & Iacone (2020), doi:10.1002/jae.2756, which keeps the level in
samples of this size where the classical estimates reject too often. It needs no choice of lags.
"""

import math
from dataclasses import dataclass

import numpy as np

LEAST_DAYS = 8  # with fewer there is a single frequency to take the variance from, and nothing is ever proven
_TINY = 1e-6  # what single precision gives by itself; so a CRPS that is zero in every unit (no rain for weeks) compares as equal


@dataclass(frozen=True)
class PairedTest:
    """One forecaster against another, for each of the leading axes (…) of what was compared."""

    crps_ratio: np.ndarray  # ours over theirs, geometric mean over variables: below 1 ours is better; NaN without a day
    difference: np.ndarray  # mean of the daily relative differences, ours minus theirs: below 0 ours is better
    standard_error: np.ndarray  # of that mean; NaN where there are fewer than LEAST_DAYS
    p_value: np.ndarray  # of a mean so low or lower if neither were better; NaN likewise
    days: np.ndarray  # that both were scored on


def paired_test(ours: np.ndarray, theirs: np.ndarray) -> PairedTest:
    """Compare daily mean scores (…, D, V), NaN where there is none; the lower the better.

    Each variable's differences are taken relative to its mean score over the days, so that units do not matter, then
    averaged over the variables of the day.
    """
    both = ~(np.isnan(ours) | np.isnan(theirs))
    ours, theirs = np.where(both, ours, np.nan), np.where(both, theirs, np.nan)
    our_mean, their_mean = _mean(ours, -2), _mean(theirs, -2)  # (…, V)
    scale = (our_mean + their_mean) / 2 + _TINY
    daily = _mean((ours - theirs) / scale[..., None, :], -1)  # (…, D)
    ratio = np.exp(_mean(np.log((our_mean + _TINY) / (their_mean + _TINY)), -1))
    days = both.any(axis=-1).sum(axis=-1)
    difference = _mean(daily, -1)
    error, half_freedom = _standard_error(daily, difference, days)
    return PairedTest(ratio, difference, error, _p_value(difference, error, half_freedom), days)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean over what is there; NaN where nothing is."""
    count = (~np.isnan(values)).sum(axis=axis)
    return np.divide(np.nansum(values, axis=axis), count, out=np.full(count.shape, np.nan), where=count > 0)


def _standard_error(daily: np.ndarray, mean: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the mean of the series (…, D), from the ⌊∛n⌋ lowest frequencies, and that number: half the degrees of freedom.

    A day without a score counts as an average one in the periodogram, so that the others keep their distance in time.
    """
    frequencies = np.floor(np.cbrt(days) + 1e-9).astype(np.int64)  # (…), the cube root of 27 being 3
    spectrum = np.fft.rfft(np.nan_to_num(daily - mean[..., None]), axis=-1)[..., 1:]
    power = np.cumsum(np.abs(spectrum) ** 2, axis=-1)  # (…, D // 2)
    enough = days >= LEAST_DAYS
    index = np.where(enough, frequencies - 1, 0)[..., None]
    lowest = np.take_along_axis(power, index, axis=-1)[..., 0] if power.shape[-1] else np.zeros_like(mean)
    error = np.sqrt(lowest / np.maximum(frequencies, 1)) / np.maximum(days, 1)
    return np.where(enough, np.maximum(error, _TINY), np.nan), frequencies


def _p_value(mean: np.ndarray, error: np.ndarray, half_freedom: np.ndarray) -> np.ndarray:
    t = mean / error
    p = np.full(t.shape, np.nan)
    for half in np.unique(half_freedom[half_freedom > 0]):
        p = np.where(half_freedom == half, student_t_below(t, int(half)), p)
    return p


def student_t_below(t: np.ndarray, half_freedom: int) -> np.ndarray:
    """The probability that Student's t with 2·half_freedom degrees of freedom is below t: Abramowitz & Stegun (1964), 26.7.4."""
    angle = np.arctan(t / math.sqrt(2 * half_freedom))
    cosine2, term, series = np.cos(angle) ** 2, np.ones_like(angle), np.ones_like(angle)
    for k in range(1, half_freedom):
        term = term * cosine2 * (2 * k - 1) / (2 * k)
        series = series + term
    return (1 + np.sin(angle) * series) / 2
