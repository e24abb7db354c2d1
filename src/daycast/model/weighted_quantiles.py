"""Quantiles of samples in which some count more than others."""

import numpy as np

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
