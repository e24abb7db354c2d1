"""What the deployments need on a server, made unless it is there: pools, the one writer's slot, automations."""

import hashlib
import json
from typing import Any

import daycast
from daycast.live.alert import write_webhook
from daycast.live.server import WAREHOUSE_SLOT, call, post_unless_there

POOLS = ("cpu", "gpu")


def create_what_deployments_need(url: str, alert_url: str | None) -> None:
    """Create them on the server at `url`; automations that tell somebody are there only with an `alert_url`."""
    for pool in POOLS:
        post_unless_there(url, "/work_pools/", {"name": pool, "type": "process"})
    post_unless_there(url, "/v2/concurrency_limits/", {"name": WAREHOUSE_SLOT, "limit": 1})
    block = write_webhook(url, alert_url) if alert_url else None
    wanted = json.loads((daycast.resource_folder("infra") / "automations.json").read_text(encoding="utf-8"))
    there = {automation["name"]: automation for automation in call(url, "/automations/filter", {})}
    for automation in wanted:
        _bring_up_to_date(url, automation, there.get(automation["name"]), block)


def _bring_up_to_date(url: str, wanted: dict[str, Any], there: dict[str, Any] | None, block: str | None) -> None:
    """Make the automation what is wanted; one that is that already goes on, with what it has been waiting for."""
    tells = [action for action in wanted["actions"] if action["type"] == "call-webhook"]
    for action in tells:
        action["block_document_id"] = block
    needless = bool(tells) and block is None
    wanted["description"] += f" ({hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:8]})"
    if there and (needless or there["description"] != wanted["description"]):
        call(url, f"/automations/{there['id']}", method="DELETE")
        there = None
    if not there and not needless:
        call(url, "/automations/", wanted)
