"""Quality flags beside every value: QARTOD's scale (IOOS, https://ioos.noaa.gov/project/qartod/)."""

from collections.abc import Sequence

import polars as pl

from daycast.variables import flag_column

GOOD, NOT_EVALUATED, SUSPECT, FAIL, MISSING = 1, 2, 3, 4, 9


def add_flags(observations: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    """The observations with a flag column beside each variable.

    So far one check is made, before a reading becomes an observation: the limits of daycast.variables. What passed it is GOOD,
    what is not there is MISSING.
    """
    flags = [
        pl.when(pl.col(name).is_null()).then(MISSING).otherwise(GOOD).cast(pl.UInt8).alias(flag_column(name))
        for name in variables
    ]
    return observations.with_columns(flags)


def keep_usable(observations: pl.DataFrame, variables: Sequence[str]) -> pl.DataFrame:
    """The observations as a model may read them: failed values are missing, flags are gone. The one place of this rule."""
    values = [pl.when(pl.col(flag_column(name)) < FAIL).then(pl.col(name)).alias(name) for name in variables]
    return observations.with_columns(values).drop(flag_column(name) for name in variables)
