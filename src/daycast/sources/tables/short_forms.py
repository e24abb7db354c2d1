"""Short ways to write a setting: "2d" for a duration, one name for a list, a column's name for a table.

Also the name of an environment variable, because people write the secret itself in its place.
"""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from daycast.errors import ConfigError
from daycast.times import parse_duration


def column_if_bare(value: Any) -> Any:
    """`{"column": value}` if `value` is text or a whole number; otherwise `value` unchanged."""
    return {"column": value} if isinstance(value, str | int) else value


_BY_POSITION = re.compile(r"column ([1-9][0-9]*)")


def column_at(value: Any) -> Any:
    """The name by which a column is known that is given by its position, a whole number from 1; else `value` unchanged."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if value < 1:
        raise ValueError(f"there is no column {value}: the first is column 1")
    return f"column {value}"


def position_of(column: str) -> int | None:
    """The position, from 1, of a column that is known by it; None for any other name."""
    found = _BY_POSITION.fullmatch(column)
    return int(found[1]) if found else None


def list_if_bare(value: Any) -> Any:
    """`[value]` if `value` is text or a number; otherwise `value` unchanged."""
    return [value] if isinstance(value, str | int | float) else value


def duration_if_text(value: Any) -> Any:
    """The duration that a text such as "2d" states; any other value unchanged. Raises ValueError naming text that states none."""
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except ConfigError as error:
        raise ValueError(str(error)) from None  # so that pydantic adds the setting's name


def validate_variable_name(text: str) -> str:
    """Return the text if it can be the name of an environment variable. Raises ValueError, which does not show it."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError("write the name of the environment variable that holds the secret, never the secret itself")
    return text


def shown_name(name: str) -> str:
    """The name of an environment variable for messages; hidden unless it is in capitals, because it may be the secret itself."""
    return name if name == name.upper() else "named there (not shown, because that may be the secret itself)"


ColumnName = Annotated[str, BeforeValidator(column_at)]  # or its position, where a file repeats names or has none
VariableName = Annotated[str, AfterValidator(validate_variable_name)]
Duration = Annotated[timedelta, BeforeValidator(duration_if_text), Field(ge=timedelta(0))]
Word = Annotated[str, Field(coerce_numbers_to_str=True)]
Words = Annotated[tuple[Word, ...], BeforeValidator(list_if_bare)]
Names = Annotated[tuple[str, ...], BeforeValidator(list_if_bare), Field(min_length=1)]
