"""A paired test over days: is one forecaster significantly better than another?

This is the test of Diebold & Mariano (1995), doi:10.1080/07350015.1995.10524599, for the mean of the daily score differences.
Neighbouring days are correlated and their forecasts overlap, so the variance of the mean is estimated from the lowest
frequencies of the periodogram, and the statistic is compared with Student's t (Coroneo & Iacone 2020, doi:10.1002/jae.2756). In
samples of this size that keeps the level, where classical estimates reject too often, and no lag has to be chosen.

`paired_test` is the test, `student_t_below` the distribution it needs.
"""

import math
from dataclasses import dataclass

import numpy as np

LEAST_DAYS = 8  # with fewer days there is only one frequency for the variance, and no test is ever significant
_TINY = 1e-6  # rounding of single precision; it makes two CRPS of zero (no rain for weeks) compare as equal


@dataclass(frozen=True)
class PairedTest:
    """The comparison of a candidate with a rival; each array has the shape (…) of the leading axes of the scores."""

    crps_ratio: (
        np.ndarray
    )  # candidate / rival, geometric mean over variables; below 1 the candidate is better; NaN without a day
    difference: np.ndarray  # mean of the daily relative differences, candidate − rival; below 0 the candidate is better
    standard_error: np.ndarray  # of that mean; NaN with fewer than LEAST_DAYS
    p_value: np.ndarray  # one-sided: of a mean so low or lower if neither were better; NaN with fewer than LEAST_DAYS
    days: np.ndarray  # on which both have scores


def paired_test(candidate: np.ndarray, rival: np.ndarray) -> PairedTest:
    """Compare daily mean scores (…, D, V), for which lower is better; NaN where there is no score.

    The difference of each variable is divided by its mean score over the days, so that units do not matter. Then the variables
    of each day are averaged.
    """
    both = ~(np.isnan(candidate) | np.isnan(rival))
    candidate, rival = np.where(both, candidate, np.nan), np.where(both, rival, np.nan)
    candidate_mean, rival_mean = _mean(candidate, -2), _mean(rival, -2)  # (…, V)
    scale = (candidate_mean + rival_mean) / 2 + _TINY
    daily = _mean((candidate - rival) / scale[..., None, :], -1)  # (…, D)
    ratio = np.exp(_mean(np.log((candidate_mean + _TINY) / (rival_mean + _TINY)), -1))
    days = both.any(axis=-1).sum(axis=-1)
    difference = _mean(daily, -1)
    error, half_freedom = _standard_error(daily, difference, days)
    return PairedTest(ratio, difference, error, _p_value(difference, error, half_freedom), days)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """The mean of the values that are not NaN; NaN if all are."""
    count = (~np.isnan(values)).sum(axis=axis)
    return np.divide(np.nansum(values, axis=axis), count, out=np.full(count.shape, np.nan), where=count > 0)


def _standard_error(daily: np.ndarray, mean: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The standard error of the mean of a series (…, D), NaN with few days; half its degrees of freedom."""
    variance, frequencies = low_frequency_variance(np.nan_to_num(daily - mean[..., None]), days)
    return np.where(days >= LEAST_DAYS, np.maximum(np.sqrt(variance), _TINY), np.nan), frequencies


def low_frequency_variance(departures: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The variance of the mean of a series, and the number of frequencies it rests on: half the degrees of freedom. Both (…)

    departures (…, D): of each day from the mean; a day without a score counts as an average one, 0, so that the other days keep
    their distance in time. days (…): how many have a score. Uses the ⌊∛days⌋ lowest frequencies of the periodogram.
    """
    frequencies = np.floor(np.cbrt(days) + 1e-9).astype(np.int64)  # 1e-9 makes the cube root of 27 exactly 3
    spectrum = np.fft.rfft(departures, axis=-1)[..., 1:]
    power = np.cumsum(np.abs(spectrum) ** 2, axis=-1)  # (…, D // 2)
    if not power.shape[-1]:
        return np.zeros(days.shape), frequencies
    last = np.clip(frequencies - 1, 0, power.shape[-1] - 1)
    lowest = np.take_along_axis(power, last[..., None], axis=-1)[..., 0]
    return lowest / np.maximum(frequencies, 1) / np.maximum(days, 1) ** 2, frequencies


def _p_value(mean: np.ndarray, error: np.ndarray, half_freedom: np.ndarray) -> np.ndarray:
    t = mean / error
    p = np.full(t.shape, np.nan)
    for half in np.unique(half_freedom[half_freedom > 0]):
        p = np.where(half_freedom == half, student_t_below(t, int(half)), p)
    return p


def tell_p(p_value: float) -> str:
    """A p-value for readers: `p < 0.001`, `p 0.023` or `p 0.45`."""
    return "p < 0.001" if p_value < 0.001 else f"p {p_value:.3f}" if p_value < 0.1 else f"p {p_value:.2f}"


def student_t_below(t: np.ndarray, half_freedom: int) -> np.ndarray:
    """The probability that Student's t with 2·half_freedom degrees of freedom is below t. Abramowitz & Stegun (1964), 26.7.4."""
    angle = np.arctan(t / math.sqrt(2 * half_freedom))
    cosine2, term, series = np.cos(angle) ** 2, np.ones_like(angle), np.ones_like(angle)
    for k in range(1, half_freedom):
        term = term * cosine2 * (2 * k - 1) / (2 * k)
        series = series + term
    return (1 + np.sin(angle) * series) / 2
