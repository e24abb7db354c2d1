"""Which variables are forecast, and which are only learned from."""

from collections.abc import Mapping

import polars as pl

from daycast.errors import ConfigError, NotEnoughDataError
from daycast.model.config import ModelConfig
from daycast.variables import Variable


def choose_variables(
    rows: pl.DataFrame | pl.LazyFrame, glossary: Mapping[str, Variable], config: ModelConfig
) -> tuple[list[Variable], list[Variable]]:
    """The targets, and the other variables to read: those the training rows have values of, unless `model.inputs` names some.

    Raises ConfigError where one that is named has no value, NotEnoughDataError where no target has.
    """
    there = rows.lazy().collect_schema().names()
    counted = rows.lazy().select(pl.col(name).count() for name in glossary if name in there)
    counts = counted.collect(engine="streaming").row(0, named=True)
    present = [glossary[name] for name, count in counts.items() if count]
    for key, names in (("targets", config.targets), ("inputs", config.inputs)):
        if absent := [name for name in names if not counts.get(name)]:
            raise ConfigError(f"model.{key} names {absent[0]!r}, which no training row has a value of")
    targets = [v for v in present if (v.name in config.targets if config.targets else v.target) and not v.circular]
    if not targets:
        raise NotEnoughDataError("no target variable has a value yet: map at least one column to a variable")
    return targets, [v for v in present if v not in targets and (not config.inputs or v.name in config.inputs)]
