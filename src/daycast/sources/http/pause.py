"""How long to wait before the next attempt."""

import zlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from daycast.sources.http.trouble import LastingError, PassingError

FIRST_PAUSE_S = 1.0  # doubled with each attempt
FIRST_OVERLOAD_PAUSE_S = 15.0  # limits are mostly counted by the minute: 15 + 30 + 60 s sit one out
LONGEST_PAUSE_S = 60.0
LONGEST_ASKED_S = 300.0  # a server that wants us to wait longer is asked again by the next run


def pause_s(error: PassingError, attempt: int, seed: str) -> float:
    """Seconds to wait after attempt number `attempt` (from 0) has failed with `error`.

    They double each time and are shortened by up to half, a share that depends on `seed` and `attempt` alone, so that clients
    that failed together do not come back together. A longer wait that the server asks for is granted.
    Raises LastingError where it asks for more than LONGEST_ASKED_S.
    """
    first = FIRST_OVERLOAD_PAUSE_S if error.overloaded else FIRST_PAUSE_S
    share = zlib.crc32(f"{seed} {attempt}".encode()) / 2**32
    own = min(first * 2**attempt, LONGEST_PAUSE_S) * (1 - share / 2)
    if error.wait_s is None:
        return own
    if error.wait_s > LONGEST_ASKED_S:
        raise LastingError(f"{error}, and asks us to wait {error.wait_s:,.0f} s: try again after that")
    return max(own if not error.overloaded else 0.0, error.wait_s)


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that Retry-After asks us to wait, from a number or a date; None where it says nothing that can be read.

    A date counts from the Date of the same answer, so that neither clock need be right (RFC 9110, section 10.2.3).
    """
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):  # no date, or one with and one without a time zone
        return None
    return max(wait.total_seconds(), 0.0)
