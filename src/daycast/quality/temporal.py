"""Checks of a value against its own past: a step, a spike that returned, a line that stays flat.

A window is (…, LOOK_BACK_HOURS + 1): the hours up to each hour, oldest first, NaN where missing. It may be a sliding view of a
large grid: only single hours of it are read, and after the first comparison only at the few places that still matter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from daycast.quality.flags import FAIL, SUSPECT, THE_HOUR_BEFORE, THE_HOUR_ITSELF, Bools, Finding, Floats
from daycast.quality.limits import Limits

Places = tuple[NDArray[np.int64], ...]  # indices of some of the windows, one array a dimension


def check_temporal(window: Floats, limits: Limits, circular: bool, wind: Floats | None = None) -> Iterator[Finding]:
    """What the last hours show: "rate_of_change" at the hour itself, "spike" at the hour before, "flat_line" over the whole run.

    window: the values, failed ones NaN; wind: the same hours of the wind speed [m/s], for limits that ask for wind: hours of
    unknown wind then count as missing. Findings that fired nowhere are left out. fired: (…)
    """
    if limits.wind_at_least_m_s is None:
        past = _Past(window, circular)
    elif wind is not None:
        past = _Past(window, circular, wind, limits.wind_at_least_m_s)
    else:
        return
    yield from (
        finding for check in (_steps, _spikes, _flat_lines) for finding in check(past, limits) if finding.fired.any()
    )


@dataclass(frozen=True)
class _Past:
    """Single hours of the windows, NaN where there was too little wind for them to count."""

    window: Floats  # (…, W)
    circular: bool
    wind: Floats | None = None  # (…, W)
    wind_at_least: float = 0.0  # m/s

    def ago(self, hours: int, places: Places | None = None) -> Floats:
        """The values of one hour: everywhere (…), or at n places (n,)."""
        value = self._hour(self.window, hours, places)
        if self.wind is None:
            return value
        return np.where(self._hour(self.wind, hours, places) >= self.wind_at_least, value, np.nan)

    def departure(self, value: Floats, other: Floats) -> Floats:
        """How far `value` lies above `other`; for directions the shorter way round, -180 to 180."""
        return (value - other + 180) % 360 - 180 if self.circular else value - other

    @staticmethod
    def _hour(window: Floats, hours: int, places: Places | None) -> Floats:
        hour = window[..., -1 - hours]
        return hour if places is None else hour[places]


def _steps(past: _Past, limits: Limits) -> Iterator[Finding]:
    """A value far from every one of the last three hours: not from a spike alone, nor from nothing at all."""
    if limits.rate_of_change is None:
        return
    value = past.ago(0)
    near = np.abs(past.departure(value, past.ago(1))) <= limits.rate_of_change
    places = np.nonzero(~near & ~np.isnan(value))
    here = value[places]
    distances = (np.abs(past.departure(here, past.ago(hours, places))) for hours in (1, 2, 3))
    far = reduce(np.fmin, distances) > limits.rate_of_change
    yield Finding("rate_of_change", SUSPECT, _put(value.shape, places, far), THE_HOUR_ITSELF)


def _spikes(past: _Past, limits: Limits) -> Iterator[Finding]:
    thresholds = {SUSPECT: limits.spike_suspect, FAIL: limits.spike_fail}
    asked = {flag: threshold for flag, threshold in thresholds.items() if threshold is not None}
    if not asked:
        return
    least = min(asked.values())
    value, peak = past.ago(0), past.ago(1)
    places = np.nonzero(np.abs(past.departure(peak, value)) > least)
    size = _spike_size(past, places, least, limits.spike_between_at_or_below)
    for flag, threshold in asked.items():
        yield Finding("spike", flag, _put(value.shape, places, size > threshold), THE_HOUR_BEFORE)


def _spike_size(past: _Past, places: Places, least: float, quiet: float | None) -> Floats:
    """How far the hour before stands out from both sides, 0 where it does not. (n,)

    The side before it is the last value of the two hours before it. On a circle up and down are the same at the far side:
    there the two sides must agree to within `least`.
    """
    after, peak, before = (past.ago(hours, places) for hours in (0, 1, 2))
    before = np.where(np.isnan(before), past.ago(3, places), before)
    rise, fall = past.departure(peak, before), past.departure(peak, after)
    returned = np.abs(past.departure(after, before)) <= least if past.circular else rise * fall > 0
    if quiet is not None:
        returned &= np.fmax(before, after) <= quiet
    return np.where(returned, np.minimum(np.abs(rise), np.abs(fall)), 0.0)


def _flat_lines(past: _Past, limits: Limits) -> Iterator[Finding]:
    """Runs of equal values, followed back only where they go on. A missing hour ends a run."""
    lengths = _run_lengths(limits)
    if not lengths:
        return
    value = past.ago(0)
    places = np.nonzero((value == past.ago(1)) & ~_may_last(value, limits))
    held, whole = value[places], np.rint(value[places]) == value[places]
    for hours in range(2, max(length for length, _, _ in lengths) + 1):
        if hours > 2:
            same = past.ago(hours - 1, places) == held
            places, held, whole = tuple(index[same] for index in places), held[same], whole[same]
        for length, flag, of_whole in lengths:
            if length == hours:
                yield Finding("flat_line", flag, _put(value.shape, places, whole == of_whole), range(hours))


def _run_lengths(limits: Limits) -> list[tuple[int, int, bool]]:
    """How many equal hours mean which flag, for values with a fraction and for whole numbers."""
    given = [(limits.flat_hours_suspect, SUSPECT), (limits.flat_hours_fail, FAIL)]
    whole = given if limits.flat_hours_whole is None else [(limits.flat_hours_whole, SUSPECT)]
    return [
        (int(hours), flag, of_whole)
        for of_whole, lengths in ((False, given), (True, whole))
        for hours, flag in lengths
        if hours is not None
    ]


def _may_last(value: Floats, limits: Limits) -> Bools:
    """Whether a value may stay for days by nature."""
    lasting = np.zeros(value.shape, np.bool_)
    if limits.flat_exempt_at_or_below is not None:
        lasting |= value <= limits.flat_exempt_at_or_below
    if limits.flat_exempt_at_or_above is not None:
        lasting |= value >= limits.flat_exempt_at_or_above
    return lasting


def _put(shape: tuple[int, ...], places: Places, found: Bools) -> Bools:
    fired = np.zeros(shape, np.bool_)
    fired[places] = found
    return fired
