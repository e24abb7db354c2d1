"""Where a CSV file says which station it is about: in a column, in its own name, or not at all."""

import re
from typing import Annotated

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from daycast.errors import SourceError
from daycast.sources.tables.text_values import present


def _validate_pattern(pattern: str) -> str:
    """Return the regular expression if it has one group; raise ValueError if not."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"{pattern!r} needs exactly one group (…) around the station, it has {groups}")
    return pattern


class StationKey(BaseModel):
    """Exactly one of: a column, a regular expression whose group finds the station in the file's name, a constant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str | None = None
    file_name: Annotated[str, AfterValidator(_validate_pattern)] | None = None
    constant: str | None = None

    @model_validator(mode="after")
    def _validate_one(self) -> "StationKey":
        given = [field for field in (self.column, self.file_name, self.constant) if field]
        if len(given) != 1:
            raise ValueError("give exactly one of column, file_name and constant")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file that are read."""
        return (self.column,) if self.column else ()

    def of_file(self, file_name: str) -> str | None:
        """The station of a whole file, None where a column tells it; raises SourceError if the name does not match."""
        if self.file_name is None:
            return self.constant
        match = re.search(self.file_name, file_name)
        if not match or not match[1]:
            raise SourceError(f"{file_name}: the name does not match {self.file_name!r}, so its station is unknown")
        return str(match[1])

    def read(self, file_name: str, missing: tuple[str, ...]) -> pl.Expr:
        """The station of each row, null where the column has none."""
        return present(pl.col(self.column), missing) if self.column else pl.lit(self.of_file(file_name), pl.String)
