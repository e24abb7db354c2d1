"""What a check hands back: where it fired, how grave that is, and which hours it speaks of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.variables import check_column, flag_column

# Quality flags beside every value: QARTOD's scale (IOOS, https://ioos.noaa.gov/project/qartod/).


GOOD, NOT_EVALUATED, SUSPECT, FAIL, MISSING = 1, 2, 3, 4, 9
# How much a suspect value counts as truth. A loss should count by the chance that the value is right: extremes of real weather
# are suspect as often as faults are, so to leave them out would teach the model that there are none, and of the chance itself
# nothing more is known than that it is neither.
SUSPECT_WEIGHT = 0.5


def keep_usable(observations: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    """The observations as a model may read them. The one place of this rule:

    A failed value is missing. A suspect one stands, as input like any other and as truth with SUSPECT_WEIGHT: beside a variable
    that has one comes a column `<variable>_truth_weight` (Float32, 1 where nothing is suspect). Flags and checks are gone.
    """
    values = [pl.when(pl.col(flag_column(name)) < FAIL).then(pl.col(name)).alias(name) for name in variables]
    suspect = observations.select((pl.col(flag_column(name)) == SUSPECT).alias(name) for name in variables)
    weights = [
        pl.when(suspect[name]).then(SUSPECT_WEIGHT).otherwise(1.0).cast(pl.Float32).alias(f"{name}_truth_weight")
        for name in variables
        if suspect[name].any()
    ]
    marks = [column for name in variables for column in (flag_column(name), check_column(name))]
    return observations.with_columns(*values, *weights).drop(marks, strict=False)


LOOK_BACK_HOURS = 24  # no check looks further back
THE_HOUR_ITSELF = range(1)
THE_HOUR_BEFORE = range(1, 2)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check at one severity. It marks the hours `lags` before each hour at which it fired."""

    check: str
    flag: int  # SUSPECT or FAIL of daycast.quality.flags
    fired: Bools  # (…)
    lags: range
