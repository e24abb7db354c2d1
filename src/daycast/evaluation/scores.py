"""Scores of quantile forecasts: MAE, MSE, bias, CRPS, coverage, pinball loss and interval width.

`score_elements` and `sharpness_elements` score every single forecast, `Tally` averages arrays of windows, `score_groups`
averages any groups. All forecasts of daycast have the same quantile levels (`LEVELS`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

LEVELS = np.array([0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95])
_MEDIAN = 3  # index of the level 0.50
_INTERVALS = {"coverage_50": (2, 4), "coverage_80": (1, 5), "coverage_90": (0, 6)}  # indices of their edges
_EDGES = np.concatenate([[0.0], (LEVELS[1:] + LEVELS[:-1]) / 2, [1.0]])
CRPS_WEIGHTS = np.diff(_EDGES)  # the share of (0, 1) nearest to each level
_AT_ONCE = 2**14  # forecasts, so that what is computed of them stays in the processor's cache
MEANS = ("mae", "mse", "bias", "crps", *_INTERVALS)


def score_elements(quantiles: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Score each forecast (..., Q) against its truth (...); returns arrays (...) by name, NaN where the truth is missing.

    mae, mse and bias (forecast minus truth) are those of the median. crps is twice the pinball loss integrated over the levels,
    where each level stands for the part of (0, 1) that is nearest to it (Gneiting & Ranjan 2011, doi:10.1198/jbes.2010.08110).
    coverage_50, _80, _90 are 1 if the truth is inside the interval, else 0.
    """
    error = quantiles[..., _MEDIAN] - truth
    above = truth[..., None] - quantiles
    pinball = np.maximum(LEVELS * above, (LEVELS - 1) * above)
    scores = {"mae": np.abs(error), "mse": error**2, "bias": error, "crps": 2 * (pinball * CRPS_WEIGHTS).sum(axis=-1)}
    missing = np.isnan(truth)
    for name, (low, high) in _INTERVALS.items():
        inside = (truth >= quantiles[..., low]) & (truth <= quantiles[..., high])
        scores[name] = np.where(missing, np.nan, inside)
    return scores


def sharpness_elements(quantiles: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Further scores of served forecasts (..., Q) with truths (...); returns arrays (...) by name.

    pinball is the mean pinball loss over the levels, equally weighted; width_50, _80 and _90 are those of the central intervals.
    """
    above = truth[..., None] - quantiles
    pinball = np.maximum(LEVELS * above, (LEVELS - 1) * above).mean(axis=-1)
    widths = {
        name.replace("coverage", "width"): quantiles[..., high] - quantiles[..., low]
        for name, (low, high) in _INTERVALS.items()
    }
    return {"pinball": pinball, **widths}


class Tally:
    """The mean scores of one forecaster over windows that arrive in parts."""

    def __init__(self) -> None:
        self.count: np.ndarray | None = None  # (H, V)
        self.sums: dict[str, np.ndarray] = {}  # each (H, V)

    def add(self, quantiles: np.ndarray, truth: np.ndarray) -> None:
        """Add windows: quantiles (N, H, V, Q), truth (N, H, V) with NaN where it is missing."""
        self.add_scores(score_elements(quantiles, truth))

    def add_scores(self, scores: Mapping[str, np.ndarray]) -> None:
        """Add windows that were scored by `score_elements`, each score (N, H, V)."""
        parts = {name: np.asarray(np.nansum(score, axis=0, dtype=np.float64)) for name, score in scores.items()}
        count = (~np.isnan(scores["crps"])).sum(axis=0)
        self.sums = {name: self.sums[name] + part if name in self.sums else part for name, part in parts.items()}
        self.count = count if self.count is None else self.count + count

    def table(self, forecaster: str, variables: Sequence[str]) -> pl.DataFrame:
        """A row for each variable and lead: forecaster, variable, lead_hours, n, mae, rmse, bias, crps, coverage_50, _80, _90."""
        if self.count is None:
            return pl.DataFrame()
        H, V = self.count.shape
        means = {name: (part / np.maximum(self.count, 1)).T.ravel() for name, part in self.sums.items()}
        frame = pl.DataFrame(
            {
                "forecaster": [forecaster] * (H * V),
                "variable": np.repeat(np.array(variables), H),
                "lead_hours": np.tile(np.arange(1, H + 1, dtype=np.uint8), V),
                "n": self.count.T.ravel(),
                **means,
            }
        )
        return with_rmse(frame.filter(pl.col("n") > 0))


def with_rmse(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the column rmse in place of mse."""
    return frame.with_columns(pl.col("mse").sqrt()).rename({"mse": "rmse"})


def score_groups(quantiles: np.ndarray, truth: np.ndarray, group: np.ndarray) -> pl.DataFrame:
    """The mean scores of forecasts by group: quantiles (K, Q), truth (K,), NaN where it is missing, number of the group (K,).

    Returns a row for each group with a truth, in order: group, n, mae, rmse, bias, crps, coverage_50, _80, _90, pinball,
    width_50, _80, _90.
    """
    known = ~np.isnan(truth)
    quantiles, truth, group = quantiles[known], truth[known], group[known]
    counts = np.bincount(group)
    found = np.flatnonzero(counts)
    parts = [slice(start, start + _AT_ONCE) for start in range(0, max(len(truth), 1), _AT_ONCE)]
    each = [
        score_elements(quantiles[part], truth[part]) | sharpness_elements(quantiles[part], truth[part])
        for part in parts
    ]
    scores = {name: np.concatenate([some[name] for some in each]) for name in each[0]}
    means = {name: np.bincount(group, score)[found] / counts[found] for name, score in scores.items()}
    return with_rmse(pl.DataFrame({"group": found, "n": counts[found], **means}))
