"""A sign of life after each good forecast, for those who watch from outside whether it stays away."""

import json
import logging
from datetime import datetime, timedelta
from http import HTTPStatus

from daycast.atomic_write import atomic_write
from daycast.errors import tolerated
from daycast.settings import Settings
from daycast.times import HOUR

_OLDEST = 2 * HOUR  # a forecast of an earlier hour is no sign of life
_WHOLE = timedelta(seconds=10)  # for asking, however slowly the answer drips
_log = logging.getLogger("daycast")


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
    from daycast.sources.http.exchange import Exchange  # noqa: PLC0415 - only where there is a URL
    from daycast.sources.http.key import Key  # noqa: PLC0415
    from daycast.sources.http.trouble import PassingError  # noqa: PLC0415

    secret = Key(secret=url)
    try:
        with secret.hidden_in_logs():
            exchange = Exchange(_WHOLE, Key(), _WHOLE)
            try:
                status = exchange.get(url, None, {}).status
            finally:
                exchange.close()
    except PassingError as error:
        return f"does not answer: it {secret.hide(str(error))}"
    except Exception as error:  # noqa: BLE001 - nothing about it may fail the forecast, and its text may hold the URL
        return f"does not answer: {type(error).__name__}"
    return f"answers {status}" if status >= HTTPStatus.BAD_REQUEST else None
