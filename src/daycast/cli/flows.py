"""Load a Prefect flow together with a Prefect server for it to run on. Importing Prefect takes seconds, so nobody else does."""

import argparse
import os
from importlib import import_module
from typing import Any

from daycast.errors import ConfigError

QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "CRITICAL"}

# daycast's log lines are shown with the run on a server that goes on running
_SHOWN_THERE = {"PREFECT_LOGGING_EXTRA_LOGGERS": "daycast", "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore"}


def load_flow(args: argparse.Namespace, flow: str) -> Any:
    """The flow of this name, ready to call: on the server at PREFECT_API_URL, or on a new one that ends with the command.

    Raises ConfigError if the configuration or `--until` is wrong, before Prefect is started, or if the server does not answer.
    """
    from daycast.files import explained
    from daycast.service.ephemeral_server import EphemeralServer
    from daycast.settings import clock, load_settings

    settings, _ = load_settings(args.config), clock(args.until)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if url := os.environ.get("PREFECT_API_URL"):
        _check_answers(url)
        os.environ |= _SHOWN_THERE | os.environ
    home = settings.data / "prefect" / "commands"
    with explained(home):
        server = None if url else EphemeralServer(home)
    if server:
        os.environ |= {"PREFECT_HOME": str(home), **server.environment}
    module = import_module(f"daycast.flows.{flow}")  # takes about as long as the server takes to start
    if server:
        server.wait()
    return getattr(module, flow)


def _check_answers(url: str) -> None:
    """Raise ConfigError if no server answers at `url`. Prefect itself would retry and print a traceback each time."""
    from daycast.service.server import Server

    try:
        Server(url).check()
    except ConfigError as error:
        raise ConfigError(
            f"PREFECT_API_URL is of no use: {error}. Correct it, or unset it: then the command starts a server of its own"
        ) from None
