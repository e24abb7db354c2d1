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
    """`{"column": value}` if `value` is text; otherwise `value` unchanged."""
    return {"column": value} if isinstance(value, str) else value


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


VariableName = Annotated[str, AfterValidator(validate_variable_name)]
Duration = Annotated[timedelta, BeforeValidator(duration_if_text), Field(ge=timedelta(0))]
Names = Annotated[tuple[str, ...], BeforeValidator(list_if_bare), Field(min_length=1)]
