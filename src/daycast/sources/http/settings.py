"""How a source speaks HTTP: the `http = {…}` table within a `[[sources]]` table."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from daycast.sources.tables.short_forms import Duration, VariableName

_TOKEN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"  # noqa: S105 (what a header's name is made of: RFC 9110, section 5.6.2)


class Credential(BaseModel):
    """Which secret a server wants, and where: in a header, or as a parameter of the query. The secret itself stands in `env`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: VariableName  # name of the environment variable that holds the secret
    header: Annotated[str, Field(pattern=_TOKEN)] = "Authorization"
    prefix: str = "Bearer "  # stands before the secret in the header
    parameter: str | None = None  # instead of a header: the query parameter that carries it

    @model_validator(mode="after")
    def _goes_one_way(self) -> Self:
        if self.parameter is not None and self.model_fields_set & {"header", "prefix"}:
            raise ValueError(f"goes in a header or in parameter {self.parameter!r}, not in both: remove one of them")
        return self


class HttpSettings(BaseModel):
    """How long to wait for a server, how often to try, and how much to ask of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(seconds=30)  # to connect, and between two bytes
    retries: Annotated[int, Field(ge=0, le=20)] = 4  # after the first attempt
    requests_per_second: Annotated[float, Field(gt=0)] = 5.0  # at most; 0.1 is one in ten seconds
    credential: Credential | None = None
