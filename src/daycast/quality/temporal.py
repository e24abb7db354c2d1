"""Temporal checks of a value against the hours before it: rate of change, spike, flat line.

A window has shape (…, W) with W = LOOK_BACK_HOURS + 1: the hours up to each hour, oldest first, NaN where missing. It may be a
sliding view of a large grid. To stay fast the checks read single hours of it, and after a first comparison only the few
positions that can still fire.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from daycast.quality.flags import FAIL, SUSPECT, THE_HOUR_BEFORE, THE_HOUR_ITSELF, Bools, Finding, Floats
from daycast.quality.limits import Limits

Positions = tuple[NDArray[np.int64], ...]  # indices of some windows, one array per dimension, as np.nonzero returns


def check_temporal(window: Floats, limits: Limits, circular: bool, wind: Floats | None = None) -> Iterator[Finding]:
    """Yield the findings that fired: "rate_of_change" at the hour itself, "spike" at the hour before, "flat_line" over the run.

    window: (…, W) values in the variable's unit, failed ones NaN. circular: whether the values are directions [°].
    wind: (…, W) wind speed [m/s] of the same hours, needed only if `limits.wind_at_least_m_s` is set: hours with less or
    unknown wind then count as missing, and without `wind` nothing is checked. `fired` of each finding has shape (…).
    """
    if limits.wind_at_least_m_s is None:
        past = _Past(window, circular)
    elif wind is not None:
        past = _Past(window, circular, wind, limits.wind_at_least_m_s)
    else:
        return
    yield from (
        finding
        for check in (_check_rate_of_change, _check_spikes, _check_flat_lines)
        for finding in check(past, limits)
        if finding.fired.any()
    )


@dataclass(frozen=True)
class _Past:
    """Reads single hours of the windows: NaN where missing, and where there was too little wind for the hour to count."""

    window: Floats  # (…, W)
    circular: bool
    wind: Floats | None = None  # (…, W)
    wind_at_least: float = 0.0  # m/s

    def ago(self, hours: int, at: Positions | None = None) -> Floats:
        """The values `hours` before the last: of all windows (…), or of the n windows `at` (n,)."""
        value = self._hour(self.window, hours, at)
        if self.wind is None:
            return value
        return np.where(self._hour(self.wind, hours, at) >= self.wind_at_least, value, np.nan)

    @property
    def hours(self) -> int:
        """The hours of a window, the last one included."""
        return self.window.shape[-1]

    def is_missing(self, hours: int, at: Positions | None = None) -> Bools:
        """Where there is no value `hours` before the last. An hour with too little wind has one."""
        return np.isnan(self._hour(self.window, hours, at))

    def departure(self, value: Floats, other: Floats) -> Floats:
        """`value` - `other`; for directions the shorter way round, -180 to 180."""
        return (value - other + 180) % 360 - 180 if self.circular else value - other

    @staticmethod
    def _hour(window: Floats, hours: int, at: Positions | None) -> Floats:
        hour = window[..., -1 - hours]
        return hour if at is None else hour[at]


def _check_rate_of_change(past: _Past, limits: Limits) -> Iterator[Finding]:
    """A value further than the limit from each of the last three hours that have a value; at least one must.

    Three hours, not one, so that the return from a spike does not fire.
    """
    if limits.rate_of_change is None:
        return
    value = past.ago(0)
    near = np.abs(past.departure(value, past.ago(1))) <= limits.rate_of_change
    at = np.nonzero(~near & ~np.isnan(value))
    here = value[at]
    distances = (np.abs(past.departure(here, past.ago(hours, at))) for hours in (1, 2, 3))
    far = reduce(np.fmin, distances) > limits.rate_of_change
    yield Finding("rate_of_change", SUSPECT, _scatter(value.shape, at, far), THE_HOUR_ITSELF)


def _check_spikes(past: _Past, limits: Limits) -> Iterator[Finding]:
    """An hour that stands out from both sides, known once the hour after it has returned."""
    given = ((SUSPECT, limits.spike_suspect), (FAIL, limits.spike_fail))
    thresholds = {flag: threshold for flag, threshold in given if threshold is not None}
    if not thresholds:
        return
    least = min(thresholds.values())
    value, peak = past.ago(0), past.ago(1)
    at = np.nonzero(np.abs(past.departure(peak, value)) > least)
    size = _spike_size(past, at, least, limits.spike_between_at_or_below)
    for flag, threshold in thresholds.items():
        yield Finding("spike", flag, _scatter(value.shape, at, size > threshold), THE_HOUR_BEFORE)


def _spike_size(past: _Past, at: Positions, least: float, quiet: float | None) -> Floats:
    """How far the hour before the last stands out from both of its sides, 0 where it does not. (n,)

    The side before it is the newest value of the two hours before it. Directions have no up and down, so there the two sides
    must agree to within `least`. quiet: both sides must be at or below this; None for no such condition.
    """
    after, peak, before = (past.ago(hours, at) for hours in (0, 1, 2))
    before = np.where(np.isnan(before), past.ago(3, at), before)
    rise, fall = past.departure(peak, before), past.departure(peak, after)
    returned = np.abs(past.departure(after, before)) <= least if past.circular else rise * fall > 0
    if quiet is not None:
        returned &= np.fmax(before, after) <= quiet
    return np.where(returned, np.minimum(np.abs(rise), np.abs(fall)), 0.0)


def _check_flat_lines(past: _Past, limits: Limits) -> Iterator[Finding]:
    """Runs of equal values, followed back hour by hour while they last; only another value ends a run, a missing one does not.

    A run counts from its first value to its last. More than half of these hours must have one: three equal values in a day are
    weather.
    """
    lengths = _run_lengths(limits)
    if not lengths:
        return
    value = past.ago(0)
    goes_on = (value == past.ago(1)) | past.is_missing(1)
    at = np.nonzero(goes_on & ~np.isnan(value) & ~_is_exempt(value, limits))
    held = value[at]
    seen = np.ones(len(held), np.int64)  # hours of the run that have a value
    for hours in range(2, past.hours + 1):
        same = past.ago(hours - 1, at) == held
        lasts = same | past.is_missing(hours - 1, at)
        at, held, same, seen = tuple(index[lasts] for index in at), held[lasts], same[lasts], (seen + same)[lasts]
        is_run = same & (2 * seen > hours)
        for length, flag, of_whole in (one for one in lengths if one[0] <= hours):
            found = is_run & ((np.rint(held) == held) == of_whole)
            if length < hours:  # without a gap, each part of the run is found by itself
                found &= seen < hours
            if found.any():
                yield Finding("flat_line", flag, _scatter(value.shape, at, found), range(hours))


def _run_lengths(limits: Limits) -> list[tuple[int, int, bool]]:
    """(hours, flag, whether for whole numbers) of each run length that fires."""
    given = [(limits.flat_hours_suspect, SUSPECT), (limits.flat_hours_fail, FAIL)]
    whole = given if limits.flat_hours_whole is None else [(limits.flat_hours_whole, SUSPECT)]
    return [
        (int(hours), flag, of_whole)
        for of_whole, lengths in ((False, given), (True, whole))
        for hours, flag in lengths
        if hours is not None
    ]


def _is_exempt(value: Floats, limits: Limits) -> Bools:
    """Whether a value may stay the same for days by nature: no rain, calm, saturated air."""
    exempt = np.zeros(value.shape, np.bool_)
    if limits.flat_exempt_at_or_below is not None:
        exempt |= value <= limits.flat_exempt_at_or_below
    if limits.flat_exempt_at_or_above is not None:
        exempt |= value >= limits.flat_exempt_at_or_above
    return exempt


def _scatter(shape: tuple[int, ...], at: Positions, found: Bools) -> Bools:
    """`found` (n,) at the n positions of an array of this shape, False elsewhere."""
    fired = np.zeros(shape, np.bool_)
    fired[at] = found
    return fired
