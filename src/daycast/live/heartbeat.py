"""A sign of life after each good forecast, for those who watch from outside whether it stays away."""

import json
import logging
import urllib.request
from datetime import datetime

from daycast.atomic_write import atomic_write
from daycast.settings import Settings
from daycast.times import HOUR

_OLDEST = 2 * HOUR  # a forecast of an earlier hour is no sign of life
_TIMEOUT_S = 10
_log = logging.getLogger("daycast")


def beat(settings: Settings, issued_at: datetime, rows: int, now: datetime) -> bool:
    """Replace the heartbeat file and ask for the heartbeat URL, but not for a forecast of a past hour; returns whether it did.

    A URL that does not answer is a warning, which does not show it.
    """
    if now - issued_at > _OLDEST:
        return False
    with atomic_write(settings.heartbeat) as draft:
        draft.write_text(json.dumps({"issued_at": issued_at.isoformat(), "forecasts": rows, "at": now.isoformat()}))
    url = settings.live.heartbeat_url
    if url is not None:
        try:
            urllib.request.urlopen(url.get_secret_value(), timeout=_TIMEOUT_S).close()  # noqa: S310 - as configured
        except (OSError, ValueError) as error:
            _log.warning("the heartbeat URL does not answer: %s", type(error).__name__)
    return True
