"""A flow, and a Prefect server for it to run on."""

import argparse
import os
from importlib import import_module
from typing import Any

QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "CRITICAL"}


def load_flow(args: argparse.Namespace, flow: str) -> Any:
    """The flow of this name, with a Prefect server to run on: the user's, or one of our own with its state in the data folder."""
    from daycast.own_server import OwnServer
    from daycast.settings import clock, load_settings
    from daycast.storage import explained

    settings, _ = load_settings(args.config), clock(args.until)  # what is wrong here is said before Prefect is started
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    home = settings.data / "prefect" / "commands"
    with explained(home):
        server = None if "PREFECT_API_URL" in os.environ else OwnServer(home)
    if server:
        os.environ |= {"PREFECT_HOME": str(home), **server.environment}
    module = import_module(f"daycast.flows.{flow}")  # takes as long as the server
    if server:
        server.wait()
    return getattr(module, flow)
