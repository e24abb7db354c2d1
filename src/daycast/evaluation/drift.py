"""Detect drift: served forecasts have become worse than the scores they were promoted for.

`find_drifts` tests each variable over rolling windows of days with a paired test, so that noise is not taken for drift as a bare
mean would be. A skill drift compares the CRPS with the best baseline, a coverage drift compares the coverage with a fixed bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import polars as pl

from daycast.evaluation.significance import paired_test, tell_p

_MIN_SCORED_DAYS = 0.75  # share of the days of a window that must have scores
_MIN_ROWS = 0.5  # share of the rows of the fullest day; on a day with fewer, most stations were silent


@dataclass(frozen=True)
class DriftLimits:
    """When forecasts count as drifted (settings section [drift])."""

    days: int  # length of the rolling window
    lasting: int  # so many windows, one ending each day, must all show the drift
    loss: float  # allowed loss of skill: 0.2 allows a CRPS ratio a fifth above that of the holdout, but never above 1
    coverage: float  # lower bound for the coverage of the 80 % interval
    significance: float  # level of the test of each window


@dataclass(frozen=True)
class Drift:
    """One variable whose forecasts have become worse than their bound."""

    variable: str
    measure: Literal["skill", "coverage"]
    rival: str | None  # the best baseline; None for coverage
    observed: float  # CRPS ratio to the rival, or coverage
    bound: float
    p_value: float  # of the last window
    days: int  # with scores in the last window
    since: date
    until: date

    def tell(self, label: str) -> str:
        """The drift in one line. label: the name of the variable for the reader."""
        if self.measure == "skill":
            numbers = f"CRPS ×{self.observed:.2f} that of {self.rival}, bound ×{self.bound:.2f}"
        else:
            numbers = (
                f"{self.observed * 100:.0f} % of observations lay in the 80 % interval, bound {self.bound * 100:.0f} %"
            )
        return f"{label}: {numbers} ({tell_p(self.p_value)}, {self.days} days up to {self.until})"


def find_drifts(
    daily: pl.DataFrame,
    forecaster: str,
    holdout_crps: Mapping[tuple[str, str], float],
    fallbacks: Mapping[str, str],
    limits: DriftLimits,
    until: date,
) -> list[Drift]:
    """Every variable and measure that is beyond its bound in all of the last `limits.lasting` windows up to `until`.

    daily: columns variable, forecaster, valid_on, n, crps, coverage_80, means over all stations; the rows of `forecaster` are
    the served forecasts. holdout_crps: the CRPS at promotion, by variable and forecaster. fallbacks: the baseline that serves
    in the model's place, by variable.

    A day with less than half the rows of the fullest day does not count. If more than a quarter of a window's days do not
    count, the window proves nothing: neither the first weeks after a promotion nor silent stations are a drift.
    """
    first = until - timedelta(days=limits.days + limits.lasting - 2)
    found = []
    for variable in daily["variable"].unique().sort():
        series = _by_forecaster(daily.filter(pl.col("variable") == variable), first, until)
        if forecaster in series:
            expected = {name: holdout_crps[variable, name] for name in series if (variable, name) in holdout_crps}
            served = holdout_crps.get((variable, fallbacks.get(variable, forecaster)))
            found += [_find_skill_drift(variable, series, forecaster, expected, served, limits, until)]
            found += [_find_coverage_drift(variable, series[forecaster][1], limits, until)]
    return [one for one in found if one is not None]


def _by_forecaster(rows: pl.DataFrame, first: date, until: date) -> dict[str, np.ndarray]:
    """CRPS and coverage of each forecaster by day, (2, D) from `first` to `until`; NaN on days with no or few scores."""
    rows = rows.filter(pl.col("valid_on").is_between(first, until), pl.col("n") >= _MIN_ROWS * pl.col("n").max())
    series = {}
    for (name,), one in rows.group_by("forecaster"):
        values = np.full((2, (until - first).days + 1), np.nan)
        values[:, (one["valid_on"] - first).dt.total_days().to_numpy()] = one.select("crps", "coverage_80").to_numpy().T
        series[str(name)] = values
    return series


def _find_skill_drift(
    variable: str,
    series: Mapping[str, np.ndarray],
    forecaster: str,
    expected: Mapping[str, float],
    served: float | None,
    limits: DriftLimits,
    until: date,
) -> Drift | None:
    """Compare with the best baseline of these days. expected, served: CRPS on the holdout of all, and of who serves."""
    model = series[forecaster][0]
    rivals = {name: values[0] for name, values in series.items() if name != forecaster}
    means = {name: np.mean(both) for name, one in rivals.items() if len(both := one[~np.isnan(one + model)])}
    if not means:
        return None
    rival = min(means, key=lambda name: (means[name], name))
    best = min((crps for name, crps in expected.items() if name != forecaster), default=0.0)
    bound = _bound(served / best if served is not None and best > 0 else None, limits.loss)
    p_value = _p_value_of_all(bound * rivals[rival], model, limits)
    if p_value is None:
        return None
    last = slice(limits.lasting - 1, None)
    both = ~np.isnan(model[last] + rivals[rival][last])
    ratio = float(model[last][both].mean() / rivals[rival][last][both].mean())
    since = until - timedelta(days=limits.days - 1)
    return Drift(variable, "skill", rival, ratio, bound, p_value, int(both.sum()), since, until)


def _bound(holdout_ratio: float | None, loss: float) -> float:
    """The upper bound of the CRPS ratio: that of the holdout plus the allowed loss, at most 1; a ratio above 1 may stay."""
    return 1.0 if holdout_ratio is None else max(holdout_ratio, min(1.0, holdout_ratio * (1 + loss)))


def _find_coverage_drift(variable: str, coverage: np.ndarray, limits: DriftLimits, until: date) -> Drift | None:
    p_value = _p_value_of_all(coverage, np.full_like(coverage, limits.coverage), limits)
    if p_value is None:
        return None
    window = coverage[limits.lasting - 1 :]
    since, days = until - timedelta(days=limits.days - 1), int((~np.isnan(window)).sum())
    return Drift(variable, "coverage", None, float(np.nanmean(window)), limits.coverage, p_value, days, since, until)


def _p_value_of_all(lower: np.ndarray, higher: np.ndarray, limits: DriftLimits) -> float | None:
    """The p-value in the last window of `lower` (D,) being below `higher`; None unless it is significant in every window."""
    windows = [slice(k, k + limits.days) for k in range(limits.lasting)]
    tests = [paired_test(lower[window, None], higher[window, None]) for window in windows]
    proven = all(
        test.days >= _MIN_SCORED_DAYS * limits.days and float(test.p_value) < limits.significance for test in tests
    )
    return float(tests[-1].p_value) if proven else None
