"""Scaling of channels by the statistics of training rows only."""

from dataclasses import dataclass

import numpy as np
from sklearn.preprocessing import StandardScaler

_CHUNK = 4096  # hours at a time, to bound memory


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each channel."""

    mean: np.ndarray  # (C,) float32
    deviation: np.ndarray  # (C,) float32, 1 where a channel never varies


def fit_scale(values: np.ndarray) -> Scale:
    """The scale of `values` (S, T, C), missing values left out. Pass the training rows and nothing else."""
    scaler = StandardScaler()
    for start in range(0, values.shape[1], _CHUNK):
        scaler.partial_fit(values[:, start : start + _CHUNK].reshape(-1, values.shape[2]).astype(np.float64))
    return Scale(scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32))
