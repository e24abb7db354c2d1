"""What the deployments need on a server, made unless it is there: pools, the one writer's slot, automations."""

import json
from pathlib import Path

from daycast.live.server import WAREHOUSE_SLOT, call, post_unless_there

POOLS = ("cpu", "gpu")


def create_what_deployments_need(url: str, root: Path) -> None:
    """`root` is the folder with infra/automations.json."""
    for pool in POOLS:
        post_unless_there(url, "/work_pools/", {"name": pool, "type": "process"})
    post_unless_there(url, "/v2/concurrency_limits/", {"name": WAREHOUSE_SLOT, "limit": 1})
    there = {automation["name"] for automation in call(url, "/automations/filter", {})}
    for automation in json.loads((root / "infra" / "automations.json").read_text(encoding="utf-8")):
        if automation["name"] not in there:
            call(url, "/automations/", automation)
