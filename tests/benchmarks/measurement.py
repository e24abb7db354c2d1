"""How every benchmark says what it found: one JSON line a measurement."""

import json
from collections.abc import Mapping


def say(benchmark: str, **figures: object) -> None:
    """Print a line; numbers are rounded to what they are good for."""
    print(json.dumps({"benchmark": benchmark, **rounded(figures)}), flush=True)


def rounded(value):
    """Every float of a nested value to four decimals, or to whole numbers where it is large."""
    if isinstance(value, float):
        return round(value) if abs(value) >= 1000 else round(value, 4)
    if isinstance(value, Mapping):
        return {key: rounded(part) for key, part in value.items()}
    return value
