"""What to expect of one forecaster in another's place: the gain in CRPS over the next weeks, from the daily scores of both.

The scores of a few weeks measure next month's difference with an error that is often larger than the difference. Some variables
are measured better than others: weeks that say much about temperature had two showers. So the measured log ratio of both CRPS is
weighted against a prior, by the precision of each (the normal posterior mean, Gelman et al. 2013, Bayesian Data Analysis,
section 2.5). Of few or unsteady days little is believed, and a variable about which the weeks say nothing does not decide.

`estimate_gain` does that for any number of series at once; `average` puts variables together.
"""

import math
from dataclasses import dataclass

import numpy as np

from daycast.evaluation.significance import low_frequency_variance

USUAL = 0.5  # a usual CRPS over the mean absolute departure from the climatology: 0.4 to 0.8 for all variables of three networks
PRIOR_STD = 0.05  # standard deviation of the gains to come between two forecasters: the prior, whose mean is 0
OTHER_WEATHER = 0.1  # share of the variance of daily differences by which the mean of another month differs
_DAILY_DEVIATION = 0.3  # a usual standard deviation of daily relative differences, beside few days
_FEW = 3  # it counts as so many days
_LASTING_DAYS = 3  # that such a difference usually lasts
_USUAL_WEIGHT = 4  # degrees of freedom that what is usual counts for, beside what the days themselves show
_TINY = 1e-6  # rounding of single precision; it makes two CRPS of zero (no rain for weeks) compare as equal


@dataclass(frozen=True)
class Gain:
    """The gain of a candidate over a rival; each array has the shape (…) of the leading axes of the scores."""

    crps_ratio: np.ndarray  # candidate / rival as measured, an average by weight; NaN without a day
    measured: np.ndarray  # −log of that ratio: 0.03 is a CRPS 3 % lower; less where both are below the usual score
    error: np.ndarray  # standard deviation of next month's gain about the measured one
    weight: np.ndarray  # of the measured gain beside the prior, 0 to 1
    expected: np.ndarray  # the gain of the next month: both, by their weights
    days: np.ndarray  # on which both have scores

    @property
    def chance(self) -> np.ndarray:
        """The probability that the candidate will be better, by these days alone."""
        z = self.measured / self.error
        return np.vectorize(lambda one: (1 + math.erf(one / math.sqrt(2))) / 2, otypes=[float])(z)


def estimate_gain(
    candidate: np.ndarray,
    rival: np.ndarray,
    usual: float | np.ndarray = 0.0,
    prior: float | np.ndarray = 0.0,
    prior_std: float = PRIOR_STD,
) -> Gain:
    """Compare daily mean scores (…, D), for which lower is better; NaN where there is no score.

    usual: a score as it usually is, (…) or one number: where both are lower, their difference counts relative to it, because
    weeks without rain say little about those with. prior: the gain to expect without any score; prior_std: how far from it the
    true gains usually lie.
    """
    both = ~(np.isnan(candidate) | np.isnan(rival))
    days = both.sum(axis=-1)
    at_least_one = np.maximum(days, 1)
    candidate_mean, rival_mean = (np.where(both, one, 0.0).sum(axis=-1) / at_least_one for one in (candidate, rival))
    level = (candidate_mean + rival_mean) / 2 + _TINY
    scale = np.maximum(level, usual)
    log_ratio = np.log((candidate_mean + _TINY) / (rival_mean + _TINY))  # (…)
    measured = -log_ratio * level / scale
    daily = np.where(both, candidate - rival, 0.0) / scale[..., None]
    error2 = np.where(days > 0, _error_variance(daily, both, days), np.inf)
    weight = prior_std**2 / (prior_std**2 + error2)
    return Gain(
        crps_ratio=np.where(days > 0, np.exp(log_ratio), np.nan),
        measured=measured,
        error=np.sqrt(error2),
        weight=weight,
        expected=prior + weight * (measured - prior),
        days=days,
    )


def average(gain: Gain) -> Gain:
    """Over the last axis (variables), each counting alike in what is expected.

    The measured gain and its error are means by weight, so that the chance follows from the variables that were measured well,
    and so is the ratio: a dry month does not speak for rain. The error is that of variables that all err together.
    """
    days, total = gain.days.max(axis=-1), gain.weight.sum(axis=-1)
    error = np.where(gain.weight > 0, gain.error, 0.0)
    measured, error = (
        np.divide((gain.weight * one).sum(axis=-1), total, out=np.zeros(total.shape), where=total > 0)
        for one in (gain.measured, error)
    )
    return Gain(
        crps_ratio=np.where(days > 0, np.exp(-measured), np.nan),
        measured=measured,
        error=np.where(total > 0, error, np.inf),
        weight=gain.weight.mean(axis=-1),
        expected=gain.expected.mean(axis=-1),
        days=days,
    )


def _error_variance(daily: np.ndarray, both: np.ndarray, days: np.ndarray) -> np.ndarray:
    """The variance of next month's mean about that of a daily series (…, D): of the mean itself, and what no days tell.

    The first is what the lowest frequencies show, drawn towards what is usual of so many days; the second is a share of the
    variance of single days, for the weather that comes is of another kind than that of any few weeks.
    """
    mean = daily.sum(axis=-1) / np.maximum(days, 1)
    departures = np.where(both, daily - mean[..., None], 0.0)
    of_days = ((departures**2).sum(axis=-1) + _FEW * _DAILY_DEVIATION**2) / (days + _FEW)
    shown, frequencies = low_frequency_variance(departures, days)
    usual = of_days * _LASTING_DAYS / np.maximum(days, 1)
    freedom = 2 * frequencies
    of_mean: np.ndarray = (freedom * shown + _USUAL_WEIGHT * usual) / (freedom + _USUAL_WEIGHT)
    return of_mean + OTHER_WEATHER * of_days
