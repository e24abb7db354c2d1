"""Which column holds which variable, and in which unit."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from daycast.errors import ConfigError
from daycast.sources.nearest import did_you_mean
from daycast.sources.tables.short_forms import column_if_bare
from daycast.sources.tables.units import Unit, unit_of
from daycast.variables import BUILT_IN, Variable


class ValueColumn(BaseModel):
    """The column of one variable; without a unit it is in daycast's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    unit: str | None = None


MappedColumns = Annotated[
    dict[str, Annotated[ValueColumn, BeforeValidator(column_if_bare)]], Field(min_length=1)
]  # by variable


def units_of(
    source: str, columns: Mapping[str, ValueColumn], variables: Mapping[str, Variable]
) -> Iterator[tuple[str, ValueColumn, Unit]]:
    """Each mapped variable with its column and the unit to convert it from.

    Raises ConfigError naming the source and a variable that does not exist or a unit that cannot be converted.
    """
    for name, given in columns.items():
        if name not in variables:
            matches = did_you_mean(name, variables)
            raise ConfigError(f"source {source!r}: {name!r} is no variable{matches}; there are: {', '.join(variables)}")
        try:
            yield name, given, unit_of(variables[name], given.unit)
        except ConfigError as error:
            raise ConfigError(f"source {source!r}: {error}") from None


def declared_units(columns: Mapping[str, ValueColumn], variables: Mapping[str, Variable]) -> dict[str, str]:
    """The units of those mapped variables that the network declares itself, because a change of them changes readings."""
    return {name: variables[name].unit for name in columns if name not in BUILT_IN}
