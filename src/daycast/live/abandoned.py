"""What killed processes leave behind on the server: runs that seem to run, and slots that seem to be held."""

from typing import Any

from daycast.live.server import Server

_AT_WORK = ["RUNNING", "PENDING", "CANCELLING"]


def crash_abandoned(server: Server, pool: str | None = None) -> int:
    """Say of every run that seems to be at work (of `pool`) that it crashed, which frees what it holds; returns how many.

    Call it only where no worker (of that pool) can be at work.
    """
    active: dict[str, Any] = {"flow_runs": {"state": {"type": {"any_": _AT_WORK}}}}
    if pool is not None:
        active["work_pools"] = {"name": {"any_": [pool]}}
    crashed = {"type": "CRASHED", "name": "Crashed", "message": "What ran it was killed."}
    runs = server.call("/flow_runs/filter", active)
    for run in runs:
        server.call(f"/flow_runs/{run['id']}/set_state", {"state": crashed})
    return len(runs)


def free_slots(server: Server) -> None:
    """Give back every slot; call it only where nobody is at work.

    A server killed between taking a slot and noting until when would otherwise never give it back.
    """
    for limit in server.call("/v2/concurrency_limits/filter", {}):
        if limit["active_slots"]:
            server.call(f"/v2/concurrency_limits/{limit['id']}", {"active_slots": 0}, "PATCH")
