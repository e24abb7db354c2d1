"""What the deployments need on a server, made unless it is there: pools, the one writer's slot, automations."""

import hashlib
import json
from http import HTTPStatus
from typing import Any

import daycast
from daycast.live.alert import write_webhook
from daycast.live.server import WAREHOUSE_SLOT, RefusedError, Server

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
