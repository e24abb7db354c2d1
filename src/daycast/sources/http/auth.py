"""The `http = {…}` table of a source, and its secret: where it goes, and how it stays out of errors and logs."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from daycast.errors import ConfigError
from daycast.sources.tables.short_forms import Duration, VariableName, shown_name

_TOKEN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"  # noqa: S105 (the characters of a header's name: RFC 9110, section 5.6.2)


class Credential(BaseModel):
    """Which secret a server wants, and where: in a header, or as a parameter of the query. `env` names where the secret is."""

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
    """How long to wait for a server, how often to try again, and how fast to ask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout: Annotated[Duration, Field(gt=timedelta(0))] = timedelta(seconds=30)  # to connect, and between two bytes
    retries: Annotated[int, Field(ge=0, le=20)] = 4  # after the first attempt
    requests_per_second: Annotated[float, Field(gt=0)] = 5.0  # at most; 0.1 is one in ten seconds
    credential: Credential | None = None


# they log addresses and headers
_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")


@dataclass(frozen=True)
class Auth:
    """Headers and query parameters that carry the secret; both are empty if the server wants none."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: str = field(default="", repr=False)

    def hide(self, text: str) -> str:
        """`text` with an ellipsis wherever the secret stands in it, plain or escaped as in an address."""
        return self._spellings.sub("…", text) if self.secret else text

    @cached_property
    def _spellings(self) -> re.Pattern[str]:
        """Every way to write the secret: addresses escape some characters and not others, each by its own rules."""
        ways = (f"(?:{re.escape(each)}|%{ord(each):02x}{'|[+]' if each == ' ' else ''})" for each in self.secret)
        return re.compile("".join(ways), re.IGNORECASE)

    @contextmanager
    def hidden_in_logs(self) -> Iterator[None]:
        """Keep the secret out of what the HTTP library logs within the block."""

        def censor(record: logging.LogRecord) -> bool:
            record.msg, record.args = self.hide(record.getMessage()), ()
            return True

        loggers = [logging.getLogger(name) for name in _LOGGERS] if self.secret else []
        for logger in loggers:
            logger.addFilter(censor)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(censor)


def read_auth(credential: Credential | None, environment: Mapping[str, str]) -> Auth:
    """The Auth that `credential` describes, with its secret read from `environment`.

    Raises ConfigError naming the environment variable if it is not set or cannot be sent; the message never shows its value.
    """
    if credential is None:
        return Auth()
    secret, name = environment.get(credential.env, "").strip(), shown_name(credential.env)
    if not secret:
        raise ConfigError(f"environment variable {name} is not set: put the secret of http.credential in it")
    if not (secret.isascii() and secret.isprintable()):
        raise ConfigError(f"environment variable {name} holds more than printable ASCII, which cannot be sent")
    if credential.parameter is not None:
        return Auth(params={credential.parameter: secret}, secret=secret)
    return Auth(headers={credential.header: credential.prefix + secret}, secret=secret)
