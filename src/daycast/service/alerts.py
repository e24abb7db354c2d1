"""How people outside learn that daycast stops: a webhook for failures, and a heartbeat after each good forecast.

`write_webhook` registers the webhook with the Prefect server, which stores it encrypted and calls it when an automation says so.
`Alerts` switches these automations off in the quiet hours.
`send_heartbeat` is a dead man's switch: an outside service raises the alarm when the heartbeats stop.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from daycast.errors import ConfigError, tolerated
from daycast.files import atomic_write
from daycast.service.server import RefusedError, Server
from daycast.settings import Settings
from daycast.times import HOUR, parse_daily_hours

_BLOCK_NAME = "daycast-alert"
_OLDEST = 2 * HOUR  # no heartbeat for a forecast of an earlier hour
_TRY_AGAIN = timedelta(seconds=30)
_TIMEOUT = timedelta(seconds=10)  # for the whole request, even if the answer arrives slowly
_log = logging.getLogger("daycast")


def write_webhook(server: Server, alert_url: str) -> str | None:
    """Store `alert_url` on the server as a webhook block; returns the block's id.

    If the server does not take it, that is a warning, and the result is None. The warning leaves out the server's answer, which
    may contain `alert_url`.
    """
    try:
        return _write_block(server, alert_url)
    except (RefusedError, ConfigError) as error:
        why = f"it answered {error.status}" if isinstance(error, RefusedError) else type(error).__name__
        _log.warning("failures are not reported to anybody: the Prefect server did not take alert_url (%s)", why)
        return None


class Alerts:
    """The automations of a server that call the webhook, switched off in the quiet hours of each day (`live.quiet_hours`)."""

    def __init__(self, server: Server, quiet_hours: str | None) -> None:
        self._server = server
        self._hours = parse_daily_hours(quiet_hours) if quiet_hours else None
        self._quiet: bool | None = None  # unknown
        self._failed_at: datetime | None = None

    def update(self, now: datetime) -> None:
        """Switch them off if quiet hours have begun, and on if they have ended; if the server is busy, at a later call."""
        quiet = self._hours is not None and self._hours.include(now)
        if quiet == self._quiet or (self._failed_at and now - self._failed_at < _TRY_AGAIN):
            return
        try:
            for automation in self._server.call("/automations/filter", {}):
                if _calls_webhook(automation) and automation["enabled"] == quiet:
                    self._server.call(f"/automations/{automation['id']}", {"enabled": not quiet}, "PATCH")
        except (RefusedError, ConfigError):
            self._failed_at = now
            return
        if quiet or self._quiet:
            _log.info("quiet hours have %s", "begun: nobody is told of failures" if quiet else "ended")
        self._quiet = quiet


def _calls_webhook(automation: Mapping[str, Any]) -> bool:
    """Whether it is one of daycast's automations that call the webhook."""
    is_ours = automation["name"].startswith("daycast: ")
    return is_ours and any(action["type"] == "call-webhook" for action in automation["actions"])


def send_heartbeat(settings: Settings, issued_at: datetime, rows: int, now: datetime) -> bool:
    """Replace the heartbeat file and request the heartbeat URL; returns False, and does neither, for a forecast of a past hour.

    Every failure is a warning, which does not show the URL.
    """
    if now - issued_at > _OLDEST:
        return False
    with tolerated(f"no heartbeat in {settings.heartbeat}"), atomic_write(settings.heartbeat) as draft:
        draft.write_text(json.dumps({"issued_at": issued_at.isoformat(), "forecasts": rows, "at": now.isoformat()}))
    url = settings.live.heartbeat_url
    if url is not None and (problem := _request(url.get_secret_value())):
        _log.warning("the heartbeat URL %s", problem)
    return True


def _write_block(server: Server, alert_url: str) -> str:
    kind = server.call("/block_types/slug/webhook")["id"]
    schema = server.call("/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind]}}})[0]["id"]
    data = {"url": alert_url, "method": "POST", "headers": {"Content-Type": "application/json"}}
    path = f"/block_types/slug/webhook/block_documents/name/{_BLOCK_NAME}"
    try:
        block: str = server.call(path)["id"]
    except RefusedError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        new = {"name": _BLOCK_NAME, "data": data, "block_type_id": kind, "block_schema_id": schema}
        # a busy server may create the block and still answer 503, and then the repeated call finds it
        server.create_unless_there("/block_documents/", new)
        return str(server.call(path)["id"])
    server.call(f"/block_documents/{block}", {"data": data, "merge_existing_data": False}, "PATCH")
    return block


def _request(url: str) -> str | None:
    """What is wrong with the answer of the URL, in words that do not contain it; None if nothing is."""
    from daycast.sources.http.auth import Auth  # noqa: PLC0415
    from daycast.sources.http.response import TransientError  # noqa: PLC0415
    from daycast.sources.http.transport import Transport  # noqa: PLC0415

    secret = Auth(secret=url)
    try:
        with secret.hidden_in_logs():
            transport = Transport(_TIMEOUT, Auth(), _TIMEOUT)
            try:
                status = transport.get(url, None, {}).status
            finally:
                transport.close()
    except TransientError as error:
        return f"does not answer: it {secret.hide(str(error))}"
    except Exception as error:  # noqa: BLE001 - it must not fail the forecast, and its text may contain the URL
        return f"does not answer: {type(error).__name__}"
    return f"answers {status}" if status >= HTTPStatus.BAD_REQUEST else None
