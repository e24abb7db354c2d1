"""What may be written short in a source's table: "2d" for a duration, one name for a list of names."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

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


Duration = Annotated[timedelta, BeforeValidator(duration_if_text), Field(ge=timedelta(0))]
Names = Annotated[tuple[str, ...], BeforeValidator(list_if_bare), Field(min_length=1)]
