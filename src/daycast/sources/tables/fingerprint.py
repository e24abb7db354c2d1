"""What tells one piece of a source from any other: its content, and how it is read."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def fingerprint(content: bytes | Iterable[bytes], reading: dict[str, Any]) -> str:
    """SHA-256 [hexadecimal] of the content, whole or in blocks, and of all that decides how it is read.

    reading: must be fit for JSON.
    """
    digest = hashlib.sha256(json.dumps(reading, sort_keys=True).encode())
    for block in [content] if isinstance(content, bytes) else content:
        digest.update(block)
    return digest.hexdigest()
