"""Bring a Prefect server of somebody's own up to date with what daycast runs on it."""

import hashlib
import json
import os
import subprocess
import sys
from http import HTTPStatus
from typing import Any

import daycast
from daycast.errors import ConfigError
from daycast.service.alerts import write_webhook
from daycast.service.server import WAREHOUSE_SLOT, RefusedError, Server

# What the deployments need on a server, made unless it is there: pools, the one writer's slot, automations.


POOLS = ("cpu", "gpu")
# nothing of a job can be set for one run: not its command, not its environment
_LOCKED = {
    "job_configuration": {"stream_output": True},
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}


def create_what_deployments_need(server: Server, alert_url: str | None) -> None:
    """Create them on the server; automations that tell somebody are there only with an `alert_url`."""
    for pool in POOLS:
        _create_pool(server, pool)
    server.create_unless_there("/v2/concurrency_limits/", {"name": WAREHOUSE_SLOT, "limit": 1})
    block = write_webhook(server, alert_url) if alert_url else None
    wanted = json.loads((daycast.resource_folder("infra") / "automations.json").read_text(encoding="utf-8"))
    there = {automation["name"]: automation for automation in server.call("/automations/filter", {})}
    for automation in wanted:
        _bring_up_to_date(server, automation, there.get(automation["name"]), block)


def _create_pool(server: Server, name: str) -> None:
    """A pool whose workers run flows as daycast installed them, whatever command or environment a run asks for."""
    try:
        server.call("/work_pools/", {"name": name, "type": "process", "base_job_template": _LOCKED})
    except RefusedError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        server.call(f"/work_pools/{name}", {"base_job_template": _LOCKED}, "PATCH")


def _bring_up_to_date(server: Server, wanted: dict[str, Any], there: dict[str, Any] | None, block: str | None) -> None:
    """Make the automation what is wanted; one that is that already goes on, with what it has been waiting for."""
    tells = [action for action in wanted["actions"] if action["type"] == "call-webhook"]
    for action in tells:
        action["block_document_id"] = block
    needless = bool(tells) and block is None
    wanted["description"] += f" ({hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:8]})"
    if there and (needless or there["description"] != wanted["description"]):
        server.call(f"/automations/{there['id']}", method="DELETE")
        there = None
    if not there and not needless:
        server.call("/automations/", wanted)


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
