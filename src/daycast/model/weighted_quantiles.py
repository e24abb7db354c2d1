"""Quantiles of samples in which some count more than others."""

import numpy as np


def weighted_quantiles(values: np.ndarray, weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The smallest of each row's values that at least a share of the row's weight does not exceed. (K,)

    values (K, N): N samples of K things, NaN where there is none; weights (N,), 0 or above; levels (K,): the shares, above 0. NaN
    where nothing that is there has weight.
    """
    values = np.ascontiguousarray(values)
    order = np.argsort(values, axis=1)  # NaN last
    ordered = np.take_along_axis(values, order, axis=1)
    weight = np.cumsum(np.where(np.isnan(ordered), 0.0, weights[order]), axis=1)
    total = weight[:, -1:]
    at = np.minimum((weight < levels[:, None] * total).sum(axis=1, keepdims=True), values.shape[1] - 1)
    return np.where(total > 0, np.take_along_axis(ordered, at, axis=1), np.nan)[:, 0]
