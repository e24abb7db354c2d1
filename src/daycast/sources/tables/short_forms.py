"""What may be written short in a source's table: "2d" for a duration, one name for a list of names.

And the name of an environment variable, in whose place people write the secret.
"""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from daycast.errors import ConfigError
from daycast.times import parse_duration


def column_if_bare(value: Any) -> Any:
    """A table that names the column `value`, where it is text; else `value` as it is."""
    return {"column": value} if isinstance(value, str) else value


def list_if_bare(value: Any) -> Any:
    """A list of `value` alone where it is text or a number; else `value` as it is."""
    return [value] if isinstance(value, str | int | float) else value


def duration_if_text(value: Any) -> Any:
    """The duration that the text says; else `value` as it is. Raises ValueError naming text that says none."""
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except ConfigError as error:
        raise ValueError(str(error)) from None  # so that pydantic adds where it stands


def keep_variable_name(text: str) -> str:
    """The text, where it can be the name of an environment variable. Raises ValueError that does not show it."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError("write the name of the environment variable that holds the secret, never the secret itself")
    return text


def shown_name(name: str) -> str:
    """The name of an environment variable, where it is in capitals; any other may be the secret that belongs into one."""
    return name if name == name.upper() else "named there (not shown, because that may be the secret itself)"


VariableName = Annotated[str, AfterValidator(keep_variable_name)]
Duration = Annotated[timedelta, BeforeValidator(duration_if_text), Field(ge=timedelta(0))]
Names = Annotated[tuple[str, ...], BeforeValidator(list_if_bare), Field(min_length=1)]
