"""Bring a Prefect server up to date: pools, the warehouse slot, automations and deployments.

`deploy` does it all for a server that somebody else runs; `daycast up` calls `create_server_objects` and `deploy_command`
separately. All of it can be repeated.
"""

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
from daycast.settings import LiveSettings
from daycast.times import parse_duration

POOLS = ("cpu", "gpu")
# a single run cannot set anything of its job, neither command nor environment; daycast's log lines are part of each run
_LOCKED_TEMPLATE = {
    "job_configuration": {
        "stream_output": True,
        "env": {"PREFECT_LOGGING_EXTRA_LOGGERS": "daycast", "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore"},
    },
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}


def deploy(server: Server, live: LiveSettings | None = None) -> None:
    """Create pools, the warehouse slot and automations on the server, and deploy every flow. `live` says who is told of failures.

    The workers need the same daycast installed. Raises ConfigError if the flows could not be deployed.
    """
    create_server_objects(server, live)
    password = {"PREFECT_API_AUTH_STRING": server.auth} if server.auth else {}
    environment = {**os.environ, "PREFECT_API_URL": server.url, **password}
    done = subprocess.run(deploy_command(), env=environment, cwd=daycast.resource_folder("infra"), check=False)  # noqa: S603 - our own interpreter
    if done.returncode:
        raise ConfigError(f"the flows could not be deployed at {server.url}: see above")


def deploy_command() -> list[str]:
    """The command that deploys every flow of infra/prefect.yaml to the server at PREFECT_API_URL."""
    file = daycast.resource_folder("infra") / "prefect.yaml"
    return [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]


def create_server_objects(server: Server, live: LiveSettings | None) -> None:
    """Create what the deployments need on the server, unless it exists: pools, the warehouse slot, automations.

    Automations that call a webhook are created only with an `alert_url`. What fails is told at most once in `alert_again_after`.
    """
    live = live or LiveSettings()
    for pool in POOLS:
        _create_pool(server, pool)
    server.create_unless_there("/v2/concurrency_limits/", {"name": WAREHOUSE_SLOT, "limit": 1})
    block = write_webhook(server, live.alert_url.get_secret_value()) if live.alert_url else None
    again_after = parse_duration(live.alert_again_after)
    wanted = json.loads((daycast.resource_folder("infra") / "automations.json").read_text(encoding="utf-8"))
    existing = {automation["name"]: automation for automation in server.call("/automations/filter", {})}
    for automation in wanted:
        if automation["trigger"]["posture"] == "Reactive":
            automation["trigger"]["within"] = again_after.total_seconds()
        _update_automation(server, automation, existing.get(automation["name"]), block)


def _create_pool(server: Server, name: str) -> None:
    """Create a pool whose workers run flows as installed, whatever command or environment a run asks for."""
    try:
        server.call("/work_pools/", {"name": name, "type": "process", "base_job_template": _LOCKED_TEMPLATE})
    except RefusedError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        server.call(f"/work_pools/{name}", {"base_job_template": _LOCKED_TEMPLATE}, "PATCH")


def _update_automation(
    server: Server, wanted: dict[str, Any], existing: dict[str, Any] | None, block: str | None
) -> None:
    """Replace an automation that differs from `wanted`; an equal one stays, with the events it has counted so far."""
    webhooks = [action for action in wanted["actions"] if action["type"] == "call-webhook"]
    for action in webhooks:
        action["block_document_id"] = block
    is_needless = bool(webhooks) and block is None
    wanted["description"] += f" ({hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:8]})"
    if existing and (is_needless or existing["description"] != wanted["description"]):
        server.call(f"/automations/{existing['id']}", method="DELETE")
        existing = None
    if not existing and not is_needless:
        server.call("/automations/", wanted)
