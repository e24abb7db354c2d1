"""The secret that a server wants: where it goes, and how it stays out of errors and logs."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from daycast.errors import ConfigError
from daycast.sources.http.settings import Credential
from daycast.sources.tables.short_forms import shown_name

_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.proxy",
)  # which write down addresses and headers


@dataclass(frozen=True)
class Key:
    """Headers and query parameters that carry the secret; both empty where the server wants none."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: str = field(default="", repr=False)

    def hide(self, text: str) -> str:
        """`text` with an ellipsis wherever the secret stands in it, plain or escaped as in an address."""
        return self._spellings.sub("…", text) if self.secret else text

    @cached_property
    def _spellings(self) -> re.Pattern[str]:
        """Every way to write the secret: addresses escape some characters and not others, each after its own rules."""
        ways = (f"(?:{re.escape(each)}|%{ord(each):02x}{'|[+]' if each == ' ' else ''})" for each in self.secret)
        return re.compile("".join(ways), re.IGNORECASE)

    @contextmanager
    def hidden_in_logs(self) -> Iterator[None]:
        """Keep the secret out of what the HTTP library logs meanwhile."""

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


def read_key(credential: Credential | None, environment: Mapping[str, str]) -> Key:
    """The key that `credential` tells of, its secret read from `environment`.

    Raises ConfigError naming the environment variable where it is missing or cannot be sent, never what it holds.
    """
    if credential is None:
        return Key()
    secret, name = environment.get(credential.env, "").strip(), shown_name(credential.env)
    if not secret:
        raise ConfigError(f"environment variable {name} is not set: put the secret of http.credential in it")
    if not (secret.isascii() and secret.isprintable()):
        raise ConfigError(f"environment variable {name} holds more than printable ASCII, which cannot be sent")
    if credential.parameter is not None:
        return Key(params={credential.parameter: secret}, secret=secret)
    return Key(headers={credential.header: credential.prefix + secret}, secret=secret)
