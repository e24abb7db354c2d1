"""Which variables are forecast, and which are only learned from."""

from collections.abc import Mapping

import polars as pl

from daycast.errors import ConfigError, NotEnoughDataError
from daycast.model.config import ModelConfig
from daycast.variables import Variable


def choose_variables(
    rows: pl.DataFrame | pl.LazyFrame, glossary: Mapping[str, Variable], config: ModelConfig
) -> tuple[list[Variable], list[Variable]]:
    """The targets, and the other variables to learn from: those the training rows have values of."""
    there = rows.lazy().collect_schema().names()
    counted = rows.lazy().select(pl.col(name).count() for name in glossary if name in there)
    counts = counted.collect(engine="streaming").row(0, named=True)
    present = [glossary[name] for name, count in counts.items() if count]
    if absent := [name for name in config.targets if not counts.get(name)]:
        raise ConfigError(f"model.targets names {absent[0]!r}, which no training row has a value of")
    targets = [v for v in present if (v.name in config.targets if config.targets else v.target) and not v.circular]
    if not targets:
        raise NotEnoughDataError("no target variable has a value yet: map at least one column to a variable")
    return targets, [variable for variable in present if variable not in targets]
