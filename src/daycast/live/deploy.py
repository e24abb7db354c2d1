"""Bring a Prefect server of somebody's own up to date with what daycast runs on it."""

import os
import subprocess
import sys

import daycast
from daycast.errors import ConfigError
from daycast.live.create import create_what_deployments_need
from daycast.live.server import Server


def deploy(server: Server, alert_url: str | None = None) -> None:
    """Create pools, the writer's slot and automations on the server, and deploy every flow; again and again as well.

    Workers need the same daycast installed, wherever they are. Failures are told to `alert_url`. Raises ConfigError.
    """
    create_what_deployments_need(server, alert_url)
    password = {"PREFECT_API_AUTH_STRING": server.auth} if server.auth else {}
    environment = {**os.environ, "PREFECT_API_URL": server.url, **password}
    done = subprocess.run(deploy_command(), env=environment, cwd=daycast.resource_folder("infra"), check=False)  # noqa: S603 - our own interpreter
    if done.returncode:
        raise ConfigError(f"the flows could not be deployed at {server.url}: see above")


def deploy_command() -> list[str]:
    """The command that deploys every flow of infra/prefect.yaml onto the server that PREFECT_API_URL names."""
    file = daycast.resource_folder("infra") / "prefect.yaml"
    return [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
