"""Scaling of channels by the statistics of training rows only."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from daycast.variables import Variable

# The channels a model reads: each variable as it is, a circular one as sine and cosine.


@dataclass(frozen=True)
class Channel:
    """One column of the model's input."""

    variable: str
    part: Literal["value", "sin", "cos"] = "value"

    @property
    def weight_column(self) -> str:
        """The column that says how much the variable's values count as truth; both parts of a direction follow theirs."""
        return f"{self.variable}_truth_weight"

    @property
    def expression(self) -> pl.Expr:
        """The channel of a frame that has the variable's column."""
        value = pl.col(self.variable)
        if self.part == "value":
            return value
        return value.radians().sin() if self.part == "sin" else value.radians().cos()


def make_channels(variables: Iterable[Variable]) -> tuple[Channel, ...]:
    """The channels of the given variables: first all plain values, then the parts of circular ones."""
    variables = list(variables)
    plain = [Channel(variable.name) for variable in variables if not variable.circular]
    parts = [Channel(variable.name, part) for variable in variables if variable.circular for part in ("sin", "cos")]
    return tuple(plain + parts)


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
