"""Do served forecasts still keep to what they were promoted for? Told from noise by tests over days, not by a bare mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import polars as pl

from daycast.evaluation.promotion import tell_p
from daycast.evaluation.significance import paired_test

_LEAST_SHARE = 0.75  # of the days of a window that must have been scored
_FULL_DAY = 0.5  # of the rows of the fullest day: with fewer, most stations were silent, and the day says little


@dataclass(frozen=True)
class DriftLimits:
    """From when on forecasts have drifted."""

    days: int  # of the rolling window
    lasting: int  # windows, one a day, in a row that must all prove it
    loss: float  # of skill since the judgement: 0.2 allows a CRPS ratio a fifth above the judged one, never above 1
    coverage: float  # of the 80 % interval, below which it is not honest
    significance: float


@dataclass(frozen=True)
class Drift:
    """One variable of which the forecasts have become worse than their bound."""

    variable: str
    measure: Literal["skill", "coverage"]
    rival: str | None  # the baseline of `skill`
    observed: float
    bound: float
    p_value: float
    days: int
    since: date
    until: date

    def tell(self, label: str) -> str:
        """The drift in one line, of a variable of this name."""
        if self.measure == "skill":
            numbers = f"CRPS ×{self.observed:.2f} that of {self.rival}, bound ×{self.bound:.2f}"
        else:
            numbers = (
                f"{self.observed * 100:.0f} % of what came lay in the 80 % interval, bound {self.bound * 100:.0f} %"
            )
        return f"{label}: {numbers} ({tell_p(self.p_value)}, {self.days} days up to {self.until})"


def find_drifts(
    daily: pl.DataFrame,
    forecaster: str,
    judged: Mapping[tuple[str, str], float],
    fallbacks: Mapping[str, str],
    limits: DriftLimits,
    until: date,
) -> list[Drift]:
    """Every variable and measure that is beyond its bound in each of the windows that end on the last days up to `until`.

    daily: variable, forecaster, valid_on, n, crps, coverage_80, pooled over stations; those of what was served stand under
    `forecaster`, of which `judged` has the CRPS (by variable and forecaster) that it was promoted for. substitutes: by
    variable the baseline that serves in its place. A window in which more than a quarter of the days has no score, or less than
    half the rows of the fullest day, proves nothing: neither the first weeks nor the silence of stations are a drift.
    """
    first = until - timedelta(days=limits.days + limits.lasting - 2)
    found = []
    for variable in daily["variable"].unique().sort():
        series = _by_forecaster(daily.filter(pl.col("variable") == variable), first, until)
        if forecaster in series:
            reference = {name: judged[variable, name] for name in series if (variable, name) in judged}
            served = judged.get((variable, fallbacks.get(variable, forecaster)))
            found += [_find_skill(variable, series, forecaster, reference, served, limits, until)]
            found += [_find_coverage(variable, series[forecaster][1], limits, until)]
    return [one for one in found if one is not None]


def _by_forecaster(rows: pl.DataFrame, first: date, until: date) -> dict[str, np.ndarray]:
    """CRPS and coverage by day, (2, D) from first to until, NaN on days without scores or with few."""
    rows = rows.filter(pl.col("valid_on").is_between(first, until), pl.col("n") >= _FULL_DAY * pl.col("n").max())
    series = {}
    for (name,), one in rows.group_by("forecaster"):
        values = np.full((2, (until - first).days + 1), np.nan)
        values[:, (one["valid_on"] - first).dt.total_days().to_numpy()] = one.select("crps", "coverage_80").to_numpy().T
        series[str(name)] = values
    return series


def _find_skill(
    variable: str,
    series: Mapping[str, np.ndarray],
    forecaster: str,
    reference: Mapping[str, float],
    judged: float | None,
    limits: DriftLimits,
    until: date,
) -> Drift | None:
    ours = series[forecaster][0]
    rivals = {name: values[0] for name, values in series.items() if name != forecaster}
    means = {name: np.mean(both) for name, one in rivals.items() if len(both := one[~np.isnan(one + ours)])}
    if not means:
        return None
    rival = min(means, key=lambda name: (means[name], name))
    best = min((crps for name, crps in reference.items() if name != forecaster), default=0.0)
    bound = _bound(judged / best if judged is not None and best > 0 else None, limits.loss)
    p_value = _proof(bound * rivals[rival], ours, limits)
    if p_value is None:
        return None
    last = slice(limits.lasting - 1, None)
    both = ~np.isnan(ours[last] + rivals[rival][last])
    ratio = float(ours[last][both].mean() / rivals[rival][last][both].mean())
    since = until - timedelta(days=limits.days - 1)
    return Drift(variable, "skill", rival, ratio, bound, p_value, int(both.sum()), since, until)


def _bound(judged_ratio: float | None, loss: float) -> float:
    """The CRPS ratio to keep below: the judged one and the loss allowed, at most 1; what was judged worse may stay as bad."""
    return 1.0 if judged_ratio is None else max(judged_ratio, min(1.0, judged_ratio * (1 + loss)))


def _find_coverage(variable: str, coverage: np.ndarray, limits: DriftLimits, until: date) -> Drift | None:
    p_value = _proof(coverage, np.full_like(coverage, limits.coverage), limits)
    if p_value is None:
        return None
    window = coverage[limits.lasting - 1 :]
    since, days = until - timedelta(days=limits.days - 1), int((~np.isnan(window)).sum())
    return Drift(variable, "coverage", None, float(np.nanmean(window)), limits.coverage, p_value, days, since, until)


def _proof(lower: np.ndarray, higher: np.ndarray, limits: DriftLimits) -> float | None:
    """The p value, in the last window, of `lower` (D,) being lower by luck; None unless every window proves that it is lower."""
    windows = [slice(k, k + limits.days) for k in range(limits.lasting)]
    tests = [paired_test(lower[window, None], higher[window, None]) for window in windows]
    proven = all(
        test.days >= _LEAST_SHARE * limits.days and float(test.p_value) < limits.significance for test in tests
    )
    return float(tests[-1].p_value) if proven else None
