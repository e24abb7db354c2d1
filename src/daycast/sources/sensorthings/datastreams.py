"""Which Datastream of a Thing holds which variable, and in which unit."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, model_validator

from daycast.errors import ConfigError, SourceError, did_you_mean, listed
from daycast.sources.sensorthings.things import Datastream, Thing
from daycast.sources.tables.units import COMPASS, unit_of
from daycast.sources.tables.values import ValueReader
from daycast.variables import Variable

# signs of the Unified Code for Units of Measure, https://ucum.org/ucum, for which daycast has another sign
_UCUM = {
    "Cel": "°C",
    "℃": "°C",
    "[degF]": "°F",
    "m.s-1": "m/s",
    "[kn_i]": "kt",
    "[mi_i]/h": "mph",
    "mm[Hg]": "mmHg",
    "[in_i'Hg]": "inHg",
    "[in_i]": "in",
}


class DatastreamColumn(BaseModel):
    """How the Datastream of one variable is found at each Thing: by its property, its name, or both if both are given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    observed_property: str | None = None  # name of the ObservedProperty
    datastream: str | None = None  # name of the Datastream, or a glob of it
    unit: str | None = None  # instead of the one that the Datastream declares

    @model_validator(mode="after")
    def _validate_any(self) -> "DatastreamColumn":
        if not self.observed_property and not self.datastream:
            raise ValueError("give observed_property or datastream, or both")
        return self

    def finds(self, datastream: Datastream) -> bool:
        """Whether this is the Datastream that is meant."""
        observed = datastream.observed_property.name if datastream.observed_property else None
        by_property = self.observed_property is None or self.observed_property == observed
        return by_property and (
            self.datastream is None
            or self.datastream == datastream.name
            or fnmatchcase(datastream.name, self.datastream)
        )

    def __str__(self) -> str:
        given = {"observed_property": self.observed_property, "datastream": self.datastream}
        return " and ".join(f"{name} = {value!r}" for name, value in given.items() if value is not None)


@dataclass(frozen=True, slots=True)
class Channel:
    """One variable of one Thing: the Datastream it comes from, and how its results are read."""

    datastream: Datastream
    reader: ValueReader
    unit: str | None  # the unit of the results, by name


def validate_columns(columns: Mapping[str, DatastreamColumn], variables: Mapping[str, Variable]) -> None:
    """Raise ConfigError for a variable that does not exist, or for a unit that the variable cannot have."""
    for name, column in columns.items():
        if name not in variables:
            raise ConfigError(
                f"{name!r} is not a variable{did_you_mean(name, variables)}; there are: {', '.join(variables)}"
            )
        unit_of(variables[name], column.unit)


def choose_channels(
    thing: Thing, columns: Mapping[str, DatastreamColumn], variables: Mapping[str, Variable], missing: tuple[str, ...]
) -> list[Channel]:
    """The Channels of the variables that the Thing has, possibly none.

    Raises SourceError if two Datastreams match one variable, or if one declares a unit that cannot be converted.
    """
    channels = []
    for name, column in columns.items():
        matching = [datastream for datastream in thing.datastreams if column.finds(datastream)]
        if matching[1:]:
            raise SourceError(
                f"{thing} has two Datastreams for {name}, {matching[0]} and {matching[1]}: "
                f"choose one with columns.{name}.datastream"
            )
        channels += [_channel(thing, datastream, column, variables[name], missing) for datastream in matching]
    return channels


def unfound_columns(columns: Mapping[str, DatastreamColumn], things: Collection[Thing]) -> list[str]:
    """A line for each column that no Thing has, with what exists instead."""
    datastreams = [datastream for thing in things for datastream in thing.datastreams]
    lines = []
    for name, column in columns.items():
        if not any(column.finds(datastream) for datastream in datastreams):
            choices = sorted({_choice(datastream, column) for datastream in datastreams} - {""})
            meant = did_you_mean(column.observed_property or column.datastream or "", choices)
            lines.append(f"no Datastream for {name} ({column}){meant}; there are: {listed(choices)}")
    return lines


def _choice(datastream: Datastream, column: DatastreamColumn) -> str:
    if column.observed_property is None:
        return datastream.name
    return datastream.observed_property.name if datastream.observed_property else ""


def _channel(
    thing: Thing, datastream: Datastream, column: DatastreamColumn, variable: Variable, missing: tuple[str, ...]
) -> Channel:
    symbol = column.unit or (datastream.unit.symbol if datastream.unit else None)
    way_out = f"set columns.{variable.name}.unit"
    if not symbol:
        raise SourceError(f"{thing}: {datastream} declares no unit for {variable.name}: {way_out}")
    name = symbol if symbol == variable.unit else _UCUM.get(symbol, symbol)
    try:
        unit = unit_of(variable, name)
    except ConfigError as error:
        raise SourceError(f"{thing}: {datastream}: {error}; {way_out}") from None
    reader = ValueReader(variable.name, "result", unit, name == COMPASS, missing, ".")
    return Channel(datastream, reader, name)
