"""The channels a model reads: each variable as it is, a circular one as sine and cosine."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from daycast.variables import Variable


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
