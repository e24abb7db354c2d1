"""Scaling of channels by the statistics of training rows only."""

from dataclasses import dataclass

import numpy as np

_HOURS_AT_ONCE, _VALUES_AT_ONCE = 4096, 1_000_000  # to bound memory; for several copies of them are made


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each channel."""

    mean: np.ndarray  # (C,) float32
    deviation: np.ndarray  # (C,) float32, 1 where a channel never varies


def fit_scale(values: np.ndarray) -> Scale:
    """The scale of `values` (S, T, C), missing values left out. Pass the training rows and nothing else."""
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - takes a second, which a forecast is spared

    scaler = StandardScaler()
    S, T, C = values.shape
    chunk = max(min(_HOURS_AT_ONCE, _VALUES_AT_ONCE // (S * C)), 1)
    for start in range(0, T, chunk):
        scaler.partial_fit(values[:, start : start + chunk].reshape(-1, C).astype(np.float64))
    return Scale(scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32))
