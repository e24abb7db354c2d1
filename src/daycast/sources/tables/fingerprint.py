"""What tells one piece of a source from any other: its content, and how it is read."""

import hashlib
import json
from typing import Any


def fingerprint(content: bytes, reading: dict[str, Any]) -> str:
    """SHA-256 [hexadecimal] of the content and of all that decides how it is read, which must be fit for JSON."""
    digest = hashlib.sha256(json.dumps(reading, sort_keys=True).encode())
    digest.update(content)
    return digest.hexdigest()
