"""Which columns say when somebody's forecast was made, and when it was there."""

from collections.abc import Collection
from typing import Annotated

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict

from daycast.sources.tables.problems import Complaint
from daycast.sources.tables.short_forms import column_if_bare
from daycast.sources.tables.text_time import TimeColumn, is_beyond_calendar
from daycast.sources.tables.typed_time import InstantColumn
from daycast.times import BEYOND_CALENDAR


class ForecastTexts(BaseModel):
    """Of a table of text: `issued` and, where the source states it, `received`; else it is issued + reporting_delay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issued: Annotated[TimeColumn, BeforeValidator(column_if_bare)]
    received: Annotated[TimeColumn | None, BeforeValidator(column_if_bare)] = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return tuple(time.column for time in (self.issued, self.received) if time is not None)

    def complaints(self, raw: pl.DataFrame, keys: pl.DataFrame) -> list[Complaint]:
        """Where no time of issue, or of receipt, can be read; `keys` has issued_at and received_at."""
        read = [(self.issued, "issued_at"), *([(self.received, "received_at")] if self.received else [])]
        return [
            Complaint(time.column, where, raw[time.column], _reasons(raw[time.column], time))
            for time, where in ((time, keys[key].is_null()) for time, key in read)
            if where.any()
        ]


def _reasons(text: pl.Series, time: TimeColumn) -> pl.Series:
    """Why no time can be read of each `text`, if none can."""
    beyond = is_beyond_calendar(text, time.format).alias("beyond")
    reason = pl.when("beyond").then(pl.lit(BEYOND_CALENDAR)).otherwise(pl.lit(f"no time in the form {time.form}"))
    return beyond.to_frame().select(reason).to_series()


class ForecastInstants(BaseModel):
    """The same of a table with column types; `received` is a timestamp."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issued: Annotated[InstantColumn, BeforeValidator(column_if_bare)]
    received: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.issued.column, *([self.received] if self.received else []))


def unused(name: str, setting: object) -> Collection[str]:
    """The setting's name where it is not used: a fingerprint then is what it was before there was such a setting."""
    return () if setting else (name,)
