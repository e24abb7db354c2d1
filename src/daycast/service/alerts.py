"""A sign of life after each good forecast, for those who watch from outside whether it stays away."""

import json
import logging
from datetime import datetime, timedelta
from http import HTTPStatus

from daycast.errors import ConfigError, tolerated
from daycast.files import atomic_write
from daycast.service.server import RefusedError, Server
from daycast.settings import Settings
from daycast.times import HOUR

# Where alerts go: a webhook that the server keeps encrypted and calls when an automation says so.


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


_OLDEST = 2 * HOUR  # a forecast of an earlier hour is no sign of life
_WHOLE = timedelta(seconds=10)  # for asking, however slowly the answer drips


def beat(settings: Settings, issued_at: datetime, rows: int, now: datetime) -> bool:
    """Replace the heartbeat file and ask for the heartbeat URL, but not for a forecast of a past hour; returns whether it did.

    Whatever fails is a warning, which does not show the URL.
    """
    if now - issued_at > _OLDEST:
        return False
    with tolerated(f"no heartbeat in {settings.heartbeat}"), atomic_write(settings.heartbeat) as draft:
        draft.write_text(json.dumps({"issued_at": issued_at.isoformat(), "forecasts": rows, "at": now.isoformat()}))
    url = settings.live.heartbeat_url
    if url is not None and (trouble := _ask(url.get_secret_value())):
        _log.warning("the heartbeat URL %s", trouble)
    return True


def _ask(url: str) -> str | None:
    """What is wrong with how the URL answers, in words that do not hold it; None where all is well."""
    from daycast.sources.http.auth import Auth  # noqa: PLC0415
    from daycast.sources.http.transport import TransientError, Transport  # noqa: PLC0415

    secret = Auth(secret=url)
    try:
        with secret.hidden_in_logs():
            transport = Transport(_WHOLE, Auth(), _WHOLE)
            try:
                status = transport.get(url, None, {}).status
            finally:
                transport.close()
    except TransientError as error:
        return f"does not answer: it {secret.hide(str(error))}"
    except Exception as error:  # noqa: BLE001 - nothing about it may fail the forecast, and its text may hold the URL
        return f"does not answer: {type(error).__name__}"
    return f"answers {status}" if status >= HTTPStatus.BAD_REQUEST else None
