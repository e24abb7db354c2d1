"""The channels that a model reads, and their scaling by the statistics of training rows.

Each variable is a channel as it is; a circular one (wind direction) becomes its sine and its cosine.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from daycast.variables import Variable

_HOURS_AT_ONCE, _VALUES_AT_ONCE = 4096, 1_000_000  # bound memory: several copies are made of them


@dataclass(frozen=True)
class Channel:
    """One column of the model's input."""

    variable: str
    part: Literal["value", "sin", "cos"] = "value"

    @property
    def weight_column(self) -> str:
        """The column with the weights of the variable's values as truth; the two parts of a circular variable share it."""
        return f"{self.variable}_truth_weight"

    @property
    def expression(self) -> pl.Expr:
        """The expression that computes the channel from the variable's column; directions are in degrees."""
        value = pl.col(self.variable)
        if self.part == "value":
            return value
        return value.radians().sin() if self.part == "sin" else value.radians().cos()


def make_channels(variables: Iterable[Variable]) -> tuple[Channel, ...]:
    """The channels of these variables: first all that are not circular, then sine and cosine of the circular ones."""
    variables = list(variables)
    plain = [Channel(variable.name) for variable in variables if not variable.circular]
    parts = [Channel(variable.name, part) for variable in variables if variable.circular for part in ("sin", "cos")]
    return tuple(plain + parts)


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each channel, in its unit."""

    mean: np.ndarray  # (C,) float32
    deviation: np.ndarray  # (C,) float32, 1 for a constant channel


def fit_scale(values: np.ndarray) -> Scale:
    """Fit the scale to values (S, T, C), NaN where missing. Pass the training rows only."""
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - the import takes a second, and forecasting does not need it

    scaler = StandardScaler()
    S, T, C = values.shape
    chunk = max(min(_HOURS_AT_ONCE, _VALUES_AT_ONCE // (S * C)), 1)
    for start in range(0, T, chunk):
        scaler.partial_fit(values[:, start : start + chunk].reshape(-1, C).astype(np.float64))
    return Scale(scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32))
