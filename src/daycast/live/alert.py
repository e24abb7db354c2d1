"""Where alerts go: a webhook that the server keeps encrypted and calls when an automation says so."""

import logging

from daycast.errors import ConfigError
from daycast.live.server import RefusedError, Server

_NAME = "daycast-alert"
_NOT_FOUND = 404
_log = logging.getLogger("daycast")


def write_webhook(server: Server, alert_url: str) -> str | None:
    """Have the server know `alert_url` as a block; returns the block's id.

    None where it does not take it, which is a warning: all else goes on. What the server said may hold `alert_url`, and is not
    shown.
    """
    try:
        return _write_block(server, alert_url)
    except (RefusedError, ConfigError) as error:
        why = f"it answered {error.status}" if isinstance(error, RefusedError) else type(error).__name__
        _log.warning("nobody will be told of failures: the Prefect server did not take alert_url (%s)", why)
        return None


def _write_block(server: Server, alert_url: str) -> str:
    kind = server.call("/block_types/slug/webhook")["id"]
    schema = server.call("/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind]}}})[0]["id"]
    data = {"url": alert_url, "method": "POST", "headers": {"Content-Type": "application/json"}}
    named = f"/block_types/slug/webhook/block_documents/name/{_NAME}"
    try:
        block: str = server.call(named)["id"]
    except RefusedError as error:
        if error.status != _NOT_FOUND:
            raise
        new = {"name": _NAME, "data": data, "block_type_id": kind, "block_schema_id": schema}
        server.create_unless_there(
            "/block_documents/", new
        )  # a busy server may make it, answer 503, and be asked again
        return str(server.call(named)["id"])
    server.call(f"/block_documents/{block}", {"data": data, "merge_existing_data": False}, "PATCH")
    return block
