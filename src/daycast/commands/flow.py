"""A flow, and a Prefect server for it to run on."""

import argparse
import os
from http.client import HTTPException
from importlib import import_module
from typing import Any

from daycast.errors import ConfigError

QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "CRITICAL"}


def load_flow(args: argparse.Namespace, flow: str) -> Any:
    """The flow of this name, with a Prefect server to run on: the user's, or one of our own with its state in the data folder."""
    from daycast.own_server import OwnServer
    from daycast.settings import clock, load_settings
    from daycast.storage import explained

    settings, _ = load_settings(args.config), clock(args.until)  # what is wrong here is said before Prefect is started
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if url := os.environ.get("PREFECT_API_URL"):
        _check_answers(url)
    home = settings.data / "prefect" / "commands"
    with explained(home):
        server = None if url else OwnServer(home)
    if server:
        os.environ |= {"PREFECT_HOME": str(home), **server.environment}
    module = import_module(f"daycast.flows.{flow}")  # takes as long as the server
    if server:
        server.wait()
    return getattr(module, flow)


def _check_answers(url: str) -> None:
    """Raise ConfigError where no server is there, which Prefect would say with the tracebacks of many attempts."""
    from daycast.live.server import RefusedError, Server

    try:
        Server(url).call("/health")
    except RefusedError:  # a server that wants to be asked otherwise, as Prefect does
        return
    except (ConfigError, ValueError, HTTPException) as error:
        raise ConfigError(
            f"PREFECT_API_URL is of no use: {error}. Correct it, or unset it: then the command brings a server of its own"
        ) from None
