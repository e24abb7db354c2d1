"""Quality flags, what a model may read of flagged values, and the `Finding` that every check returns.

The flags are QARTOD's (IOOS, https://ioos.noaa.gov/project/qartod/): 1 good, 2 not evaluated, 3 suspect, 4 fail, 9 missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from daycast.variables import check_column, flag_column

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

GOOD, NOT_EVALUATED, SUSPECT, FAIL, MISSING = 1, 2, 3, 4, 9
# Weight of a suspect value in the loss: about the chance that it is right. Suspect values are as often real extremes as
# faults. Leaving them out would teach the model that extremes never occur, and nothing is known that speaks for another weight.
SUSPECT_WEIGHT = 0.5
LOOK_BACK_HOURS = 24  # no check looks further back
THE_HOUR_ITSELF = range(1)
THE_HOUR_BEFORE = range(1, 2)


def keep_usable(observations: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    """The observations as a model may read them; the only place where this rule stands.

    A failed value becomes null. A suspect value stays: it is an input like any other, and counts as truth with SUSPECT_WEIGHT.
    A variable that has suspect values gains a column `<variable>_truth_weight` (Float32, 1 where the value is not suspect).
    The flag and check columns are dropped; all other columns are left as they are.
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


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found at one severity: where it fired, and which hours it flags."""

    check: str  # the check's name, as it stands in the check columns of `observations`
    flag: int  # SUSPECT or FAIL
    fired: Bools  # (…) True where the check fired
    lags: range  # the flagged hours, as hours before the one at which the check fired
